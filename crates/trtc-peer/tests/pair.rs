//! Two of our peers in virtual time.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod common;

use common::{Net, address, pair_of, track};
use std::time::Duration;
use trtc_peer::{IceRole, PeerEvent, Setup, TurnServer};
use trtc_types::{Code, MediaKind};

const ROLES: [(IceRole, IceRole); 3] = [
    (IceRole::Controlling, IceRole::Lite),
    (IceRole::Lite, IceRole::Controlled),
    (IceRole::Controlling, IceRole::Controlled),
];

fn connected(roles: (IceRole, IceRole), setup: Setup, seed: u64) -> Net {
    let mut net = Net::new(pair_of(roles.0, roles.1, setup), seed);
    let now = net.now;
    net.peers[0].create_channel(now, "_reliable", true, None);
    net.peers[0].create_channel(now, "_lossy", false, Some(0));
    net.negotiate(0);
    let open = |net: &Net| (0..2).all(|of| opened(net, of) == 2);
    assert!(net.run_until(Duration::from_secs(5), open).is_some(), "{roles:?} {setup:?}: {:?}", net.events);
    assert!(net.both_connected());
    net
}

fn opened(net: &Net, of: usize) -> usize {
    net.events[of].iter().filter(|event| matches!(event, PeerEvent::ChannelOpen { .. })).count()
}

fn data_of(net: &Net, of: usize, wanted: &str) -> Vec<Vec<u8>> {
    let data = |event: &PeerEvent| match event {
        PeerEvent::Data { label, data, .. } if label == wanted => Some(data.to_vec()),
        _ => None,
    };
    net.events[of].iter().filter_map(data).collect()
}

#[test]
fn media_and_data_in_all_roles() {
    for roles in ROLES {
        for setup in [Setup::Passive, Setup::Active] {
            let mut net = connected(roles, setup, 1);
            let audio = net.peers[0].add_send(track(MediaKind::Audio, 1000));
            let video = net.peers[0].add_send(track(MediaKind::Video, 2000));
            assert!(net.peers[0].send_params(audio).is_none(), "nothing before the answer");
            net.negotiate(0);
            let params = net.peers[0].send_params(video).unwrap();
            assert_eq!((params.payload_type, params.rtx_payload_type), (108, Some(109)));
            assert_eq!((params.ext_mid, params.ext_twcc, params.ext_abs_send_time), (Some(4), Some(3), None));
            let params = net.peers[0].send_params(audio).unwrap();
            assert_eq!((params.payload_type, params.ext_audio_level), (111, Some(1)));
            for sequence in 65_500..65_600u32 {
                assert!(net.send_rtp(0, 1000, 111, sequence as u16));
                assert!(net.send_rtp(0, 2000, 108, sequence as u16));
            }
            let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, 1];
            assert_eq!(net.peers[1].seal_rtcp(&mut report), Some(address(1)));
            net.send(1, report);
            let now = net.now;
            for size in [0, 1, 1000, 60_000, 200_000] {
                net.peers[0].send_data(now, "_reliable", &vec![7; size]).unwrap();
            }
            net.peers[1].send_data(now, "_lossy", b"back").unwrap();
            net.run(Duration::from_secs(2));
            assert_eq!((net.rtp[1].len(), net.rtcp[0].len()), (200, 1));
            let sizes: Vec<usize> = data_of(&net, 1, "_reliable").iter().map(Vec::len).collect();
            assert_eq!(sizes, [0, 1, 1000, 60_000, 200_000]);
            assert_eq!(data_of(&net, 0, "_lossy"), [b"back"]);
            let sections = net.peers[1].receive_sections();
            assert_eq!(sections.len(), 2);
            assert!(sections.iter().all(|section| section.direction_active));
            assert_eq!(sections[1].fid, [(2000, 2001)]);
            assert_eq!(sections[1].msid, Some(("stream".into(), "track2000".into())));
            assert!(net.peers.iter().all(|peer| peer.counters().srtp_failed == 0));
            net.peers[0].close(net.now);
            net.run(Duration::from_secs(1));
            assert_eq!(net.events[1].last(), Some(&PeerEvent::Closed));
        }
    }
}

/// 200 handshakes each: every one of them within the connect deadline of 30 s.
#[test]
fn handshakes_at_loss() {
    for loss in [10, 30] {
        let mut times = Vec::new();
        let mut restarts = 0;
        for seed in 0..200u64 {
            let roles = ROLES[seed as usize % 3];
            let setup = if seed % 2 == 0 { Setup::Passive } else { Setup::Active };
            let mut net = Net::new(pair_of(roles.0, roles.1, setup), 77 + seed * 1_000_003);
            net.wire.loss_percent = loss;
            net.peers[0].add_send(track(MediaKind::Audio, 1000));
            net.negotiate(0);
            let time = net.run_until(Duration::from_secs(30), Net::both_connected);
            times.push(time.unwrap_or_else(|| panic!("loss {loss} seed {seed} {roles:?}: {:?}", net.events)));
            restarts += net.peers.iter().map(|peer| peer.counters().dtls_restarts).sum::<u64>();
        }
        times.sort();
        println!(
            "loss {loss} %: median {:?}, p95 {:?}, max {:?}, restarts {restarts}",
            times[100], times[190], times[199]
        );
        assert!(times[190] < Duration::from_secs(5));
    }
}

