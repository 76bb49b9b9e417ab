//! Which codecs, feedback and header extensions we speak.
use crate::sdp::{Kind, Section};
use crate::types::{CodecSpec, Config, SendTrack, extension};
use trtc_types::{CodecKind, MediaKind};

const H264_FMTP: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
const OPUS_FMTP: &str = "minptime=10;useinbandfec=1";

/// Formats that wrap or accompany others, but for RED that hangs on its codec. A browser that finds them in an answer sends in
/// them, and nobody downstream could read that.
const AUXILIARY: [&str; 6] = ["red", "ulpfec", "flexfec-03", "flexfec", "cn", "telephone-event"];

/// The payload type that browsers give to RED around Opus.
const RED: u8 = 63;

/// The codec of a track of ours, with the payload types that we prefer.
pub(super) fn of_track(config: &Config, track: &SendTrack, retransmit: bool) -> CodecSpec {
    let mut codec = match &track.codec_spec {
        Some(spec) => CodecSpec {
            name: spec.name.to_ascii_lowercase(),
            fmtp: portable_fmtp(&spec.fmtp),
            channels: spec.channels.max(1),
            ..spec.clone()
        },
        None => own_codec(&track.codec, track.kind),
    };
    (codec.payload_type, codec.rtx_payload_type) = preferred_types(&codec);
    codec.red_payload_type = codec.red_payload_type.filter(|_| config.audio_redundancy).map(|_| RED);
    if !retransmit || track.kind == MediaKind::Audio {
        codec.rtx_payload_type = None;
    }
    let feedback: &[&str] = match track.kind {
        MediaKind::Audio => &[],
        MediaKind::Video => &["nack", "nack pli", "ccm fir"],
    };
    codec.feedback = feedback.iter().map(|text| (*text).to_owned()).collect();
    let video = track.kind == MediaKind::Video;
    let reports = [(config.transport_cc, "transport-cc"), (config.remb, "goog-remb")];
    codec.feedback.extend(reports.iter().filter(|(wanted, _)| *wanted && video).map(|(_, text)| (*text).to_owned()));
    codec
}

fn own_codec(kind: &CodecKind, media: MediaKind) -> CodecSpec {
    let (clock_rate, channels, fmtp) = match (kind, media) {
        (CodecKind::Opus, _) => (48_000, 2, OPUS_FMTP),
        (CodecKind::H264, _) => (90_000, 1, H264_FMTP),
        (_, MediaKind::Audio) => (8_000, 1, ""),
        (_, MediaKind::Video) => (90_000, 1, ""),
    };
    CodecSpec { name: kind.name().to_owned(), clock_rate, channels, fmtp: fmtp.to_owned(), ..Default::default() }
}

/// `x-google-*` parameters concern one sender only.
fn portable_fmtp(fmtp: &str) -> String {
    let fields = fmtp.split(';').map(str::trim).filter(|field| !field.is_empty() && !field.starts_with("x-google-"));
    fields.collect::<Vec<_>>().join(";")
}

fn preferred_types(codec: &CodecSpec) -> (u8, Option<u8>) {
    match codec.name.as_str() {
        "opus" => (111, None),
        "pcmu" => (0, None),
        "pcma" => (8, None),
        "g722" => (9, None),
        "vp8" => (96, Some(97)),
        "h264" if codec.fmtp == H264_FMTP => (108, Some(109)),
        _ => (98, Some(99)),
    }
}

/// Gives `codec` payload types that are not `used`.
pub(super) fn choose_free(codec: &mut CodecSpec, mut used: Vec<u8>) {
    codec.payload_type = pick(&mut used, codec.payload_type);
    codec.rtx_payload_type = codec.rtx_payload_type.map(|preferred| pick(&mut used, preferred));
    codec.red_payload_type = codec.red_payload_type.map(|preferred| pick(&mut used, preferred));
}

fn pick(used: &mut Vec<u8>, preferred: u8) -> u8 {
    // what other codecs prefer is not taken without need
    let reserved: [u8; 6] = [111, RED, 96, 97, 108, 109];
    let free = |format: &u8| !used.contains(format);
    let choice = Some(preferred)
        .filter(free)
        .or_else(|| (98..=127).chain(35..=63).filter(|format| !reserved.contains(format)).find(free))
        .unwrap_or(preferred);
    used.push(choice);
    choice
}

/// Same meaning under one payload type. Opus parameters are wishes of a receiver and do not count.
pub(super) fn is_same_configuration(a: &CodecSpec, b: &CodecSpec) -> bool {
    is_same_format(a, b) && (a.name == "opus" || portable_fmtp(&a.fmtp) == portable_fmtp(&b.fmtp))
}

fn is_same_format(a: &CodecSpec, b: &CodecSpec) -> bool {
    a.name == b.name && a.clock_rate == b.clock_rate && a.channels == b.channels
}

