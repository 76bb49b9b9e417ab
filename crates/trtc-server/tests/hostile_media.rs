//! Hostile datagrams, media and data beside a call that goes on.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::call::Call;
use common::{Client, TestServer, bystanders::Bystanders};
use rand::{Rng as _, RngCore as _};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use trtc_proto::Message as _;
use trtc_proto::command;
use trtc_proto::livekit::data_packet::Value;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::{DataPacket, LeaveRequest, UserPacket};
use trtc_rtp::{RtpHeader, RtpPacket, rtcp};
use trtc_types::MediaKind;

/// A server with two honest members that see each other.
fn call_beside(act: impl FnOnce(&TestServer, &Bystanders)) {
    let server = TestServer::start();
    let bystanders = Bystanders::start(&server, "r");
    act(&server, &bystanders);
    bystanders.undisturbed(&server);
}

fn mallory(server: &TestServer, identity: &str) -> Call {
    Call::connect(server, &server.claims("r", identity))
}

/// A binding request with a wrong MESSAGE-INTEGRITY.
fn binding_request(ufrag: &str) -> Vec<u8> {
    let username = format!("{ufrag}:evil");
    let padded = username.len().next_multiple_of(4);
    let mut body = vec![0, 6, 0, username.len() as u8];
    body.extend(username.as_bytes());
    body.resize(4 + padded, 0);
    body.extend([0x80, 0x2a, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    body.extend([0, 8, 0, 20]);
    body.extend([0xab; 20]);
    let mut request = vec![0, 1, 0, body.len() as u8, 0x21, 0x12, 0xa4, 0x42];
    request.extend([7; 12]);
    request.extend(body);
    request
}

#[test]
fn datagrams_of_strangers_get_no_answer_and_harm_nobody() {
    call_beside(|server, _| {
        let call = mallory(server, "victim");
        let line = |name: &str| call.offers[0].sdp.lines().find_map(|l| l.strip_prefix(name)).unwrap().to_owned();
        let ufrag = line("a=ice-ufrag:");
        let attacker = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut rng = rand::rng();
        let counters = ["trtc_media_bad_stun_total", "trtc_media_unknown_source_total"];
        let before = counters.map(|name| server.metric(name));
        let mut hello =
            vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1, 0, 0, 88, 0, 0, 0, 0, 0, 0, 0, 88, 0xfe, 0xfd];
        hello.resize(113, 0x11);
        server.flood(30_000, |i| {
            let datagram = match i % 6 {
                0 => binding_request(&ufrag),
                1 => binding_request("nobody"),
                2 => hello.clone(),
                // RTP and RTCP by their first bytes.
                3 => [&[0x80, 111, 0, 1][..], &[0x55; 80]].concat(),
                4 => [&[0x81, 205, 0, 3][..], &[0x55; 12]].concat(),
                _ => {
                    let mut bytes = vec![0; rng.random_range(0..1_400)];
                    rng.fill_bytes(&mut bytes);
                    bytes
                }
            };
            attacker.send_to(&datagram, call.media_port).unwrap();
        });
        // Those that begin with 0 to 3, a few in a hundred of the random ones included, are STUN.
        server.wait_metric(counters[0], before[0] + 9_000);
        server.wait_metric(counters[1], before[1] + 17_000);
        let counted = counters.map(|name| server.metric(name));
        println!("of 30000 strangers: {} as STUN, {} as others", counted[0] - before[0], counted[1] - before[1]);
        attacker.set_nonblocking(true).unwrap();
        assert!(attacker.recv(&mut [0; 100]).is_err(), "the server answers strangers");
    });
}

#[test]
fn garbage_of_a_member_breaks_only_its_own_connection() {
    call_beside(|server, _| {
        let mut call = mallory(server, "fuzzer");
        call.until("Ann's tracks", |call| call.subscriber.rtp.len() > 10);
        let before = server.metric("trtc_media_srtp_errors_total");
        let mut rng = rand::rng();
        server.flood(10_000, |i| {
            let mut bytes = vec![0; rng.random_range(1..1_200)];
            rng.fill_bytes(&mut bytes);
            // RTP, RTCP, DTLS and STUN in turn, from an address that the server believes.
            (bytes[0], *bytes.last_mut().unwrap()) = ([0x80, 0x81, 22, 1][i as usize % 4], 7);
            let link = if i % 8 < 4 { &call.publisher } else { &call.subscriber };
            link.socket.send_to(&bytes, call.media_port).unwrap();
            if i % 50 == 49 {
                call.turn();
            }
        });
        server.wait_metric("trtc_media_srtp_errors_total", before + 4_000);
        let received = call.subscriber.rtp.len();
        call.until("media in spite of it", |call| call.subscriber.rtp.len() > received + 50);
    });
}

#[test]
fn a_storm_of_nacks_and_key_frame_requests_is_bounded() {
    call_beside(|server, _| {
        let mut call = mallory(server, "impatient");
        call.until("Ann's tracks", |call| call.subscriber.rtp.len() > 100);
        let names = ["nacks", "nack_misses", "rtx_out", "plis", "plis_sent", "rtp_out"]
            .map(|n| format!("trtc_media_{n}_total"));
        let read = || names.each_ref().map(|name| server.metric(name));
        let (before, start, received) = (read(), Instant::now(), call.subscriber.rtp.len());
        server.flood(2_000, |round| {
            let recent = call.subscriber.rtp.iter().skip(call.subscriber.rtp.len().saturating_sub(200));
            let headers = recent.filter_map(|p| RtpPacket::parse(p)).map(|p| p.header());
            let newest: BTreeMap<u32, u16> = headers.map(|h| (h.ssrc, h.sequence)).collect();
            let mut compound = Vec::new();
            for (ssrc, sequence) in &newest {
                for part in 0..20 {
                    let first = sequence.wrapping_sub(part * 17 + round as u16 % 50);
                    let lost: Vec<u16> = (0..17).map(|i| first.wrapping_sub(i)).rev().collect();
                    rtcp::nack(&mut compound, 1, *ssrc, &lost);
                }
                (0..10).for_each(|_| rtcp::pli(&mut compound, 1, *ssrc));
            }
            call.subscriber.send_rtcp(&compound);
            if round % 20 == 0 {
                call.turn();
            }
        });
        server.wait_metric(&names[0], before[0] + 500_000);
        let after = read();
        let grown: Vec<u64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
        let seconds = start.elapsed().as_secs() + 1;
        println!("{seconds} s: nacks, misses, rtx, plis, plis sent, rtp out: {grown:?}");
        // A stock of 512 for each of two tracks, and one more for each packet that was forwarded.
        assert!(grown[2] <= 1_024 + grown[5], "{} retransmissions", grown[2]);
        assert!(grown[2] >= 512 && grown[1] > grown[0] / 2, "a few are answered, most are refused");
        assert!(grown[3] >= 10_000 && grown[4] <= 4 * seconds + 4, "{} key frames asked of the publisher", grown[4]);
        call.until("media in spite of it", |call| call.subscriber.rtp.len() > received + 50);
    });
}

#[test]
fn streams_and_sections_without_end_are_cut_off() {
    call_beside(|server, _| {
        let mut call = mallory(server, "hydra");
        let section = call.add_track("cam", MediaKind::Video, 1, false);
        call.negotiate();
        let payload_type = call.publisher.peer.send_params(section).unwrap().payload_type;
        server.counts("trtc_media_ssrc_limit_total", || {
            for ssrc in 1..500 {
                let header = RtpHeader { marker: true, payload_type, sequence: 1, timestamp: 1, ssrc };
                call.publisher.send_rtp(&header, &[], &[0x67, 1, 2]);
            }
        });
        // A thousand sections are allowed, and answering them must not stop the media of others.
        let offer = call.publisher.peer.create_offer();
        let section = "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 9\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\n";
        let (start, before, answers, under_way) = (Instant::now(), call.answered, 60, 4);
        let mut large = server.join("r", "wide");
        large.joined();
        let ask = |large: &mut Client, i: usize| {
            let head: String = offer.split("m=").next().unwrap().to_owned() + &transport(&offer);
            let sections: String = (0..1_000).map(|mid| format!("{section}a=mid:{mid}x{i}\r\n")).collect();
            large.send(Ask::Offer(description(head + &sections)));
        };
        // A few are under way at a time: who sends without reading is a slow reader and sent away.
        (0..under_way).for_each(|i| ask(&mut large, i));
        for i in under_way..answers + under_way {
            large.wait("an answer", |m| {
                matches!(m, trtc_proto::livekit::signal_response::Message::Answer(_)).then_some(())
            });
            if i < answers {
                ask(&mut large, i);
            }
        }
        println!("{answers} answers of 1000 sections in {:?}", start.elapsed());
        assert_eq!(call.answered, before);
        large.send(Ask::Leave(LeaveRequest::default()));
    });
}

/// The transport lines of the first section, for the head of another description.
fn transport(sdp: &str) -> String {
    let names = ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup"];
    sdp.lines().filter(|l| names.iter().any(|n| l.starts_with(n))).take(4).map(|l| format!("{l}\r\n")).collect()
}

fn description(sdp: String) -> trtc_proto::livekit::SessionDescription {
    trtc_proto::livekit::SessionDescription { r#type: "offer".into(), sdp, ..Default::default() }
}

fn user(topic: &str, payload: Vec<u8>) -> DataPacket {
    let packet = UserPacket { payload, topic: Some(topic.into()), ..UserPacket::default() };
    DataPacket { value: Some(Value::User(packet)), ..DataPacket::default() }
}

fn send(call: &mut Call, label: &str, bytes: &[u8]) {
    // The peer takes a quarter of a megabyte at a time.
    while call.publisher.peer.send_data(Instant::now(), label, bytes).is_err() {
        call.turn();
    }
}

fn command_message(i: u32, length: usize) -> Vec<u8> {
    let (topic, payload) = command::encode(1, i, &vec![7; length]);
    user(&topic, payload).encode_to_vec()
}

#[test]
fn command_messages_above_the_limit_are_refused_and_told() {
    call_beside(|server, bystanders| {
        // 31 at once are a stalled path, not a flood.
        let mut honest = mallory(server, "honest");
        for i in 0..31 {
            send(&mut honest, "_reliable", &command_message(i, 100));
        }
        honest.until("all of them at Bob's", |_| bystanders.received_from("honest") == 31);
        assert!(honest.refusals().is_empty());

        let start = Instant::now();
        let mut flood = mallory(server, "flood");
        server.counts("trtc_data_rejected_total", || {
            for i in 0..300 {
                send(&mut flood, "_reliable", &command_message(i, 10));
            }
            flood.until("a refusal", |call| call.refusals().contains(&"more than 30 command messages a second"));
        });
        flood.until("what is allowed", |_| bystanders.received_from("flood") >= 60);
        flood.turn_for(Duration::from_millis(300));
        let (came, most) = (bystanders.received_from("flood"), 60.0 + 30.0 * start.elapsed().as_secs_f64());
        assert!(came as f64 <= most, "{came} of 300 command messages, at most {most}");

        let mut heavy = mallory(server, "heavy");
        server.counts("trtc_media_data_rejected_total", || {
            for i in 0..30 {
                send(&mut heavy, "_reliable", &command_message(i, 1_000));
            }
            heavy.until("a refusal", |call| {
                call.refusals().contains(&"more than 8000 bytes of command messages a second")
            });
        });
        heavy.until("what is allowed", |_| bystanders.received_from("heavy") >= 16);
    });
}

#[test]
fn other_data_above_the_limits_is_refused_and_told() {
    call_beside(|server, bystanders| {
        let many_names = (0..1_001).map(|i| i.to_string()).collect();
        let speaker = DataPacket { value: Some(Value::Speaker(vec![1; 9].into())), ..DataPacket::default() };
        let crowd = DataPacket { destination_identities: many_names, ..user("t", vec![1]) };
        let rate = "more than 64 KB of data a second";
        let long_command = user(&command::encode(1, 1, &[]).0, vec![7; 1_005]);
        let mut fat_command = user("trtc.cmd.1", vec![7; 10]);
        fat_command.participant_identity = "x".repeat(60_000);
        let cases: [(&str, DataPacket, usize, &str); 10] = [
            ("large", user("t", vec![7; 60_000]), 10, rate),
            // Neither a long topic nor emptiness nor a topic that only looks like a command is a way around the limit.
            ("wordy", user(&"t".repeat(60_000), Vec::new()), 10, rate),
            ("empty", user("", Vec::new()), 3_000, rate),
            ("almost a command", user("trtc.cmd.11", vec![7; 60_000]), 10, rate),
            ("fat command", fat_command, 10, rate),
            ("long command", long_command, 1, "command message longer than 1000 bytes"),
            ("oversize", user("t", vec![7; 70_000]), 1, "data packet longer than 65535 bytes"),
            ("crowd", crowd, 1, "data packet with more than 1000 destinations"),
            ("speaker", speaker, 1, "data packet of a kind that members do not send"),
            ("nothing", DataPacket::default(), 1, "data packet of a kind that members do not send"),
        ];
        for (name, packet, count, text) in cases {
            let mut call = mallory(server, name);
            let bytes = packet.encode_to_vec();
            let start = Instant::now();
            server.counts("trtc_data_rejected_total", || {
                for i in 0..count {
                    send(&mut call, ["_reliable", "_lossy"][usize::from(i % 2 == 1 && bytes.len() < 1_000)], &bytes);
                }
                // A machine that sends slower than the limit has to send for longer.
                call.until(text, |call| {
                    if count > 1 && start.elapsed() > Duration::from_secs(1) {
                        let now = Instant::now();
                        let mut another = |_: &i32| call.publisher.peer.send_data(now, "_reliable", &bytes).is_ok();
                        (0..500).take_while(&mut another).for_each(drop);
                    }
                    call.refusals().contains(&text)
                });
            });
            let allowed = 131_072.0 + 65_536.0 * start.elapsed().as_secs_f64();
            let most = if count == 1 { 0 } else { allowed as usize / bytes.len().max(128) };
            assert!(bystanders.received_from(name) <= most, "{name}");
        }
        let mut call = mallory(server, "garbled");
        server.counts("trtc_data_rejected_total", || {
            send(&mut call, "_lossy", &[0xff; 100]);
            call.until("a refusal", |call| call.refusals().contains(&"data packet is malformed"));
        });
        let mut claims = server.claims("r", "gagged");
        claims.video.as_mut().unwrap().can_publish_data = Some(false);
        let mut call = Call::connect(server, &claims);
        server.counts("trtc_data_rejected_total", || {
            send(&mut call, "_reliable", &command_message(1, 1));
            call.until("a refusal", |call| call.refusals().contains(&"no permission to send data"));
        });
        assert_eq!(bystanders.received_from("gagged"), 0);
    });
}