#[test]
fn data_survives_loss() {
    let mut net = connected(ROLES[0], Setup::Passive, 5);
    net.wire.loss_percent = 10;
    let now = net.now;
    for number in 0..40u8 {
        net.peers[0].send_data(now, "_reliable", &vec![number; 1000]).unwrap();
    }
    net.run(Duration::from_secs(60));
    let received: Vec<u8> = data_of(&net, 1, "_reliable").iter().map(|data| data[0]).collect();
    assert_eq!(received, (0..40).collect::<Vec<u8>>());
}

/// Messages that may be lost are, but once the path is whole again the next ones arrive, long ones too.
#[test]
fn a_lossy_channel_recovers_from_a_bad_path() {
    for seed in 0..200u64 {
        let mut net = connected(ROLES[seed as usize % 3], Setup::Passive, 500 + seed);
        net.wire.loss_percent = [30, 60, 100][seed as usize / 3 % 3];
        net.wire.delay = Duration::from_millis([25, 60, 125][seed as usize / 9 % 3]);
        for length in [5_000, 100, 60_000, 1_300] {
            let now = net.now;
            net.peers[0].send_data(now, "_lossy", &vec![1; length]).unwrap();
            net.run(Duration::from_millis(700));
        }
        net.wire.loss_percent = 0;
        let came = |net: &Net| data_of(net, 1, "_lossy").iter().any(|data| data[0] == 2);
        let arrived = (0..15).any(|_| {
            let now = net.now;
            let _ = net.peers[0].send_data(now, "_lossy", &vec![2; 5_000]);
            net.run_until(Duration::from_secs(2), came).is_some()
        });
        assert!(arrived, "seed {seed}: {:?}", data_of(&net, 1, "_lossy").iter().map(Vec::len).collect::<Vec<_>>());
    }
}

#[test]
fn sends_are_limited() {
    let mut net = connected(ROLES[0], Setup::Passive, 6);
    let now = net.now;
    assert!(net.peers[0].send_data(now, "_reliable", &vec![0; 300_000]).is_err());
    assert!(net.peers[0].send_data(now, "nowhere", b"x").is_err());
    let accepted = (0..100).filter(|_| net.peers[0].send_data(now, "_reliable", &vec![0; 60_000]).is_ok()).count();
    assert!((4..=6).contains(&accepted), "{accepted}");
}

/// RFC 8841: each side says what it takes, and the other one keeps to it.
#[test]
fn messages_are_as_long_as_the_other_side_takes() {
    let mut configs = pair_of(ROLES[0].0, ROLES[0].1, Setup::Passive);
    configs[1].max_message_bytes = 65_535;
    let mut net = Net::new(configs, 13);
    net.peers[0].create_channel(net.now, "_reliable", true, None);
    let (offer, answer) = net.negotiate(0);
    assert!(offer.contains("a=max-message-size:262144\r\n") && answer.contains("a=max-message-size:65535\r\n"));
    assert!(net.run_until(Duration::from_secs(5), |net| (0..2).all(|of| opened(net, of) == 1)).is_some());
    let now = net.now;
    let refused = net.peers[0].send_data(now, "_reliable", &vec![0; 65_536]).unwrap_err();
    assert_eq!(refused.code, Code::INVALID_PARAMETER);
    assert!(refused.message.contains("at most 65535 bytes, got 65536"), "{refused}");
    net.peers[0].send_data(now, "_reliable", &vec![1; 65_535]).unwrap();
    net.peers[1].send_data(now, "_reliable", &vec![2; 65_536]).unwrap();
    // Who was not told sends more: it is the host that refuses.
    net.run(Duration::from_secs(1));
    let lie = answer.replace("a=max-message-size:65535", "a=max-message-size:0");
    net.peers[0].create_offer();
    net.peers[0].accept_answer(net.now, &lie).unwrap();
    net.peers[0].send_data(net.now, "_reliable", &vec![3; 200_000]).unwrap();
    net.run(Duration::from_secs(2));
    let came = |of| data_of(&net, of, "_reliable").iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!((came(0), came(1)), (vec![65_536], vec![65_535, 200_000]));
}

