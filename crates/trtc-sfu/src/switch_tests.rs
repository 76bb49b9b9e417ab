//! Three VP8 layers over a bad path to one subscriber that changes its mind all the time.
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use trtc_rtp::{Vp8Descriptor, write_rtp};

const FRAME: Duration = Duration::from_millis(33);
const PACKETS: u16 = 3;

/// One simulcast encoder: frames of three packets with numbers of its own.
struct Encoder {
    sequence: u16,
    timestamp: u32,
    picture_id: u16,
    tl0: u8,
    key: bool,
}

impl Encoder {
    /// The packets of the next frame, the layer in their last byte.
    fn frame(&mut self, layer: usize) -> Vec<Vec<u8>> {
        let key = std::mem::take(&mut self.key);
        self.timestamp = self.timestamp.wrapping_add(2_970);
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        self.tl0 = self.tl0.wrapping_add(1);
        let packet = |at: u16| {
            let (high, low) = (0x80 | (self.picture_id >> 8) as u8, self.picture_id as u8);
            let start = if at == 0 { 0x90 } else { 0x80 };
            let payload = [start, 0xc0, high, low, self.tl0, u8::from(!key || at > 0), layer as u8];
            let header = RtpHeader {
                marker: at + 1 == PACKETS,
                payload_type: 96,
                sequence: self.sequence.wrapping_add(at),
                timestamp: self.timestamp,
                ssrc: layer as u32 + 1,
            };
            let mut out = Vec::new();
            write_rtp(&mut out, &header, &[], &payload);
            out
        };
        let packets = (0..PACKETS).map(packet).collect();
        self.sequence = self.sequence.wrapping_add(PACKETS);
        packets
    }
}

/// What the subscriber holds of an output number.
#[derive(Debug)]
struct Got {
    layer: u8,
    key: bool,
    first: bool,
    timestamp: u64,
    picture: u64,
    tl0: u8,
}

struct Receiver {
    packets: BTreeMap<u64, Got>,
    sequences: trtc_rtp::Unwrapper,
    times: (u32, u64),
    pictures: (u16, u64),
}

impl Receiver {
    fn take(&mut self, header: &RtpHeader, shift: Vp8Shift, raw: &[u8]) {
        let mut payload = RtpPacket::parse(raw).expect("own packet").payload().to_vec();
        shift.apply(&mut payload);
        let descriptor = Vp8Descriptor::parse(&payload).expect("own payload");
        let behind = i64::from(header.timestamp.wrapping_sub(self.times.0) as i32);
        self.times = (header.timestamp, self.times.1.wrapping_add_signed(behind));
        let id = descriptor.numbers.picture_id;
        let step = ((id.wrapping_sub(self.pictures.0) << 1) as i16) >> 1;
        self.pictures = (id, self.pictures.1.wrapping_add_signed(i64::from(step)));
        let got = Got {
            layer: payload[6],
            key: descriptor.starts_key_frame,
            first: payload[0] & 0x10 != 0,
            timestamp: self.times.1,
            picture: self.pictures.1,
            tl0: descriptor.numbers.tl0_picture,
        };
        let sequence = self.sequences.unwrap(header.sequence);
        assert!(self.packets.insert(sequence, got).is_none(), "{sequence} came twice");
    }

