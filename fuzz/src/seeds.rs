//! Inputs to begin with, made from what the repository records of real servers and clients, and from our own messages.
use std::fs;
use std::path::{Path, PathBuf};
use trtc_proto::Message as _;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::{
    AddTrackRequest, DataPacket, LeaveRequest, MuteTrackRequest, Ping, SessionDescription, SignalRequest, SyncState,
    TrackSource, TrackType, TrickleRequest, UpdateParticipantMetadata, UpdateSubscription, UpdateTrackSettings,
    UserPacket, data_packet,
};

/// Writes the seeds of a target into the current directory.
pub fn write(target: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let seeds: Vec<Vec<u8>> = match target {
        "signalling" => signalling(&root),
        "sdp" => descriptions(&root, |sdp| [4u8, 0, 16 | 8].map(|choice| [&[choice], sdp].concat()).to_vec()),
        "command" => vec![user("trtc.cmd.1", b"\0\0\0\x01hello"), user("chat", b"hello")]
            .into_iter()
            .map(|packet| [&[0][..], &(packet.len() as u16).to_le_bytes(), &packet, &[10]].concat())
            .collect(),
        "server" => server(&root),
        _ => Vec::new(),
    };
    for (index, seed) in seeds.iter().enumerate() {
        fs::write(format!("seed-{index:03}"), seed).expect("the current directory");
    }
    println!("{} seeds for {target}", seeds.len());
}

fn files(folder: PathBuf, extension: &str) -> Vec<String> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).expect("text")).collect()
}

fn descriptions(root: &Path, form: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    files(root.join("crates/trtc-peer/tests/sdp"), "sdp").iter().flat_map(|sdp| form(sdp.as_bytes())).collect()
}

/// A line of a trace is a time, a name and Base64.
fn signalling(root: &Path) -> Vec<Vec<u8>> {
    use base64::Engine as _;
    let mut seeds: Vec<Vec<u8>> = requests().iter().map(|frame| [&[0], &frame[..]].concat()).collect();
    for trace in files(root.join("crates/trtc-session/tests/traces"), "txt") {
        let mut story = vec![3, 0, 5];
        for line in trace.lines() {
            let Some(frame) = line.split(' ').nth(2) else { continue };
            let Ok(frame) = base64::engine::general_purpose::STANDARD.decode(frame) else { continue };
            if frame.len() < 2_000 {
                seeds.push([&[1], &frame[..]].concat());
            }
            story.push(0);
            story.extend((frame.len() as u16).to_le_bytes());
            story.extend(frame);
            story.extend([8, 1]);
        }
        seeds.push(story);
    }
    seeds.push([&[2], &user("trtc.cmd.1", b"\0\0\0\x01hello")[..]].concat());
    seeds
}

fn user(topic: &str, payload: &[u8]) -> Vec<u8> {
    let user = UserPacket { payload: payload.to_vec(), topic: Some(topic.into()), ..UserPacket::default() };
    let value = Some(data_packet::Value::User(user));
    DataPacket { value, participant_identity: "me".into(), sequence: 1, ..DataPacket::default() }.encode_to_vec()
}

fn requests() -> Vec<Vec<u8>> {
    let sid = || super::targets::MY_TRACK.to_owned();
    let track = |r#type: TrackType, source: TrackSource| {
        let (r#type, source) = (r#type.into(), source.into());
        Ask::AddTrack(AddTrackRequest { cid: format!("c{source}"), r#type, source, ..AddTrackRequest::default() })
    };
    let candidate_init = r#"{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host","sdpMid":"0","sdpMLineIndex":0}"#;
    let asks = vec![
        track(TrackType::Audio, TrackSource::Microphone),
        track(TrackType::Video, TrackSource::Camera),
        track(TrackType::Video, TrackSource::ScreenShare),
        Ask::Mute(MuteTrackRequest { sid: sid(), muted: true }),
        Ask::Subscription(UpdateSubscription { track_sids: vec![sid()], subscribe: true, ..Default::default() }),
        Ask::TrackSetting(UpdateTrackSettings {
            track_sids: vec![sid()],
            width: 640,
            height: 360,
            ..Default::default()
        }),
        Ask::UpdateMetadata(UpdateParticipantMetadata { metadata: "m".into(), name: "n".into(), ..Default::default() }),
        Ask::Trickle(TrickleRequest { candidate_init: candidate_init.into(), ..Default::default() }),
        Ask::Offer(SessionDescription { r#type: "offer".into(), sdp: "v=0\r\n".into(), ..Default::default() }),
        Ask::Answer(SessionDescription { r#type: "answer".into(), sdp: "v=0\r\n".into(), ..Default::default() }),
        Ask::SyncState(SyncState::default()),
        Ask::Ping(1),
        Ask::PingReq(Ping { timestamp: 1, rtt: 1 }),
        Ask::Leave(LeaveRequest::default()),
    ];
    asks.into_iter().map(|message| SignalRequest { message: Some(message) }.encode_to_vec()).collect()
}

/// Requests over HTTP, and a story over a WebSocket.
fn server(root: &Path) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = ["/", "/metrics", "/rtc/validate?access_token=a.b.c", "/rtc/v1/x", "/nothing"]
        .map(|path| [&[0], format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()].concat())
        .to_vec();
    let frame = |frame: &[u8]| [&(frame.len() as u16).to_le_bytes()[..], frame].concat();
    let requests = requests();
    let story: Vec<u8> = requests.iter().flat_map(|r| frame(r)).collect();
    seeds.push([&[1, 0], &story[..]].concat());
    seeds.extend(requests.iter().map(|r| [&[1, 0][..], &frame(r)].concat()));
    let offers = descriptions(root, |sdp| vec![sdp.to_vec()]).into_iter().filter(|sdp| sdp.len() < 6_000);
    for sdp in offers.step_by(6) {
        let offer = SessionDescription {
            r#type: "offer".into(),
            sdp: String::from_utf8_lossy(&sdp).into_owned(),
            ..Default::default()
        };
        let ask = SignalRequest { message: Some(Ask::Offer(offer)) }.encode_to_vec();
        seeds.push([&[1, 0], &frame(&requests[0])[..], &frame(&requests[1]), &frame(&ask)].concat());
    }
    seeds
}
