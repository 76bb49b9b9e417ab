//! Offers of LiveKit's server and of its official clients, recorded from livekit-server 1.13.5, and what we answer.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod common;

use common::{Net, config, identity, pair_of, track};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_peer::{CodecSpec, Config, IceRole, Peer, PeerEvent, SendTrack, Setup, extension};
use trtc_types::{CodecKind, MediaKind};

fn recorded() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdp");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

fn recording(name: &str) -> String {
    recorded().into_iter().find(|(known, _)| known == name).unwrap().1
}

fn server() -> Peer {
    let config =
        Config { accept_any_codec: true, answer_rids: true, audio_redundancy: true, ..config(IceRole::Lite, 2) };
    Peer::new(Arc::new(config), identity(1))
}

fn client() -> Peer {
    Peer::new(Arc::new(config(IceRole::Controlled, 1)), identity(0))
}

fn section<'a>(sdp: &'a str, mid: &str) -> &'a str {
    let name = format!("a=mid:{mid}\r\n");
    sdp.split("m=").find(|section| section.contains(&name)).unwrap()
}

#[test]
fn every_recorded_offer_is_answered() {
    let offers = recorded().into_iter().filter(|(name, _)| name.contains("_offer"));
    let mut count = 0;
    for (name, offer) in offers {
        count += 1;
        for mut peer in [server(), client()] {
            let answer = peer.accept_offer(Instant::now(), &offer).unwrap_or_else(|error| panic!("{name}: {error}"));
            let lines = |sdp: &str| sdp.lines().filter(|line| line.starts_with("m=")).count();
            assert_eq!(lines(&answer), lines(&offer), "{name}");
            assert!(!answer.contains("m=audio 0") && !answer.contains("m=video 0"), "{name}: nothing is rejected");
            assert!(answer.contains("a=setup:passive") && !answer.contains("a=sendrecv"), "{name}");
            let sending = offer.matches("a=sendonly").count() + offer.matches("a=sendrecv").count();
            let active = peer.receive_sections().iter().filter(|section| section.direction_active).count();
            let application =
                offer.split("m=").any(|section| section.starts_with("app") && section.contains("a=sendrecv"));
            assert_eq!(active, sending - usize::from(application), "{name}");
        }
    }
    assert!(count > 40, "{count}");
}

#[test]
fn a_browser_publishing_simulcast_is_answered() {
    let mut peer = server();
    let answer = peer.accept_offer(Instant::now(), &recording("js_dual_vp8_c1_client_offer2.sdp")).unwrap();
    let video = section(&answer, "2");
    assert!(video.starts_with("video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 107 108 109"), "{video}");
    assert!(video.contains("a=recvonly\r\n") && video.contains("a=simulcast:recv q;h;f\r\n"));
    assert!(video.contains("a=rid:h recv\r\n") && video.contains(&format!("a=extmap:10 {}\r\n", extension::RID)));
    assert!(video.contains("a=rtcp-fb:96 transport-cc\r\n") && !video.contains("goog-remb"));
    assert!(!video.contains("ulpfec") && !video.contains("red/"), "nobody could decode what is sent in them");
    assert!(video.contains("a=fmtp:98 profile-id=0\r\n") && video.contains("a=rtpmap:45 AV1/90000\r\n"));
    let audio = section(&answer, "1");
    assert!(
        audio.starts_with("audio 9 UDP/TLS/RTP/SAVPF 63 111 "),
        "as livekit-server does: the browser sends RED then"
    );
    assert!(audio.contains("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"), "{audio}");
    assert!(audio.contains("a=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n"));
    let sections = peer.receive_sections();
    assert_eq!((sections[0].codecs[0].name.as_str(), sections[0].codecs[0].red_payload_type), ("opus", Some(63)));
    assert_eq!(sections[1].rids, ["q", "h", "f"]);
    assert_eq!(sections[1].msid.as_ref().unwrap().1, "32b73f63-ee84-4878-b869-dc74b303534e");
    assert_eq!((sections[1].codecs[0].name.as_str(), sections[1].codecs[0].rtx_payload_type), ("vp8", Some(97)));
    assert!(sections[1].extensions.contains(&(4, extension::MID.to_owned())));
    assert_eq!(sections[0].ssrcs, [3_513_701_480]);
}