    /// Continuous but for what the path lost, in time, and never in another layer without a key frame.
    fn judge(&self, lost_upstream: bool) {
        for ((left, a), (right, b)) in self.packets.iter().zip(self.packets.iter().skip(1)) {
            let gap = right - left - 1;
            assert!(lost_upstream || gap == 0, "a hole before {right} without loss");
            let forward = b.timestamp > a.timestamp;
            assert!(b.timestamp >= a.timestamp, "time runs back at {right}: {a:?} {b:?}");
            assert!(b.timestamp - a.timestamp < 90_000 * 4, "time jumps at {right}: {a:?} {b:?}");
            assert_eq!(b.picture > a.picture, forward, "a picture has one id at {right}: {a:?} {b:?}");
            assert!(b.picture - a.picture <= 1 + gap, "picture ids jump at {right}: {a:?} {b:?}");
            assert_eq!(b.tl0.wrapping_sub(a.tl0) as u64, b.picture - a.picture, "TL0PICIDX goes along at {right}");
            if a.layer != b.layer {
                assert!(gap > 0 || b.key && b.first, "another layer without a key frame at {right}: {a:?} {b:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn switches_are_seamless(
        wishes in proptest::collection::vec((1usize..40, proptest::option::weighted(0.85, 0u8..3)), 1..12),
        loss_percent in prop_oneof![Just(0u32), 1u32..20],
        late_percent in prop_oneof![Just(0u32), 1u32..20],
        first_sequence in any::<u16>(),
        seed in any::<u32>(),
    ) {
        let mut random = seed | 1;
        let mut dice = |percent: u32| {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random % 100 < percent
        };
        let config = TrackConfig { kind: MediaKind::Video, codec: Codec::Vp8, clock_rate: 90_000, nack: false, red: None };
        let (mut track, mut now) = (Track::new(config), Instant::now());
        let mut encoders = [0u32, 1, 2].map(|layer| Encoder {
            sequence: (seed.wrapping_mul(layer + 3)) as u16,
            timestamp: seed.wrapping_mul(layer + 7),
            picture_id: (seed.wrapping_mul(layer + 11) & 0x7fff) as u16,
            tl0: (seed >> layer) as u8,
            key: true,
        });
        (0..3).for_each(|layer| assert!(track.add_layer(layer + 1, layer as u8).is_some()));
        let subscriber = SubscriptionConfig {
            target: 0, ssrc: 7, payload_type: 96, red: None, rtx: None, extensions: Extensions::default(), first_sequence,
            after: None,
        };
        track.subscribe(now, subscriber);
        let mut receiver =
            Receiver { packets: BTreeMap::new(), sequences: trtc_rtp::Unwrapper::default(), times: (0, 1 << 40), pictures: (0, 1 << 40) };
        let mut late: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut delivered = 0;
        for (frames, wanted) in wishes {
            track.set_wanted(now, 7, wanted);
            for _ in 0..frames {
                while let Some(ssrc) = track.poll_key_request(now) {
                    encoders[ssrc as usize - 1].key = true;
                }
                now += FRAME;
                let mut batch = std::mem::take(&mut late);
                for (layer, encoder) in encoders.iter_mut().enumerate() {
                    for packet in encoder.frame(layer) {
                        if dice(loss_percent) {
                            continue;
                        }
                        if dice(late_percent) { late.push((layer, packet)) } else { batch.push((layer, packet)) }
                    }
                }
                for (layer, raw) in batch {
                    let packet = RtpPacket::parse(&raw).expect("own packet");
                    let Some(accepted) = track.accept(now, layer, &packet) else { continue };
                    track.forward(now, &[Arrival(accepted)], &mut |forward, _| {
                        delivered += 1;
                        receiver.take(&forward.header, forward.shift, &raw);
                    });
                }
            }
        }
        receiver.judge(loss_percent > 0 || late_percent > 0);
        prop_assert_eq!(delivered, receiver.packets.len());
        // What the path did not lose fills the holes when it is asked for again.
        let holes: Vec<u16> = receiver.packets.keys().zip(receiver.packets.keys().skip(1))
            .flat_map(|(a, b)| a + 1..*b).map(|sequence| sequence as u16).collect();
        let mut filled = Vec::new();
        track.nack(now, 7, Duration::ZERO, &holes, &mut |resend| filled.push((resend.header, resend.shift, resend.packet.to_vec())));
        for (header, shift, raw) in filled {
            receiver.take(&header, shift, &raw);
        }
        receiver.judge(loss_percent > 0 || late_percent > 0);
    }
}

struct Arrival(Accepted);

impl AsRef<Accepted> for Arrival {
    fn as_ref(&self) -> &Accepted {
        &self.0
    }
}