/// The other side's entry for our codec: by payload type, then by parameters, then by what a decoder must know.
pub(super) fn find_same<'a>(theirs: &'a [CodecSpec], ours: &CodecSpec) -> Option<&'a CodecSpec> {
    let same = || theirs.iter().filter(|codec| is_same_format(codec, ours));
    same()
        .find(|codec| is_same_configuration(codec, ours))
        .or_else(|| same().find(|codec| is_compatible(codec, ours) && codec.payload_type == ours.payload_type))
        .or_else(|| same().find(|codec| is_compatible(codec, ours)))
}

fn is_compatible(theirs: &CodecSpec, ours: &CodecSpec) -> bool {
    let decisive: &[(&str, &str)] = match ours.name.as_str() {
        "h264" => &[("packetization-mode", "0")],
        "vp9" => &[("profile-id", "0")],
        "av1" => &[("profile", "0")],
        _ => &[],
    };
    decisive.iter().all(|(key, default)| parameter(theirs, key, default) == parameter(ours, key, default))
}

fn parameter<'a>(codec: &'a CodecSpec, key: &str, default: &'a str) -> &'a str {
    let fields = codec.fmtp.split(';').filter_map(|field| field.trim().split_once('='));
    fields.filter(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value).next().unwrap_or(default)
}

/// The codecs of an answer: what we take of the offer, in its order and under its payload types.
pub(super) fn answer(config: &Config, offered: &Section) -> Vec<CodecSpec> {
    let media = |codec: &&CodecSpec| !AUXILIARY.contains(&codec.name.as_str());
    let ours = |codec: &&CodecSpec| matches!(codec.name.as_str(), "opus" | "h264");
    let only_ours = !config.accept_any_codec && offered.codecs.iter().any(|codec| ours(&codec));
    let chosen: Vec<&CodecSpec> =
        offered.codecs.iter().filter(media).filter(|codec| !only_ours || ours(codec)).collect();
    chosen.into_iter().map(|codec| with_allowed_feedback(config, offered, codec.clone())).collect()
}

/// Moves a codec to the front, of H.264 the packetization that everybody speaks. Opus by this name is Opus without RED.
pub(super) fn put_first(codecs: &mut [CodecSpec], name: &str) {
    let rank = |codec: &CodecSpec| match codec.name == name {
        true => u8::from(name == "h264" && parameter(codec, "packetization-mode", "0") != "1"),
        false => 2,
    };
    codecs.sort_by_key(rank);
    codecs.iter_mut().filter(|codec| codec.name == name).for_each(|codec| codec.red_payload_type = None);
}

/// Keeps the feedback and the redundancy that we understand.
pub(super) fn with_allowed_feedback(config: &Config, offered: &Section, mut codec: CodecSpec) -> CodecSpec {
    let transport_cc = uses_transport_cc(config, offered);
    codec.feedback.retain(|feedback| match feedback.as_str() {
        "nack" | "nack pli" | "ccm fir" => true,
        "transport-cc" => transport_cc,
        "goog-remb" => config.remb && !transport_cc,
        _ => false,
    });
    codec.red_payload_type = codec.red_payload_type.filter(|_| config.audio_redundancy);
    codec
}

/// The extensions of an answer, under the offer's ids. Not `urn:3gpp:video-orientation`, as livekit-server: without it a sender
/// turns its pictures before it encodes them (RFC 7742 section 4), so that every receiver sees them upright, whatever it knows.
pub(super) fn answer_extensions(config: &Config, offered: &Section, simulcast: bool) -> Vec<(u8, String)> {
    let transport_cc = uses_transport_cc(config, offered);
    let wanted = |uri: &str| match uri {
        extension::MID => true,
        extension::TRANSPORT_CC => transport_cc,
        extension::ABS_SEND_TIME => config.remb && !transport_cc,
        extension::RID | extension::REPAIRED_RID => simulcast,
        extension::AUDIO_LEVEL => offered.kind == Kind::Audio,
        _ => false,
    };
    offered.extensions.iter().filter(|(_, uri)| wanted(uri)).cloned().collect()
}

/// Our fixed ids for an offer.
pub(super) fn own_extensions(
    config: &Config,
    kind: Kind,
    simulcast: bool,
) -> impl Iterator<Item = (u8, &'static str)> + use<> {
    // Sound is little and steady: numbering it would cost more feedback than it tells.
    let (transport_cc, remb) = (config.transport_cc && kind == Kind::Video, config.remb && kind == Kind::Video);
    let all = [
        (1, extension::AUDIO_LEVEL, kind == Kind::Audio),
        (2, extension::ABS_SEND_TIME, remb),
        (3, extension::TRANSPORT_CC, transport_cc),
        (4, extension::MID, true),
        (5, extension::RID, simulcast),
        (6, extension::REPAIRED_RID, simulcast),
    ];
    all.into_iter().filter(|(_, _, wanted)| *wanted).map(|(id, uri, _)| (id, uri))
}

fn uses_transport_cc(config: &Config, offered: &Section) -> bool {
    config.transport_cc && offered.extension(extension::TRANSPORT_CC).is_some()
}