#[test]
fn idle_peers_need_few_timers() {
    let mut net = connected(ROLES[0], Setup::Passive, 7);
    net.run(Duration::from_secs(10));
    net.ticks = 0;
    net.run(Duration::from_secs(60));
    assert!(net.ticks < 60, "only consent: {}", net.ticks);
    assert!(net.both_connected());
}

#[test]
fn ice_restart_keeps_media_flowing() {
    for roles in ROLES {
        for restarter in 0..2 {
            let mut net = connected(roles, Setup::Passive, 8);
            net.peers[0].add_send(track(MediaKind::Audio, 1000));
            net.negotiate(0);
            net.events = Default::default();
            let old = net.peers[restarter].local_ufrag().to_owned();
            net.peers[restarter].restart_ice();
            assert!(net.peers[restarter].owns_ufrag(&old) && net.peers[restarter].local_ufrag() != old);
            for sequence in 0..50 {
                if sequence == 10 {
                    net.negotiate(restarter);
                }
                assert!(net.send_rtp(0, 1000, 111, sequence));
                net.run(Duration::from_millis(20));
            }
            net.run(Duration::from_secs(1));
            assert_eq!(net.rtp[1].len(), 50);
            for of in 0..2 {
                assert_eq!(net.events[of], [PeerEvent::Connected], "{roles:?} {restarter} {of}");
            }
        }
    }
}

#[test]
fn a_dead_path_is_told_and_a_restart_revives_it() {
    for roles in ROLES {
        let mut net = connected(roles, Setup::Passive, 9);
        net.events = Default::default();
        net.wire.loss_percent = 100;
        net.run(Duration::from_secs(25));
        for of in 0..2 {
            assert!(matches!(net.events[of][..], [PeerEvent::Failed(_)]), "{:?}", net.events);
            assert!(!net.peers[of].is_connected());
        }
        net.wire.loss_percent = 0;
        net.events = Default::default();
        net.peers[0].restart_ice();
        net.negotiate(0);
        net.run(Duration::from_secs(3));
        assert!(net.both_connected(), "{roles:?} {:?}", net.events);
        assert!(net.events.iter().all(|events| events.contains(&PeerEvent::Connected)));
        let now = net.now;
        net.peers[0].send_data(now, "_reliable", b"again").unwrap();
        net.run(Duration::from_secs(12));
        assert_eq!(data_of(&net, 1, "_reliable"), [b"again"]);
    }
}

#[test]
fn nothing_connects_without_an_answer_from_the_network() {
    let mut net = Net::new(pair_of(IceRole::Controlling, IceRole::Lite, Setup::Passive), 10);
    net.peers[0].add_send(track(MediaKind::Audio, 1000));
    net.wire.loss_percent = 100;
    net.negotiate(0);
    net.run(Duration::from_secs(40));
    for of in 0..2 {
        assert!(matches!(&net.events[of][..], [PeerEvent::Failed(reason)] if reason.starts_with("ICE")));
    }
}

#[test]
fn a_restart_of_ice_tries_the_relays_again() {
    let mut net = Net::new(pair_of(IceRole::Controlling, IceRole::Controlled, Setup::Passive), 12);
    net.peers[0].add_send(track(MediaKind::Audio, 1000));
    let (server, username, password) = (address(9), "user".into(), "secret".into());
    net.peers[1].add_turn_server(net.now, TurnServer { address: server, username, password });
    for _ in 0..2 {
        let offer = net.peers[0].create_offer();
        net.peers[1].accept_offer(net.now, &offer).unwrap();
        let (end, mut asked) = (net.now + Duration::from_secs(60), false);
        while net.now < end {
            net.peers[1].tick(net.now);
            asked |= std::iter::from_fn(|| net.peers[1].poll_send()).filter(|(to, _)| *to == server).count() > 0;
            net.now += Duration::from_millis(50);
        }
        assert!(asked);
        net.peers[0].restart_ice();
    }
}

#[test]
fn a_wrong_certificate_is_refused() {
    let mut net = Net::new(pair_of(IceRole::Controlling, IceRole::Lite, Setup::Passive), 11);
    net.peers[0].add_send(track(MediaKind::Audio, 1000));
    let offer = net.peers[0].create_offer();
    let answer = net.peers[1].accept_offer(net.now, &offer).unwrap();
    let at = answer.find("sha-256 ").unwrap() + 8;
    let mut forged = answer.clone();
    forged.replace_range(at..at + 2, if &answer[at..at + 2] == "AA" { "BB" } else { "AA" });
    net.peers[0].accept_answer(net.now, &forged).unwrap();
    net.run(Duration::from_secs(5));
    assert!(net.events[0].iter().any(|event| matches!(event, PeerEvent::Failed(why) if why.contains("certificate"))));
    assert!(!net.events[0].contains(&PeerEvent::Connected));
    assert!(!net.send_rtp(0, 1, 111, 1), "no media");
}
