use super::*;

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// RFC 7714 16.1.1: the packet of the RFC under its session key.
#[test]
fn gcm_known_answer() {
    let key = hex("000102030405060708090a0b0c0d0e0f");
    let salt: [u8; 12] = hex("517569642070726f2071756f").try_into().unwrap();
    let gcm = Gcm::with_session_keys(&key, salt).unwrap();
    let plain = hex(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573",
    );
    let mut packet = plain.clone();
    gcm.seal_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b).unwrap();
    assert_eq!(
        packet,
        hex(
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf
             8833899d 7f27beb1 6a9152cf 765ee439 0cce"
        )
    );
    let length = gcm.open_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b).unwrap();
    assert_eq!(&packet[..length], plain);
}

/// The reference packet of libsrtp's `srtp_validate`.
#[test]
fn cm_known_answer() {
    let cm = Cm::new(&hex("e1f97a0d3e018be0d64fa32c06de4139"), &hex("0ec675ad498afeebb6960b3aabe6")).unwrap();
    let mut packet = hex("800f1234 decafbad cafebabe abababab abababab abababab abababab");
    cm.seal_rtp(&mut packet, 12, 0xcafe_babe, 0x1234).unwrap();
    assert_eq!(packet, hex("800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb"));
}

const PROFILES: [Profile; 3] = [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80];

fn pair(profile: Profile) -> (Srtp, Srtp) {
    let (key, salt) = profile.lengths();
    let keying: Vec<u8> = (0..2 * (key + salt)).map(|byte| byte as u8).collect();
    (Srtp::new(profile, &keying, true).unwrap(), Srtp::new(profile, &keying, false).unwrap())
}

fn rtp(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x90, 111, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xbe, 0xde, 0, 1, 0x10, 7, 0, 0];
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    packet.extend((0..100).map(|byte| byte as u8 ^ sequence as u8));
    packet
}

#[test]
fn rtp_round_trip_with_wrap_and_replay() {
    for profile in PROFILES {
        let (mut a, mut b) = pair(profile);
        let mut sequence = 65_500u16;
        for _ in 0..200 {
            let plain = rtp(sequence, 0xfeed_0001);
            let mut sealed = plain.clone();
            assert!(a.seal_rtp(&mut sealed));
            assert_ne!(sealed[20..40], plain[20..40], "encrypted");
            let mut once = sealed.clone();
            let length = b.open_rtp(&mut once).expect("opens");
            assert_eq!(&once[..length], plain, "{profile:?} {sequence}");
            assert!(b.open_rtp(&mut sealed.clone()).is_none(), "replay");
            sequence = sequence.wrapping_add(1);
        }
        assert_eq!((b.replayed, b.failed), (200, 0));
        let mut sealed = rtp(sequence, 0xfeed_0001);
        assert!(a.seal_rtp(&mut sealed));
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 0x40;
            assert!(b.open_rtp(&mut bad).is_none(), "{profile:?} byte {at}");
        }
        assert!(b.open_rtp(&mut sealed).is_some(), "forgeries leave no trace");
    }
}

#[test]
fn first_packet_after_a_wrap_is_found() {
    for profile in PROFILES {
        let (mut a, mut b) = pair(profile);
        assert!(a.seal_rtp(&mut rtp(65_534, 3)));
        let mut late = rtp(2, 3);
        assert!(a.seal_rtp(&mut late));
        assert!(b.open_rtp(&mut late).is_some(), "{profile:?}");
        let mut next = rtp(3, 3);
        assert!(a.seal_rtp(&mut next));
        assert!(b.open_rtp(&mut next).is_some());
    }
}

#[test]
fn rtcp_round_trip_and_replay() {
    for profile in PROFILES {
        let (mut a, mut b) = pair(profile);
        let plain = hex("80c90001 cafebabe 81ce0002 cafebabe 00000007");
        let mut first = plain.clone();
        assert!(a.seal_rtcp(&mut first));
        let mut second = plain.clone();
        assert!(a.seal_rtcp(&mut second));
        assert_ne!(first, second);
        let mut copy = second.clone();
        let length = b.open_rtcp(&mut copy).unwrap();
        assert_eq!(&copy[..length], plain);
        assert!(b.open_rtcp(&mut first.clone()).is_some(), "reordered is fine");
        assert!(b.open_rtcp(&mut first).is_none() && b.open_rtcp(&mut second).is_none(), "replays are not");
        assert_eq!(b.replayed, 2);
    }
}

#[test]
fn short_and_broken_packets_are_refused() {
    for profile in PROFILES {
        let (mut a, mut b) = pair(profile);
        for length in 0..40 {
            let mut packet = vec![0xbf; length];
            assert!(b.open_rtp(&mut packet.clone()).is_none());
            assert!(b.open_rtcp(&mut packet).is_none());
            let mut packet = vec![0xbf; length];
            assert!(!a.seal_rtp(&mut packet) || length > 12);
        }
        assert!(Srtp::new(profile, &[0; 55], true).is_none());
    }
}

/// A member of a room of hundreds gets three streams of each; one that pauses for long goes on where it was.
#[test]
fn a_stream_that_pauses_keeps_its_roll_over_counter() {
    let (mut a, mut b) = pair(Profile::AeadAes256Gcm);
    let mut pass = |ssrc, sequence| {
        let mut packet = rtp(sequence, ssrc);
        a.seal_rtp(&mut packet) && b.open_rtp(&mut packet).is_some()
    };
    assert!(pass(1, 65_535) && pass(1, 0), "wraps");
    assert!((2..=MAX_STREAMS as u32).all(|ssrc| pass(ssrc, 7)));
    assert!(pass(1, 1));
    assert!(!pass(u32::MAX, 7), "one too many is refused and takes nobody's place");
    assert!(pass(1, 2));
}