/// RFC 2198 section 5: RED says which format it repeats.
#[test]
fn sound_is_repeated_only_where_both_sides_can_read_that() {
    let offer = recording("js_dual_vp8_c1_client_offer2.sdp");
    let red = |sdp: &str| section(sdp, "1").contains("red/");
    let answered = |mut peer: Peer, offer: &str| red(&peer.accept_offer(Instant::now(), offer).unwrap());
    assert!(answered(server(), &offer));
    assert!(!answered(client(), &offer), "our library does not read it");
    for unusable in ["a=fmtp:63 111/0\r\n", "a=fmtp:63 110/110\r\n", "a=fmtp:63 \r\n", ""] {
        assert!(!answered(server(), &offer.replace("a=fmtp:63 111/111\r\n", unusable)), "{unusable:?}");
    }
    let mut peer = server();
    peer.accept_offer(Instant::now(), &offer).unwrap();
    let spoken = peer.receive_sections()[0].clone();
    peer.prefer_codec(&spoken.msid.unwrap().1, "opus");
    assert!(!red(&peer.accept_offer(Instant::now(), &offer).unwrap()), "Opus by name is Opus alone");
}

#[test]
fn sound_that_comes_with_repetitions_is_offered_with_them() {
    let opus = |red_payload_type| CodecSpec {
        name: "opus".into(),
        clock_rate: 48_000,
        channels: 2,
        payload_type: 109,
        red_payload_type,
        ..CodecSpec::default()
    };
    let track = |spec: CodecSpec, ssrc| SendTrack {
        kind: MediaKind::Audio,
        codec: CodecKind::Opus,
        codec_spec: Some(spec),
        stream_id: "s".into(),
        track_id: format!("t{ssrc}"),
        ssrc,
        rtx_ssrc: None,
    };
    let (mut server, mut browser) = (server(), self::server());
    let sent =
        [Some(120), None, Some(99)].map(|red| server.add_send(track(opus(red), 10 + u32::from(red.unwrap_or(0)))));
    let offer = server.create_offer();
    assert_eq!(offer.matches("SAVPF 111 63\r\n").count(), 2, "{offer}");
    assert_eq!(offer.matches("SAVPF 111\r\n").count(), 1, "{offer}");
    let answer = browser.accept_offer(Instant::now(), &offer).unwrap();
    server.accept_answer(Instant::now(), &answer).unwrap();
    let red = |server: &Peer| sent.map(|section| server.send_params(section).unwrap().red_payload_type);
    assert_eq!(red(&server), [Some(63), None, Some(63)]);
    let plain = client().accept_offer(Instant::now(), &server.create_offer()).unwrap();
    server.accept_answer(Instant::now(), &plain).unwrap();
    assert_eq!(red(&server), [None; 3]);
}

/// The JavaScript client leaves the order of codecs to the server.
#[test]
fn the_server_chooses_the_codec_that_a_browser_sends() {
    let offer = recording("js_dual_h264_c1_client_offer2.sdp");
    let mut peer = server();
    peer.prefer_codec("", "VP9");
    peer.prefer_codec("no such track", "av1");
    let answer = peer.accept_offer(Instant::now(), &offer).unwrap();
    assert!(section(&answer, "2").starts_with("video 9 UDP/TLS/RTP/SAVPF 98 99 100 101 96 97"), "{answer}");
    assert!(section(&answer, "1").starts_with("audio 9 UDP/TLS/RTP/SAVPF 63 111 "));
    let track = peer.receive_sections()[1].msid.clone().unwrap().1;
    peer.prefer_codec(&track, "h264");
    let answer = peer.accept_offer(Instant::now(), &offer).unwrap();
    assert!(section(&answer, "2").starts_with("video 9 UDP/TLS/RTP/SAVPF 102 103 108 109 116 117 104 107"), "{answer}");
    assert_eq!(peer.receive_sections()[1].codecs[0].name, "h264");
}

#[test]
fn a_livekit_subscription_is_answered_with_our_codecs() {
    let mut peer = client();
    let answer = peer.accept_offer(Instant::now(), &recording("raw_join_h264pub_server_offer3.sdp")).unwrap();
    let video = section(&answer, "2");
    assert!(video.starts_with("video 9 UDP/TLS/RTP/SAVPF 108 109 102 103\r\n"), "{video}");
    assert!(video.contains("a=recvonly") && video.contains("goog-remb"), "REMB where nothing better is offered");
    assert!(video.contains(&format!("a=extmap:3 {}", extension::ABS_SEND_TIME)));
    assert!(section(&answer, "0").starts_with("application 9"));
    let sections = peer.receive_sections();
    assert_eq!(sections[1].fid, [(1_363_646_525, 586_272_088)]);
    assert_eq!(sections[1].msid.as_ref().unwrap().1, "TR_VC3wSPXsX6XPWE");
}

