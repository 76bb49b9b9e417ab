use super::*;

/// Two ends with a channel between them, and a packet that the second one sent.
struct Pair {
    now: Instant,
    ends: [Sctp; 2],
    sample: Bytes,
}

impl Pair {
    fn connected() -> Self {
        let now = Instant::now();
        let shared = Shared::new();
        let mut pair = Self { now, ends: [Sctp::new(&shared), Sctp::new(&shared)], sample: Bytes::new() };
        pair.ends[0].create(now, "channel", Reliability::new(true, None));
        pair.ends[1].start(now, false);
        pair.ends[0].start(now, true);
        pair.run();
        for end in &mut pair.ends {
            assert!(matches!(end.poll_event(), Some(SctpEvent::Open(label)) if label == "channel"));
        }
        pair
    }

    fn run(&mut self) {
        for _ in 0..100 {
            self.now += INTERVAL;
            for from in 0..2 {
                for packet in self.ends[from].poll_burst(self.now) {
                    if from == 1 {
                        self.sample = packet.clone();
                    }
                    self.ends[1 - from].feed(self.now, packet);
                }
            }
        }
    }

    /// A packet with one chunk for the first end.
    fn forge(&self, chunk: &[u8]) -> Bytes {
        let mut packet = [&self.sample[..8], &[0; 4], chunk].concat();
        let checksum = crc32c(&packet);
        packet[8..12].copy_from_slice(&checksum.to_le_bytes());
        Bytes::from(packet)
    }
}

/// RFC 9260 appendix A.
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)))
}

fn told(end: &mut Sctp) -> Vec<String> {
    std::iter::from_fn(|| end.poll_event()).map(|event| format!("{event:?}")).collect()
}

#[test]
fn a_shutdown_ends_the_association() {
    let mut pair = Pair::connected();
    let (_, association) = pair.ends[1].association.as_mut().unwrap();
    association.shutdown().unwrap();
    pair.ends[1].pump(pair.now);
    pair.run();
    assert_eq!(told(&mut pair.ends[0]), [r#"Closed("channel")"#, "Ended"]);
    assert!(pair.ends[0].send(pair.now, "channel", b"late", false).is_err());
}

/// Browsers and pion close with an ABORT, which may also tell an error.
#[test]
fn an_abort_is_a_farewell_or_a_failure() {
    let plain = [6, 0, 0, 4];
    let by_user = [6, 0, 0, 8, 0, 12, 0, 4];
    let violation = [6, 0, 0, 8, 0, 13, 0, 4];
    for (abort, end) in [(&plain[..], "Ended"), (&by_user, "Ended"), (&violation, "Failed(")] {
        let mut pair = Pair::connected();
        let packet = pair.forge(abort);
        pair.ends[0].feed(pair.now, packet);
        let told = told(&mut pair.ends[0]);
        assert!(matches!(&told[..], [closed, how] if closed.starts_with("Closed") && how.starts_with(end)), "{told:?}");
    }
}

#[test]
fn other_packets_are_no_farewell() {
    let mut pair = Pair::connected();
    pair.ends[1].send(pair.now, "channel", &[6; 5000], false).unwrap();
    pair.run();
    assert!(matches!(pair.ends[0].poll_event(), Some(SctpEvent::Data { data, .. }) if data.len() == 5000));
    for nonsense in [&[][..], &[0; 12], &[0; 14], &[0; 40], &[0, 0, 0, 0, 6, 0, 0, 4]] {
        assert!(!is_farewell(nonsense), "{nonsense:?}");
    }
}
