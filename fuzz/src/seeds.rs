//! Inputs to begin with, made from what the repository records of real servers and clients, and from our own messages.
use std::fs;
use std::path::{Path, PathBuf};
use trtc_proto::Message as _;
use trtc_proto::livekit::participant_info::State;
use trtc_proto::livekit::request_response::Reason;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{
    AddTrackRequest, ConnectionQualityInfo, ConnectionQualityUpdate, DataPacket, JoinResponse, LeaveRequest,
    MuteTrackRequest, ParticipantInfo, ParticipantPermission, ParticipantUpdate, Ping, Pong, ReconnectResponse,
    RequestResponse, Room, RoomUpdate, SessionDescription, SignalRequest, SignalResponse, SpeakersChanged,
    StreamStateUpdate, SubscribedQuality, SubscribedQualityUpdate, SubscriptionPermissionUpdate, SubscriptionResponse,
    SyncState, TrackInfo, TrackPublishedResponse, TrackSource, TrackType, TrackUnpublishedResponse, TrickleRequest,
    UpdateParticipantMetadata, UpdateSubscription, UpdateTrackSettings, UserPacket, data_packet,
};
use trtc_rtp::rtcp::{self, ReportBlock, SenderInfo};
use trtc_rtp::{RtpHeader, write_rtp, write_rtx};

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
        "packets" => packets(),
        "whip" => whip(&root),
        "http" => http(),
        "capi" => calls(),
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

/// Answers in each form, to each kind of request.
fn http() -> Vec<Vec<u8>> {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\ncut",
        "HTTP/1.1 404 Not Found\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\nabc",
        "no answer",
        "",
    ];
    // Behind `@`: the kind of request, 8 with TLS.
    let kinds = [0u8, 1, 2, 3, 8];
    answers.iter().flat_map(|answer| kinds.map(|kind| [&[b'@', kind], answer.as_bytes()].concat())).collect()
}

/// A cloud, then one call of each kind: with defaults, and with a text and a changed field.
fn calls() -> Vec<Vec<u8>> {
    // Which cloud, the call (0..=4 create one), stream, flag; `DEFAULTS` stands for an untouched struct.
    const DEFAULTS: u8 = 32;
    let create = [16, 0, 1, 0, DEFAULTS, DEFAULTS];
    let arguments: [&[u8]; 4] = [&[DEFAULTS; 8], &[1, DEFAULTS, 1, 1], &[1, 2, 1, 0, 0, 0, 3, 0, 9, 9, 9], &[4, 0]];
    let of = |act: u8| {
        let call = move |stream: u8, arguments: &[u8]| {
            // With a flag one more byte is read, which says whether there is somewhere for a number to go.
            let head = if stream.is_multiple_of(2) { vec![16, act, stream, 0] } else { vec![16, act, stream, 1, 1] };
            [&create[..], &head, arguments].concat()
        };
        arguments.into_iter().enumerate().map(move |(n, arguments)| call(1 + n as u8, arguments))
    };
    (5..60).flat_map(of).collect()
}