#[test]
fn an_undecodable_section_is_kept() {
    let offer = recording("raw_join_h264pub_server_offer3.sdp").replace("H264/90000", "VP9/90000");
    let answer = client().accept_offer(Instant::now(), &offer).unwrap();
    assert!(section(&answer, "2").starts_with("video 9 UDP/TLS/RTP/SAVPF 96 97 108 109 102 103\r\n"), "{answer}");
}

#[test]
fn subscriptions_keep_the_publishers_codec_and_reuse_sections() {
    let mut net = Net::new(pair_of(IceRole::Lite, IceRole::Controlled, Setup::Passive), 1);
    let now = net.now;
    net.peers[0].create_channel(now, "_reliable", true, None);
    let vp9 = CodecSpec {
        name: "VP9".into(),
        clock_rate: 90_000,
        channels: 1,
        fmtp: "profile-id=2;x-google-start-bitrate=1000".into(),
        ..Default::default()
    };
    let mut video = track(MediaKind::Video, 500);
    video.codec = CodecKind::Other("vp9".into());
    video.codec_spec = Some(vp9.clone());
    let first = net.peers[0].add_send(video.clone());
    let h264 = net.peers[0].add_send(track(MediaKind::Video, 600));
    let (offer, _) = net.negotiate(0);
    assert!(section(&offer, "0").starts_with("application"), "the application section comes first");
    assert_eq!(net.peers[0].section_mid(first).as_deref(), Some("1"));
    assert!(section(&offer, "1").contains("a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=2\r\n"), "{offer}");
    assert!(section(&offer, "1").contains("a=ssrc-group:FID 500 501\r\n"));
    assert!(section(&offer, "2").starts_with("video 9 UDP/TLS/RTP/SAVPF 108 109\r\n"));
    assert_eq!(net.peers[0].send_params(first).unwrap().payload_type, 98);
    // another profile of the same codec needs another payload type in the bundle
    video.codec_spec = Some(CodecSpec { fmtp: "profile-id=0".into(), ..vp9 });
    (video.ssrc, video.rtx_ssrc) = (700, Some(701));
    let other = net.peers[0].add_send(video);
    let (offer, _) = net.negotiate(0);
    assert!(section(&offer, "3").starts_with("video 9 UDP/TLS/RTP/SAVPF 100 101\r\n"), "{offer}");
    // a section is used again only after the other side saw it inactive
    net.peers[0].remove_send(h264);
    let early = net.peers[0].add_send(track(MediaKind::Video, 800));
    assert_eq!(net.peers[0].section_mid(early).as_deref(), Some("4"));
    net.negotiate(0);
    let late = net.peers[0].add_send(track(MediaKind::Video, 900));
    assert_eq!(net.peers[0].section_mid(late).as_deref(), Some("2"));
    assert!(net.peers[0].send_params(late).is_none());
    let (offer, answer) = net.negotiate(0);
    assert!(section(&offer, "2").contains("a=msid:stream track900\r\n"));
    assert!(section(&answer, "2").contains("a=recvonly"));
    assert_eq!(net.peers[0].send_params(late).unwrap().mid, "2");
    assert!(net.peers[0].send_params(h264).is_none() && net.peers[0].send_params(other).is_some());
    let active: Vec<bool> = net.peers[1].receive_sections().iter().map(|section| section.direction_active).collect();
    assert_eq!(active, [true; 4]);
}

#[test]
fn a_track_added_while_an_offer_is_out_waits_for_the_next() {
    let mut net = Net::new(pair_of(IceRole::Lite, IceRole::Controlled, Setup::Passive), 2);
    net.peers[0].add_send(track(MediaKind::Audio, 1));
    let offer = net.peers[0].create_offer();
    let answer = net.peers[1].accept_offer(net.now, &offer).unwrap();
    let late = net.peers[0].add_send(track(MediaKind::Audio, 2));
    let now = net.now;
    net.peers[0].create_channel(now, "late", true, None);
    net.peers[0].accept_answer(net.now, &answer).unwrap();
    assert!(net.peers[0].send_params(late).is_none());
    let (offer, _) = net.negotiate(0);
    assert_eq!(net.peers[0].send_params(late).unwrap().mid, "1");
    assert!(section(&offer, "2").starts_with("application"));
    let opened = |net: &Net| net.events[1].contains(&PeerEvent::ChannelOpen { label: "late".into() });
    assert!(net.run_until(Duration::from_secs(5), opened).is_some());
}

