use super::*;
use crate::ice::Credentials;

/// Whatever LiveKit and its clients say can be read.
#[test]
fn recorded_descriptions_parse() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdp");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let description = parse(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        count += 1;
        assert_eq!(description.sections.len(), text.matches("\nm=").count(), "{path:?}");
        for section in &description.sections {
            let media = section.kind != Kind::Application && section.direction != Direction::INACTIVE;
            assert!(!media || !section.codecs.is_empty(), "{path:?} {}", section.mid);
            assert!(section.codecs.iter().all(|codec| codec.clock_rate > 0));
        }
    }
    assert!(count > 80);
}

#[test]
fn what_we_write_is_what_we_read() {
    let text = include_str!("../../tests/sdp/js_dual_vp8_c1_client_offer2.sdp");
    let first = parse(text).unwrap();
    let credentials = Credentials { ufrag: "abcd".into(), password: "x".repeat(24) };
    let candidates = ["192.0.2.1:5000".parse().unwrap(), "[2001:db8::1]:5000".parse().unwrap()];
    let head = Head {
        tcp_candidates: &[],
        active_tcp: false,
        max_message_bytes: 1_000,
        session_id: 1,
        version: 2,
        ice_lite: true,
        credentials: &credentials,
        fingerprint: &first.fingerprint,
        setup: "actpass",
        candidates: &candidates,
    };
    let second = parse(&write(&head, first.sections.iter())).unwrap();
    assert_eq!((second.credentials, second.candidates), (credentials.clone(), candidates.to_vec()));
    assert!(second.ice_lite);
    for (a, b) in first.sections.iter().zip(&second.sections) {
        assert_eq!((a.kind, &a.mid, &a.codecs, &a.rids, &a.msid), (b.kind, &b.mid, &b.codecs, &b.rids, &b.msid));
        assert_eq!((&a.extensions, &a.ssrcs, &a.fid), (&b.extensions, &b.ssrcs, &b.fid));
    }
}

#[test]
fn candidates() {
    let parse = parse_candidate;
    assert_eq!(
        parse("candidate:2878742611 1 udp 2130706431 127.0.0.1 7882 typ host ufrag x"),
        Some("127.0.0.1:7882".parse().unwrap())
    );
    assert_eq!(
        parse("a=candidate:1 1 UDP 1 fd00::2 9 typ srflx raddr 0.0.0.0 rport 0"),
        Some("[fd00::2]:9".parse().unwrap())
    );
    for bad in [
        "candidate:1 2 udp 1 127.0.0.1 7882 typ host",
        "candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype active",
        "candidate:1 1 udp 1 0b1f.local 7882 typ host",
        "candidate:1 1 udp 1 127.0.0.1 0 typ host",
        "candidate:1 1 udp 1 0.0.0.0 1 typ host",
        "candidate:1 1 udp",
        "",
    ] {
        assert_eq!(parse(bad), None, "{bad}");
    }
}

/// WHIP clients repeat candidates per section under other credentials; only the bundle's own ones count.
#[test]
fn candidates_of_other_transports_are_ignored() {
    let whip = parse(include_str!("../../tests/sdp/whip_offer.sdp")).unwrap();
    assert!(
        whip.candidates.iter().all(|candidate| [48664, 44853].contains(&candidate.port())),
        "{:?}",
        whip.candidates
    );
}
