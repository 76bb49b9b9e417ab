//! The media thread with two members' peers of our own over loopback.
#[path = "../../tests/common/link.rs"]
mod link;

use super::*;
use link::Link;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use trtc_peer::{IceRole, SendTrack};
use trtc_rtp::{RtpHeader, RtpPacket};
use trtc_types::{CodecKind, MediaKind};

fn until(clients: &mut [&mut Link], what: &str, mut done: impl FnMut(&mut [&mut Link]) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done(clients) {
        assert!(Instant::now() < deadline, "{what} did not happen");
        clients.iter_mut().for_each(|c| c.turn());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn event(
    clients: &mut [&mut Link],
    events: &mut mpsc::Receiver<MediaEvent>,
    wanted: fn(&MediaEvent) -> bool,
) -> MediaEvent {
    let mut found = None;
    until(clients, "an event", |_| {
        while let Ok(event) = events.try_recv() {
            if wanted(&event) {
                found = Some(event);
            }
        }
        found.is_some()
    });
    found.expect("just found")
}

fn start() -> Media {
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    Media::start(MediaConfig::new(bind)).expect("media")
}

fn add(media: &Media, member: MemberKey, name: &str) -> mpsc::Receiver<MediaEvent> {
    let (events, receiver) = mpsc::channel(1024);
    let (identity, sid) = (name.to_owned(), format!("PA_{name}"));
    media
        .send(MediaCommand::AddMember { room: 1, member, identity, sid, can_publish_data: true, events })
        .expect("queue");
    receiver
}

#[test]
fn a_track_and_data_reach_another_member() {
    let media = start();
    let (mut events_a, mut events_b) = (add(&media, 1, "a"), add(&media, 2, "b"));
    let (mut a, mut b) = (Link::new(IceRole::Controlling), Link::new(IceRole::Controlled));

    // The publisher offers a video track and data channels.
    let now = Instant::now();
    a.peer.create_channel(now, "_reliable", true, None);
    let section = a.peer.add_send(SendTrack {
        kind: MediaKind::Video,
        codec: CodecKind::H264,
        codec_spec: None,
        stream_id: "-".into(),
        track_id: "cid".into(),
        ssrc: 1234,
        rtx_ssrc: None,
    });
    let (cid, sid) = ("cid".to_owned(), "TR_v".to_owned());
    media
        .send(MediaCommand::ExpectTrack { member: 1, cid, sid, kind: MediaKind::Video, muted: false, codec: None })
        .expect("queue");
    media.send(MediaCommand::Offer { member: 1, sdp: a.peer.create_offer(), id: 7 }).expect("queue");
    let answer = event(&mut [&mut a, &mut b], &mut events_a, |e| matches!(e, MediaEvent::Answer { .. }));
    let MediaEvent::Answer { sdp, id: 7 } = answer else { panic!("{answer:?}") };
    a.peer.accept_answer(Instant::now(), &sdp).expect("answer");
    until(&mut [&mut a, &mut b], "publisher connection", |c| c[0].connected && !c[0].open.is_empty());

    // Its first packet starts the track; the subscriber gets it in its first offer.
    let payload_type = a.peer.send_params(section).expect("negotiated").payload_type;
    let header = |sequence| RtpHeader { marker: true, payload_type, sequence, timestamp: 3_000, ssrc: 1234 };
    a.send_rtp(&header(1), &[], &[0x67, 1, 2]);
    let started = event(&mut [&mut a, &mut b], &mut events_a, |e| matches!(e, MediaEvent::TrackStarted { .. }));
    assert_eq!(started, MediaEvent::TrackStarted { sid: "TR_v".into(), codec_mime: "video/H264".into() });
    let (sid, stream_id) = ("TR_v".to_owned(), "PA_a|camera".to_owned());
    media.send(MediaCommand::Subscribe { member: 2, sid, stream_id, on: true }).expect("queue");
    media.send(MediaCommand::StartSubscriber { member: 2 }).expect("queue");
    let offer = event(&mut [&mut a, &mut b], &mut events_b, |e| matches!(e, MediaEvent::Offer { .. }));
    let MediaEvent::Offer { sdp, id, mid_to_track } = offer else { panic!("{offer:?}") };
    assert_eq!(mid_to_track.len(), 1);
    assert_eq!(mid_to_track[0].1, "TR_v");
    assert!(sdp.contains("a=msid:PA_a|camera TR_v"), "{sdp}");
    assert!(sdp.find("m=application") < sdp.find("m=video"));
    let answer = b.peer.accept_offer(Instant::now(), &sdp).expect("offer");
    media.send(MediaCommand::Answer { member: 2, sdp: answer, id }).expect("queue");
    until(&mut [&mut a, &mut b], "subscriber connection", |c| c[1].connected && c[1].open.len() == 2);

    // Nothing before a key frame, everything from then on.
    a.send_rtp(&header(2), &[], &[0x41, 1]);
    a.send_rtp(&header(3), &[], &[0x67, 9, 9]);
    a.send_rtp(&header(4), &[], &[0x41, 2]);
    until(&mut [&mut a, &mut b], "two packets", |c| c[1].rtp.len() >= 2);
    let payloads: Vec<_> = b.rtp.iter().map(|p| RtpPacket::parse(p).expect("rtp").payload().to_vec()).collect();
    assert_eq!(payloads, [vec![0x67, 9, 9], vec![0x41, 2]]);
    assert!(media.counters().plis_sent.load(Ordering::Relaxed) >= 1);

    // What comes in one go leaves in its order.
    b.rtp.clear();
    let frame: Vec<_> = (0..40).map(|n| vec![0x41, n, if n % 8 == 7 { 0 } else { n }]).collect();
    for (payload, sequence) in frame.iter().zip(5..) {
        a.send_rtp(&header(sequence), &[], payload);
    }
    until(&mut [&mut a, &mut b], "a frame", |c| c[1].rtp.len() >= frame.len());
    let payloads: Vec<_> = b.rtp.iter().map(|p| RtpPacket::parse(p).expect("rtp").payload().to_vec()).collect();
    assert_eq!(payloads, frame);

    a_narrow_link_pauses(&mut a, &mut b, &mut events_b, header);
    data_is_stamped(&mut a, &mut b);
    media.send(MediaCommand::RemoveMember { member: 1 }).expect("queue");
    let next = event(&mut [&mut a, &mut b], &mut events_b, |e| matches!(e, MediaEvent::Offer { .. }));
    assert!(matches!(next, MediaEvent::Offer { mid_to_track, .. } if mid_to_track.is_empty()));
    media.stop();
}

/// A link that does not carry the only layer any more: the track is paused, and its subscriber learns of it.
fn a_narrow_link_pauses(
    a: &mut Link,
    b: &mut Link,
    events: &mut mpsc::Receiver<MediaEvent>,
    header: impl Fn(u16) -> RtpHeader,
) {
    let (mut sequence, mut estimate_bps, mut paused) = (45, 4_000_000, false);
    until(&mut [a, b], "a pause", |clients| {
        clients[0].send_rtp(&header(sequence), &[], &[0x41; 1_000]);
        sequence += 1;
        if sequence % 20 == 0 {
            let mut remb = Vec::new();
            trtc_rtp::rtcp::remb(&mut remb, 1, estimate_bps, &[]);
            clients[1].send_rtcp(&remb);
            estimate_bps = estimate_bps * 9 / 10;
        }
        while let Ok(event) = events.try_recv() {
            paused |= event == MediaEvent::StreamState { sid: "TR_v".into(), paused: true };
        }
        paused
    });
}

/// Two layers side by side, and a subscriber behind a queue that grows with every packet of the larger one: it gets the smaller.
#[test]
fn a_layer_follows_transport_wide_feedback() {
    let media = start();
    let (mut events_a, mut events_b) = (add(&media, 1, "a"), add(&media, 2, "b"));
    let (mut a, mut b) = (Link::new(IceRole::Controlling), Link::new(IceRole::Controlled));
    let track = SendTrack {
        kind: MediaKind::Video,
        codec: CodecKind::H264,
        codec_spec: None,
        stream_id: "-".into(),
        track_id: "cid".into(),
        ssrc: 1,
        rtx_ssrc: None,
    };
    let section = a.peer.add_send(track);
    a.peer.set_send_rids(section, &["q", "h"], &[]);
    let (cid, sid) = ("cid".to_owned(), "TR_v".to_owned());
    media
        .send(MediaCommand::ExpectTrack { member: 1, cid, sid, kind: MediaKind::Video, muted: false, codec: None })
        .expect("queue");
    media.send(MediaCommand::Offer { member: 1, sdp: a.peer.create_offer(), id: 1 }).expect("queue");
    let answer = event(&mut [&mut a, &mut b], &mut events_a, |e| matches!(e, MediaEvent::Answer { .. }));
    let MediaEvent::Answer { sdp, .. } = answer else { panic!("{answer:?}") };
    a.peer.accept_answer(Instant::now(), &sdp).expect("answer");
    until(&mut [&mut a, &mut b], "publisher connection", |c| c[0].connected);

    // Every packet is a key frame, so that a switch waits for nothing; its second byte names the layer.
    let params = a.peer.send_params(section).expect("negotiated");
    let (mid, rid) = (params.ext_mid.expect("MID"), params.ext_rid.expect("RID"));
    let mut sequence = 0;
    let mut send = |a: &mut Link| {
        sequence += 1;
        for (layer, name, bytes) in [(1, "q", 150), (2, "h", 1_000)] {
            let ssrc = 10 + u32::from(layer);
            let (payload_type, timestamp) = (params.payload_type, u32::from(sequence) * 90);
            let header = RtpHeader { marker: true, payload_type, sequence, timestamp, ssrc };
            let mut payload = vec![0; bytes];
            payload[..2].copy_from_slice(&[0x67, layer]);
            a.send_rtp(&header, &[(mid, params.mid.as_bytes()), (rid, name.as_bytes())], &payload);
        }
    };
    send(&mut a);
    event(&mut [&mut a, &mut b], &mut events_a, |e| matches!(e, MediaEvent::TrackStarted { .. }));
    let (sid, stream_id) = ("TR_v".to_owned(), "PA_a".to_owned());
    media.send(MediaCommand::Subscribe { member: 2, sid, stream_id, on: true }).expect("queue");
    media.send(MediaCommand::StartSubscriber { member: 2 }).expect("queue");
    let offer = event(&mut [&mut a, &mut b], &mut events_b, |e| matches!(e, MediaEvent::Offer { .. }));
    let MediaEvent::Offer { sdp, id, .. } = offer else { panic!("{offer:?}") };
    let answer = b.peer.accept_offer(Instant::now(), &sdp).expect("offer");
    media.send(MediaCommand::Answer { member: 2, sdp: answer, id }).expect("queue");
    until(&mut [&mut a, &mut b], "subscriber connection", |c| c[1].connected);
    let sections = b.peer.receive_sections();
    let numbers =
        sections.iter().flat_map(|s| &s.extensions).find(|(_, uri)| uri == trtc_peer::extension::TRANSPORT_CC);
    let (number, _) = *numbers.expect("the numbers are agreed on");

    let mut recorder = trtc_rtp::TransportFeedbackRecorder::new();
    let (mut queue, mut large, mut small_in_a_row) = (Duration::ZERO, 0, 0);
    until(&mut [&mut a, &mut b], "the smaller layer", |clients| {
        send(clients[0]);
        for packet in std::mem::take(&mut clients[1].rtp) {
            let packet = RtpPacket::parse(&packet).expect("rtp");
            let is_large = packet.payload()[1] == 2;
            (large, small_in_a_row) = if is_large { (large + 1, 0) } else { (large, small_in_a_row + 1) };
            queue = if is_large {
                queue + Duration::from_millis(1)
            } else {
                queue.saturating_sub(Duration::from_millis(1))
            };
            let &[high, low] = packet.extension(number).expect("a number") else { panic!("two bytes") };
            recorder.received(Instant::now() + queue, u16::from_be_bytes([high, low]));
        }
        let mut feedback = Vec::new();
        while recorder.poll(Instant::now() + queue, &mut feedback, 1, 2) {
            clients[1].send_rtcp(&feedback);
            feedback.clear();
        }
        small_in_a_row >= 50
    });
    assert!(large >= 50, "the larger one came first, {large} packets of it");
    media.stop();
}

fn data_is_stamped(a: &mut Link, b: &mut Link) {
    use prost::Message as _;
    use trtc_proto::livekit::{DataPacket, UserPacket, data_packet::Value};
    let user = UserPacket { payload: b"hi".to_vec(), participant_identity: "forged".into(), ..UserPacket::default() };
    let packet = DataPacket { value: Some(Value::User(user)), sequence: 1, ..DataPacket::default() }.encode_to_vec();
    for _ in 0..2 {
        a.peer.send_data(Instant::now(), "_reliable", &packet).expect("sent");
    }
    until(&mut [a, b], "a message", |c| !c[1].messages.is_empty());
    let packet = DataPacket::decode(&b.messages[0][..]).expect("packet");
    assert_eq!((packet.participant_identity.as_str(), packet.participant_sid.as_str()), ("a", "PA_a"));
    let Some(Value::User(user)) = packet.value else { panic!("{:?}", packet.value) };
    assert_eq!((user.participant_identity.as_str(), &user.payload[..]), ("a", &b"hi"[..]));
    assert_eq!(b.messages.len(), 1, "the repetition is dropped");
}

#[test]
fn garbage_is_counted_and_bad_descriptions_are_told() {
    let media = start();
    let mut events = add(&media, 1, "a");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let to = SocketAddr::from(([127, 0, 0, 1], media.udp_port()));
    for i in 0..200u16 {
        let datagram: Vec<u8> = (0..i % 90).map(|k| (k * 31 + i * 7) as u8).collect();
        let _ = socket.send_to(&datagram, to);
    }
    media.send(MediaCommand::Offer { member: 1, sdp: "v=0\r\nnonsense".into(), id: 1 }).expect("queue");
    media.send(MediaCommand::RemoveMember { member: 99 }).expect("queue");
    let bad = event(&mut [], &mut events, |_| true);
    assert!(matches!(bad, MediaEvent::BadSdp { publisher: true, .. }), "{bad:?}");
    let counters = media.counters();
    let seen = || counters.unknown_source.load(Ordering::Relaxed) + counters.bad_stun.load(Ordering::Relaxed);
    until(&mut [], "counted garbage", |_| seen() >= 150 && counters.stale_commands.load(Ordering::Relaxed) == 1);
    media.stop();
}