#[test]
fn an_answer_can_send() {
    let mut net = Net::new(pair_of(IceRole::Controlling, IceRole::Lite, Setup::Active), 3);
    // a WHEP-like offer: sections that only receive, opus elsewhere than with us
    let sending = net.peers[1].add_send(track(MediaKind::Audio, 42));
    let offer = recording("js_dual_vp8_c1_client_offer2.sdp").replace("a=sendonly", "a=recvonly").replace("111", "109");
    let answer = net.peers[1].accept_offer(net.now, &offer).unwrap();
    let audio = section(&answer, "1");
    assert!(audio.starts_with("audio 9 UDP/TLS/RTP/SAVPF 109\r\n"), "{audio}");
    assert!(audio.contains("a=sendonly") && audio.contains("a=msid:stream track42") && audio.contains("a=ssrc:42 "));
    assert!(answer.contains("a=setup:active") && section(&answer, "2").contains("a=inactive"));
    let params = net.peers[1].send_params(sending).unwrap();
    assert_eq!((params.payload_type, params.ext_mid, params.mid.as_str()), (109, Some(4), "1"));
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let mut net = Net::new(pair_of(IceRole::Controlling, IceRole::Lite, Setup::Passive), 4);
    net.peers[0].add_send(track(MediaKind::Audio, 1));
    net.peers[0].add_send(track(MediaKind::Video, 2));
    let (offer, answer) = net.negotiate(0);
    let now = net.now;
    let shorter = &offer[..offer.find("m=video").unwrap()];
    for bad in ["", "v=0", "v=0\r\nm=message 9 x y\r\n", shorter, &offer.replace("m=audio", "m=video")] {
        assert!(net.peers[1].accept_offer(now, bad).is_err(), "{bad:?}");
    }
    net.peers[0].create_offer();
    assert!(net.peers[0].accept_answer(now, &answer[..answer.find("m=video").unwrap()]).is_err());
    assert_eq!(net.peers[1].receive_sections().len(), 2);
    net.negotiate(0);
}

#[test]
fn only_validated_addresses_are_heard() {
    let mut net = Net::new(pair_of(IceRole::Controlling, IceRole::Lite, Setup::Passive), 6);
    net.peers[0].add_send(track(MediaKind::Audio, 1));
    net.negotiate(0);
    assert!(net.run_until(Duration::from_secs(5), Net::both_connected).is_some());
    let mut packet = vec![0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9, 9];
    net.peers[0].seal_rtp(&mut packet).unwrap();
    net.deliver(1, common::address(66), packet.clone());
    assert_eq!((net.rtp[1].len(), net.peers[1].counters().unvalidated), (0, 1));
    net.deliver(1, common::address(1), packet);
    assert_eq!(net.rtp[1].len(), 1);
}

#[test]
fn a_relay_keeps_every_codec_of_the_offer_and_sends_in_any() {
    let offer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=ice-ufrag:abcd\r\n\
        a=ice-pwd:0123456789012345678901\r\n\
        a=fingerprint:sha-256 AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n\
        a=setup:actpass\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96 97 102\r\na=bundle-only\r\na=mid:1\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1\r\n";
    let mut peer = server();
    let video = peer.add_relay(MediaKind::Video, "s", "v", 10, Some(12));
    let second = peer.add_relay(MediaKind::Video, "s", "w", 20, None);
    let answer = peer.accept_offer(Instant::now(), offer).unwrap();
    assert_eq!(answer.lines().filter(|line| line.starts_with("m=")).count(), 2, "what found no place is not offered");
    let section = section(&answer, "1");
    assert!(section.contains("a=sendonly") && section.contains("VP8") && section.contains("H264"), "{section}");
    assert!(section.starts_with("video 9 ") && section.contains("a=ssrc-group:FID 10 12"), "{section}");
    assert!(answer.contains("a=inactive"), "nothing is sent where nothing was added");
    let codec = |name: &str, fmtp: &str| CodecSpec {
        name: name.into(),
        fmtp: fmtp.into(),
        clock_rate: 90_000,
        channels: 1,
        ..CodecSpec::default()
    };
    let types = |peer: &Peer, spec| peer.send_params_as(video, &spec).map(|p| (p.payload_type, p.rtx_payload_type));
    assert_eq!(types(&peer, codec("vp8", "")), Some((96, Some(97))));
    assert_eq!(types(&peer, codec("h264", "packetization-mode=1;profile-level-id=640c1f")), Some((102, None)));
    assert_eq!(types(&peer, codec("vp9", "")), None);
    assert!(peer.send_params_as(second, &codec("vp8", "")).is_none());
}