/// Every RTCP packet that we write, alone (RFC 5506), together, and under each profile of SRTP.
fn packets() -> Vec<Vec<u8>> {
    let block = ReportBlock { ssrc: 7, fraction_lost: 3, cumulative_lost: 9, jitter: 5, ..ReportBlock::default() };
    let info = SenderInfo { ssrc: 1, ntp: 0xe6d5_0000_8000_0000, rtp_time: 90_000, packets: 10, octets: 9_000 };
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = Vec::new();
        write(&mut packet);
        packet
    };
    // Small and large steps, one back in time, gaps of one packet and of hundreds.
    let arrivals: Vec<(u64, u64)> =
        (0..60u64).map(|n| (1_000 + n + n / 20 * 90, 9_000_000 + n * 1_000 + n % 7 * 70_000)).collect();
    // Chunks of one-bit symbols, which we read and never write: 14 statuses, four received.
    let one_bit = [0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 7, 0, 9, 0, 14, 0, 1, 2, 3, 0xa2, 0x11, 8, 9, 10, 11, 0, 0];
    let controls = vec![
        written(&|out| rtcp::sender_report(out, &info, &[block, block])),
        written(&|out| rtcp::receiver_report(out, 1, &[block])),
        written(&|out| rtcp::sdes_cname(out, 1, "somebody")),
        written(&|out| rtcp::bye(out, &[1, 2])),
        written(&|out| rtcp::nack(out, 1, 7, &[5, 6, 9, 65_535])),
        written(&|out| rtcp::pli(out, 1, 7)),
        written(&|out| rtcp::fir(out, 1, 7, 3)),
        written(&|out| rtcp::remb(out, 1, 1_500_000, &[7, 8])),
        written(&|out| assert_eq!(rtcp::transport_feedback(out, 1, 7, 2, 990, &arrivals), arrivals.len())),
        one_bit.to_vec(),
    ];
    let compound = controls.concat();
    let header = RtpHeader { marker: true, payload_type: 96, sequence: 65_535, timestamp: 90_000, ssrc: 7 };
    let mut media = vec![written(&|out| write_rtp(out, &header, &[], b"payload"))];
    media.push(written(&|out| write_rtp(out, &header, &[(1, b"mid"), (3, &[0, 1])], b"payload")));
    // An element that needs two-byte heads.
    media.push(written(&|out| write_rtp(out, &header, &[(1, &[9; 40]), (20, b"x")], b"payload")));
    media.push(written(&|out| write_rtx(out, &media[1], 8, 97, 5)));

    let framed = |packet: &[u8]| [&(packet.len() as u16).to_le_bytes()[..], packet].concat();
    let mut seeds: Vec<Vec<u8>> = controls.iter().chain(&media).map(|packet| [&[0], &packet[..]].concat()).collect();
    seeds.push([&[0], &compound[..]].concat());
    for profile in 0..3 {
        let mut story = vec![7, profile];
        for packet in &media {
            story.extend([1, 1].into_iter().chain(framed(packet)).chain([20, 0, 4]));
        }
        for packet in controls.iter().chain([&compound]) {
            story.extend([2, 0].into_iter().chain(framed(packet)));
        }
        story.extend([0, 1].into_iter().chain(framed(&media[0])));
        seeds.push(story);
    }
    // The same to a peer that is connected: sealed with its keys.
    let mut story = vec![3, 0];
    for packet in &media {
        story.extend([0, 2].into_iter().chain(framed(packet)).chain([1, 1]));
    }
    for packet in controls.iter().chain([&compound]) {
        story.extend([1, 2].into_iter().chain(framed(packet)).chain([0, 0]));
    }
    seeds.push(story);
    seeds
}

/// Offers of browsers and programs, to publish and to watch, with the life of a session behind them.
fn whip(root: &Path) -> Vec<Vec<u8>> {
    let candidates = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2130706431 192.0.2.1 3478 typ host\r\na=end-of-candidates\r\n";
    let restart = "a=ice-ufrag:efgh\r\na=ice-pwd:9876543210987654321098\r\n";
    let life =
        format!("\0\"ice-0\"\n{candidates}\0*\n{restart}\0=\n{candidates}\0\n{candidates}\0\"old\"\n{restart}\0=\n");
    let with = |sdp: String| format!("{sdp}{life}").into_bytes();
    let offers = files(root.join("crates/trtc-peer/tests/sdp"), "sdp").into_iter().filter(|sdp| sdp.len() < 6_000);
    offers
        .flat_map(|sdp| {
            let sending = sdp.replace("a=sendrecv", "a=sendonly");
            let watching = sending.replace("a=sendonly", "a=recvonly");
            [with(sending), with(watching)]
        })
        .collect()
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
    seeds.extend(stories(&responses()));
    seeds.push([&[2], &user("trtc.cmd.1", b"\0\0\0\x01hello")[..]].concat());
    seeds
}

