//! What a new SSRC of a publisher carries.
use super::link::{Receiving, StreamRole};
use trtc_peer::CodecSpec;
use trtc_rtp::RtpPacket;

pub(super) struct Identified {
    pub(super) track: usize,
    pub(super) codec: CodecSpec,
    pub(super) rid: Option<String>,
    /// 0 is the layer with the smallest picture.
    pub(super) rank: u8,
    /// The stream that it repairs.
    pub(super) repairs: Option<u32>,
    pub(super) audio_level: Option<u8>,
}

/// By MID, then by announced SSRC, then by payload type.
pub(super) fn identify(receiving: &Receiving, packet: &RtpPacket<'_>) -> Option<Identified> {
    let header = packet.header();
    let text = |id: Option<u8>| id.and_then(|id| packet.extension(id)).and_then(|v| std::str::from_utf8(v).ok());
    let sections = || receiving.sections.iter().filter(|s| s.description.direction_active);
    let by_mid = sections().find(|s| text(s.mid_extension).is_some_and(|mid| mid == s.description.mid));
    let by_ssrc = || {
        sections().find(|s| {
            let d = &s.description;
            d.ssrcs.contains(&header.ssrc) || d.fid.iter().any(|f| f.0 == header.ssrc || f.1 == header.ssrc)
        })
    };
    let takes = |c: &CodecSpec| c.payload_types().any(|known| known == header.payload_type);
    let by_payload = || {
        let mut found = sections().filter(|s| s.track.is_some() && s.description.codecs.iter().any(takes));
        found.next().filter(|_| found.next().is_none())
    };
    let section = by_mid.or_else(by_ssrc).or_else(by_payload)?;
    let track = section.track?;
    let codecs = &section.description.codecs;
    let is_repair = codecs.iter().any(|c| c.rtx_payload_type == Some(header.payload_type));
    let codec = codecs.iter().find(|c| takes(c))?.clone();
    let media_of = |rid: &str| {
        let found = receiving.streams.iter().find(|s| s.track == track && s.rid.as_deref() == Some(rid));
        found.filter(|s| matches!(s.role, StreamRole::Media { .. })).map(|s| s.ssrc)
    };
    let (rid, repairs) = if is_repair {
        let by_rid = text(section.repaired_extension).or(text(section.rid_extension)).and_then(media_of);
        let by_group = || section.description.fid.iter().find(|f| f.1 == header.ssrc).map(|f| f.0);
        (None, Some(by_rid.or_else(by_group)?))
    } else {
        let rid = text(section.rid_extension).filter(|rid| section.description.rids.iter().any(|known| known == rid));
        // A layer is known by its first packets only; one that does not say its name cannot be placed.
        if rid.is_none() && !section.description.rids.is_empty() {
            return None;
        }
        (rid.map(str::to_owned), None)
    };
    let rank = rid.as_deref().map_or(0, |rid| rank(&section.description.rids, rid));
    let audio_level = section.extension(trtc_peer::extension::AUDIO_LEVEL);
    Some(Identified { track, codec, rid, rank, repairs, audio_level })
}

/// The place of a layer among those of its section. LiveKit's names tell it (q < h < f); with others the order of the section
/// does.
pub(super) fn rank(rids: &[String], rid: &str) -> u8 {
    let size = |rid: &str| ["q", "h", "f"].iter().position(|name| *name == rid);
    let own = rids.iter().position(|known| known == rid).unwrap_or(0);
    let before = |(at, other): (usize, &String)| match (size(other), size(rid)) {
        (Some(theirs), Some(ours)) => theirs < ours,
        _ => at < own,
    };
    rids.iter().enumerate().filter(|(at, other)| before((*at, other))).count() as u8
}

#[cfg(test)]
#[path = "identify_tests.rs"]
mod tests;
