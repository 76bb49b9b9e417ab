//! SSRCs are told apart by what RFC 8843 (MID), RFC 8852 (RID, repaired RID) and descriptions say of them.
use super::super::link::{Section, Stream};
use super::*;
use trtc_peer::{ReceiveSection, extension};
use trtc_rtp::{ReceiverStats, RtpHeader, write_rtp};
use trtc_types::MediaKind;

const MID: u8 = 1;
const RID: u8 = 2;
const REPAIRED: u8 = 3;
const MEDIA: u8 = 96;
const RTX: u8 = 97;
const TRACK: usize = 7;

fn section(mid: &str, rids: &[&str], track: Option<usize>) -> Section {
    let codec = CodecSpec {
        name: "vp8".into(),
        payload_type: MEDIA,
        rtx_payload_type: Some(RTX),
        red_payload_type: None,
        clock_rate: 90_000,
        channels: 1,
        fmtp: String::new(),
        feedback: Vec::new(),
    };
    let extensions = [(MID, extension::MID), (RID, extension::RID), (REPAIRED, extension::REPAIRED_RID)];
    let description = ReceiveSection {
        mid: mid.into(),
        kind: MediaKind::Video,
        direction_active: true,
        msid: None,
        codecs: vec![codec],
        ssrcs: Vec::new(),
        fid: Vec::new(),
        rids: rids.iter().map(|rid| (*rid).to_owned()).collect(),
        extensions: extensions.map(|(id, uri)| (id, uri.to_owned())).to_vec(),
    };
    Section::new(description, track)
}

/// A simulcast track in section 0, and another track beside it that says nothing of its layers.
fn receiving() -> Receiving {
    let sections = vec![section("0", &["q", "h", "f"], Some(TRACK)), section("1", &[], Some(TRACK + 1))];
    Receiving { sections, ..Receiving::default() }
}

/// Track, layer and the stream that it repairs, of a packet with these extensions.
type Seen = (usize, Option<String>, u8, Option<u32>);

fn seen(receiving: &Receiving, ssrc: u32, payload_type: u8, extensions: &[(u8, &str)]) -> Option<Seen> {
    let header = RtpHeader { marker: false, payload_type, sequence: 1, timestamp: 2, ssrc };
    let extensions: Vec<(u8, &[u8])> = extensions.iter().map(|(id, text)| (*id, text.as_bytes())).collect();
    let mut packet = Vec::new();
    write_rtp(&mut packet, &header, &extensions, &[0, 1, 2]);
    let found = identify(receiving, &RtpPacket::parse(&packet).expect("RTP"))?;
    assert_eq!(found.codec.payload_type, MEDIA);
    Some((found.track, found.rid, found.rank, found.repairs))
}

/// The layer is known from now on.
fn learn(receiving: &mut Receiving, ssrc: u32, rid: &str) {
    let role = StreamRole::Media {
        layer: 0,
        payload_type: MEDIA,
        red_payload_type: None,
        stats: ReceiverStats::new(ssrc, 90_000),
    };
    receiving.streams.push(Stream { ssrc, track: TRACK, rid: Some(rid.into()), role });
}

#[test]
fn a_layer_is_known_by_mid_and_rid() {
    let receiving = receiving();
    for (rank, rid) in ["q", "h", "f"].into_iter().enumerate() {
        let layer = (TRACK, Some(rid.to_owned()), rank as u8, None);
        assert_eq!(seen(&receiving, 10, MEDIA, &[(MID, "0"), (RID, rid)]), Some(layer));
    }
    assert_eq!(seen(&receiving, 10, MEDIA, &[(MID, "0")]), None, "a layer without a name cannot be placed");
    assert_eq!(seen(&receiving, 10, MEDIA, &[(MID, "0"), (RID, "x")]), None, "nor one that was not announced");
    assert_eq!(seen(&receiving, 10, 33, &[(MID, "0"), (RID, "q")]), None, "nor a codec that was not negotiated");
    assert_eq!(seen(&receiving, 10, MEDIA, &[(MID, "1")]), Some((TRACK + 1, None, 0, None)));
}

#[test]
fn a_repair_belongs_to_the_layer_that_it_names() {
    let mut receiving = receiving();
    let repair = |r: &Receiving, rid| seen(r, 20, RTX, &[(MID, "0"), (REPAIRED, rid)]).map(|seen| seen.3);
    assert_eq!(repair(&receiving, "h"), None, "before the layer itself");
    learn(&mut receiving, 10, "q");
    learn(&mut receiving, 11, "h");
    assert_eq!(repair(&receiving, "q"), Some(Some(10)));
    assert_eq!(repair(&receiving, "h"), Some(Some(11)));
    assert_eq!(repair(&receiving, "f"), None, "a layer that was not seen");
    assert_eq!(repair(&receiving, "x"), None, "a layer that does not exist");
    assert_eq!(seen(&receiving, 20, RTX, &[(MID, "0")]), None, "without a name it could repair any of them");
    assert_eq!(seen(&receiving, 20, RTX, &[(MID, "1"), (REPAIRED, "h")]), None, "a layer of another section");
    // A repair is no layer: nothing repairs a repair.
    let role = StreamRole::Repair { media_ssrc: 11, media_payload_type: MEDIA };
    receiving.streams.push(Stream { ssrc: 30, track: TRACK, rid: Some("f".into()), role });
    assert_eq!(repair(&receiving, "f"), None);
}

#[test]
fn announced_ssrcs_need_no_names() {
    let mut receiving = receiving();
    let plain = &mut receiving.sections[1].description;
    (plain.ssrcs, plain.fid) = (vec![40, 41], vec![(40, 41)]);
    assert_eq!(seen(&receiving, 40, MEDIA, &[]), Some((TRACK + 1, None, 0, None)));
    assert_eq!(seen(&receiving, 41, RTX, &[]), Some((TRACK + 1, None, 0, Some(40))));
    assert_eq!(seen(&receiving, 42, MEDIA, &[]), None, "two sections take its payload type");
    receiving.sections[1].track = None;
    assert_eq!(seen(&receiving, 40, MEDIA, &[]), None, "a section without a track");
    receiving.sections[0].description.rids.clear();
    assert_eq!(seen(&receiving, 42, MEDIA, &[]), Some((TRACK, None, 0, None)), "only one takes it now");
    receiving.sections[0].description.direction_active = false;
    assert_eq!(seen(&receiving, 42, MEDIA, &[]), None, "a section that is not sent");
}