/// What a server may say, with everything in it that a client looks at.
fn responses() -> Vec<Tell> {
    let other = |version: u32, state: State, muted: bool| ParticipantInfo {
        sid: "PA_bob".into(),
        identity: "bob".into(),
        state: state.into(),
        version,
        permission: Some(ParticipantPermission { can_publish: !muted, can_subscribe: true, ..Default::default() }),
        attributes: [("trtc.role".to_owned(), if muted { "audience" } else { "anchor" }.to_owned())].into(),
        tracks: vec![
            TrackInfo { sid: "TR_mic".into(), muted, source: TrackSource::Microphone.into(), ..Default::default() },
            TrackInfo {
                sid: "TR_cam".into(),
                r#type: TrackType::Video.into(),
                source: TrackSource::Camera.into(),
                width: 1280,
                height: 720,
                ..Default::default()
            },
        ],
        ..Default::default()
    };
    let me = ParticipantInfo { sid: "PA_me".into(), identity: "me".into(), ..other(1, State::Joined, false) };
    let update = |participants| Tell::Update(ParticipantUpdate { participants });
    let description =
        |r#type: &str| SessionDescription { r#type: r#type.into(), sdp: "v=0\r\n".into(), id: 1, ..Default::default() };
    let asked = |request_id, reason: Reason| {
        Tell::RequestResponse(RequestResponse { request_id, reason: reason.into(), ..Default::default() })
    };
    let rated =
        |quality: i32| ConnectionQualityInfo { participant_sid: "PA_bob".into(), quality, ..Default::default() };
    let candidate = r#"{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host","sdpMid":"0","sdpMLineIndex":0}"#;
    let mine = TrackInfo { sid: "TR_own".into(), ..Default::default() };
    vec![
        Tell::Join(JoinResponse {
            room: Some(Room { name: "r".into(), ..Default::default() }),
            participant: Some(me.clone()),
            other_participants: vec![other(1, State::Active, false)],
            subscriber_primary: true,
            ping_interval: 5,
            ping_timeout: 15,
            ..Default::default()
        }),
        Tell::Offer(description("offer")),
        Tell::Answer(description("answer")),
        Tell::Trickle(TrickleRequest { candidate_init: candidate.into(), ..Default::default() }),
        Tell::Trickle(TrickleRequest { candidate_init: "{".into(), r#final: true, ..Default::default() }),
        Tell::TrackPublished(TrackPublishedResponse { cid: "cid".into(), track: Some(mine) }),
        update(vec![other(2, State::Active, true), me]),
        update(vec![other(1, State::Active, false)]),
        update(vec![other(3, State::Disconnected, true)]),
        Tell::Mute(MuteTrackRequest { sid: "TR_own".into(), muted: true }),
        Tell::SpeakersChanged(SpeakersChanged::default()),
        Tell::RoomUpdate(RoomUpdate::default()),
        Tell::ConnectionQuality(ConnectionQualityUpdate { updates: (0..4).map(rated).collect() }),
        Tell::StreamStateUpdate(StreamStateUpdate::default()),
        Tell::SubscribedQualityUpdate(SubscribedQualityUpdate {
            track_sid: "TR_own".into(),
            subscribed_qualities: vec![SubscribedQuality { quality: 0, enabled: true }],
            ..Default::default()
        }),
        Tell::SubscriptionPermissionUpdate(SubscriptionPermissionUpdate::default()),
        Tell::SubscriptionResponse(SubscriptionResponse::default()),
        Tell::RefreshToken("a.b.c".into()),
        asked(1, Reason::Ok),
        asked(0, Reason::NotAllowed),
        asked(2, Reason::LimitExceeded),
        Tell::Pong(1),
        Tell::PongResp(Pong { last_ping_timestamp: 1, timestamp: 2 }),
        Tell::Reconnect(ReconnectResponse { last_message_seq: 1, ..Default::default() }),
        Tell::TrackUnpublished(TrackUnpublishedResponse { track_sid: "TR_own".into() }),
    ]
}

/// A call in which all of it is said, and one for each way in which it may end.
fn stories(responses: &[Tell]) -> Vec<Vec<u8>> {
    let said = |message: &Tell| {
        let frame = SignalResponse { message: Some(message.clone()) }.encode_to_vec();
        [&[0][..], &(frame.len() as u16).to_le_bytes(), &frame].concat()
    };
    // In between: both transports and channels, a track, data of ours and of others, a subscription.
    let mut acts: Vec<Vec<u8>> = [0u8, 1].into_iter().flat_map(|n| [vec![8, n], vec![11, n, n], vec![9, n]]).collect();
    acts.push([&[13, 3][..], b"cid"].concat());
    acts.push([&[15, 6][..], b"TR_cam", &[0]].concat());
    acts.push([&[14, 4][..], b"chat", &[5, 0], b"hello", &[2, 0], b"hi"].concat());
    let data = user("trtc.cmd.1", b"\0\0\0\x01hello");
    acts.push([&[10][..], &(data.len() as u16).to_le_bytes(), &data, &[0]].concat());
    acts.push(vec![12, 0xff, 0xff]);
    let opening = |first: &Tell| [&[3, 0, 5][..], &said(first)].concat();
    let whole: Vec<u8> = responses[1..]
        .iter()
        .enumerate()
        .flat_map(|(n, message)| [said(message), acts[n % acts.len()].clone()].concat())
        .collect();
    let mut stories = vec![[opening(&responses[0]), whole].concat()];
    for action in 0..3 {
        for reason in [0, 1, 2, 4, 5, 8] {
            let leave = Tell::Leave(LeaveRequest { action, reason, ..Default::default() });
            let resumed = Tell::Reconnect(ReconnectResponse { last_message_seq: 0, ..Default::default() });
            let after = [&[12, 0xff, 7, 5][..], &said(&resumed), &[12, 0xff, 0xff, 5], &said(&responses[0])].concat();
            stories.push([opening(&responses[0]), vec![8, 0, 8, 1], said(&leave), after].concat());
        }
    }
    // A socket that does not open: refused, gone, and in time.
    for status in [0u16, 401, 503] {
        let failed = [&[6][..], &status.to_le_bytes(), &[4, 0], b"text", &[12, 0xff, 0xff, 5]].concat();
        stories
            .push([&[3, 0][..], &failed, &said(&responses[0]), &[7, 12, 0xff, 0xff, 5], &said(&responses[0])].concat());
    }
    stories
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
