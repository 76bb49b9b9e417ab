use super::*;
use trtc_rtp::write_rtp;

const KEY: &[u8] = &[0x67, 1, 2, 3];
const DELTA: &[u8] = &[0x41, 1, 2, 3];

struct Rig {
    track: Track,
    now: Instant,
    sent: Vec<(u64, RtpHeader, Vec<u8>)>,
}

struct Packet(Accepted, Vec<u8>);

impl AsRef<Accepted> for Packet {
    fn as_ref(&self) -> &Accepted {
        &self.0
    }
}

impl Rig {
    fn new(kind: MediaKind, codec: Codec, clock_rate: u32) -> Self {
        let track = Track::new(TrackConfig { kind, codec, clock_rate, nack: kind == MediaKind::Video, red: None });
        Self { track, now: Instant::now(), sent: Vec::new() }
    }

    fn video(layers: &[(u32, u8)]) -> Self {
        let mut rig = Self::new(MediaKind::Video, Codec::H264, 90_000);
        layers.iter().for_each(|(ssrc, rid)| assert!(rig.track.add_layer(*ssrc, *rid).is_some()));
        rig
    }

    fn subscribe(&mut self, ssrc: u32, rtx: Option<(u32, u8)>) {
        let config = SubscriptionConfig {
            target: u64::from(ssrc),
            ssrc,
            payload_type: 100,
            red: None,
            rtx,
            extensions: Extensions::default(),
            first_sequence: 65_530,
            after: None,
        };
        self.track.subscribe(self.now, config);
    }

    /// Returns to how many it went; `None` when it was dropped.
    fn packet(&mut self, layer: usize, sequence: u16, timestamp: u32, payload: &[u8]) -> Option<usize> {
        let accepted = self.accept(layer, sequence, timestamp, payload)?;
        let before = self.sent.len();
        self.forward(&[accepted]);
        Some(self.sent.len() - before)
    }

    fn accept(&mut self, layer: usize, sequence: u16, timestamp: u32, payload: &[u8]) -> Option<Packet> {
        let header = RtpHeader { marker: true, payload_type: 96, sequence, timestamp, ssrc: 1 };
        let mut raw = Vec::new();
        write_rtp(&mut raw, &header, &[], payload);
        let packet = RtpPacket::parse(&raw).expect("own packet");
        Some(Packet(self.track.accept(self.now, layer, &packet)?, payload.to_vec()))
    }

    fn forward(&mut self, packets: &[Packet]) {
        let sent = &mut self.sent;
        self.track.forward(self.now, packets, &mut |f, packet| {
            sent.push((f.subscription.config.target, f.header, packet.1[f.skip..].to_vec()));
        });
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn sent_numbers(&mut self) -> Vec<(u16, u32)> {
        self.sent.drain(..).map(|(_, h, _)| (h.sequence, h.timestamp)).collect()
    }
}

#[test]
fn audio_flows_at_once_with_gaps_and_late_packets_in_place() {
    let mut rig = Rig::new(MediaKind::Audio, Codec::Opaque, 48_000);
    assert_eq!(rig.track.add_layer(1, 0), Some(0));
    rig.subscribe(7, None);
    for (sequence, time) in [(100, 0), (101, 960), (104, 3_840), (103, 2_880), (103, 2_880)] {
        rig.packet(0, sequence, time, b"opus");
    }
    assert_eq!(rig.sent[0].1.ssrc, 7);
    assert_eq!(rig.sent[0].1.payload_type, 100);
    assert!(rig.sent[0].1.marker);
    assert_eq!(rig.sent_numbers(), [(65_530, 0), (65_531, 960), (65_534, 3_840), (65_533, 2_880)]);
    assert_eq!(rig.track.poll_key_request(rig.now), None);
}

#[test]
fn a_track_has_three_layers_and_no_more() {
    let mut rig = Rig::video(&[(1, 0), (2, 1), (3, 2)]);
    assert_eq!(rig.track.add_layer(4, 0), None);
    assert_eq!(rig.track.add_layer(2, 1), Some(1));
}

#[test]
fn video_starts_at_a_key_frame_that_is_asked_for_once() {
    let mut rig = Rig::video(&[(1, 0)]);
    rig.subscribe(7, None);
    assert_eq!(rig.track.poll_key_request(rig.now), Some(1));
    assert_eq!(rig.track.poll_key_request(rig.now), None);
    rig.packet(0, 1, 0, DELTA);
    rig.subscribe(8, None);
    rig.track.key_frame_wanted(rig.now, 7);
    assert_eq!(rig.track.poll_key_request(rig.now), None, "merged");
    assert_eq!(rig.track.timeout(rig.now), Some(rig.now + Duration::from_millis(300)));
    rig.pass(299);
    assert_eq!(rig.track.poll_key_request(rig.now), None);
    rig.pass(1);
    assert_eq!(rig.track.poll_key_request(rig.now), Some(1));
    rig.packet(0, 2, 3_000, KEY);
    rig.packet(0, 3, 3_000, &[0x65, 9]);
    assert_eq!(rig.sent.iter().map(|s| s.0).collect::<Vec<_>>(), [7, 8, 7, 8]);
    assert_eq!(rig.sent_numbers(), [(65_530, 3_000), (65_530, 3_000), (65_531, 3_000), (65_531, 3_000)]);
    rig.pass(5_000);
    assert_eq!(rig.track.poll_key_request(rig.now), None);
}

#[test]
fn what_came_together_goes_out_receiver_by_receiver() {
    let mut rig = Rig::video(&[(1, 0)]);
    rig.subscribe(7, None);
    rig.packet(0, 1, 0, KEY);
    rig.subscribe(8, None);
    assert_eq!(rig.track.poll_key_request(rig.now), Some(1));
    rig.sent.clear();
    rig.pass(2_000);
    let packets = [(2, DELTA), (3, KEY), (3, KEY), (4, DELTA)];
    let packets: Vec<_> = packets.iter().filter_map(|(n, payload)| rig.accept(0, *n, 3_000, payload)).collect();
    assert_eq!(packets.len(), 3);
    rig.forward(&packets);
    let sent: Vec<_> = rig.sent.iter().map(|(to, header, payload)| (*to, header.sequence, &payload[..])).collect();
    let to_the_old_one = [(7, 65_531, DELTA), (7, 65_532, KEY), (7, 65_533, DELTA)];
    assert_eq!(sent, [&to_the_old_one[..], &[(8, 65_530, KEY), (8, 65_531, DELTA)]].concat());
    assert_eq!(rig.track.poll_key_request(rig.now), None, "the key frame came with the packet that could not start");
}

#[test]
fn a_waiting_subscriber_asks_again_every_second() {
    let mut rig = Rig::video(&[(1, 0)]);
    rig.subscribe(7, None);
    let mut asked = 0;
    for i in 0..300u16 {
        rig.packet(0, i, u32::from(i) * 900, DELTA);
        asked += u32::from(rig.track.poll_key_request(rig.now).is_some());
        rig.pass(10);
    }
    assert_eq!(asked, 3);
}

#[test]
fn nacks_are_answered_from_the_cache() {
    let mut rig = Rig::video(&[(1, 0)]);
    rig.subscribe(7, Some((70, 97)));
    rig.subscribe(8, None);
    rig.packet(0, 10, 0, KEY);
    rig.packet(0, 11, 3_000, DELTA);
    let (mut sent, trip) = (Vec::new(), Duration::from_millis(50));
    let missed = rig.track.nack(rig.now, 7, trip, &[65_531, 65_529, 65_530], &mut |r| {
        sent.push((r.header.sequence, r.header.timestamp, r.rtx, r.packet[12..].to_vec()));
    });
    assert_eq!(missed, 1);
    let rtx = |sequence| Some(Rtx { ssrc: 70, payload_type: 97, sequence });
    assert_eq!(sent, [(65_531, 3_000, rtx(65_530), DELTA.to_vec()), (65_530, 0, rtx(65_531), KEY.to_vec())]);
    let mut plain = Vec::new();
    assert_eq!(rig.track.nack(rig.now, 8, trip, &[65_531], &mut |r| plain.push((r.header, r.rtx))), 0);
    assert_eq!(plain[0].1, None);
    assert_eq!((plain[0].0.ssrc, plain[0].0.sequence), (8, 65_531));
    assert_eq!(rig.track.nack(rig.now, 99, trip, &[1, 2], &mut |_| {}), 2);
    assert_eq!(rig.track.nack(rig.now, 7, trip, &[65_530], &mut |_| panic!("on its way")), 0);
}

#[test]
fn nack_floods_run_out_of_budget() {
    let mut rig = Rig::video(&[(1, 0)]);
    rig.subscribe(7, None);
    rig.packet(0, 10, 0, KEY);
    let lost = vec![65_530; 10_000];
    let mut sent = 0;
    assert_eq!(rig.track.nack(rig.now, 7, Duration::ZERO, &lost, &mut |_| sent += 1), 10_000 - RESEND_BUDGET);
    assert_eq!(sent, RESEND_BUDGET);
}

#[test]
fn lost_packets_are_asked_for() {
    let mut rig = Rig::video(&[(1, 0)]);
    rig.packet(0, 1, 0, KEY);
    for sequence in 3..9 {
        rig.packet(0, sequence, 0, DELTA);
    }
    let mut lost = Vec::new();
    let mut asked = None;
    for _ in 0..20 {
        rig.pass(5);
        asked = asked.or(rig.track.poll_nack(rig.now, &mut lost).map(|ssrc| (ssrc, lost.clone())));
    }
    assert_eq!(asked, Some((1, vec![2])));
    assert_eq!(rig.packet(0, 2, 0, DELTA), Some(0));
    assert_eq!(rig.packet(0, 2, 0, DELTA), None);
}

#[test]
fn the_best_flowing_layer_wins_at_its_key_frame() {
    let mut rig = Rig::video(&[(1, 0), (3, 2)]);
    rig.subscribe(7, None);
    rig.packet(0, 500, 1_000, KEY);
    assert_eq!(rig.sent_numbers(), [(65_530, 1_000)]);
    rig.pass(33);
    rig.packet(1, 9_000, 77_000, DELTA);
    assert_eq!(rig.track.poll_key_request(rig.now), Some(3), "the better layer is asked");
    rig.packet(0, 501, 3_970, DELTA);
    assert_eq!(rig.sent_numbers(), [(65_531, 3_970)], "the old layer goes on until then");
    rig.pass(33);
    rig.packet(1, 9_001, 80_000, KEY);
    rig.packet(0, 502, 6_940, DELTA);
    rig.packet(1, 9_002, 83_000, DELTA);
    assert_eq!(rig.sent_numbers(), [(65_532, 6_940), (65_533, 9_940)]);
    let mut sent = Vec::new();
    rig.track
        .nack(rig.now, 7, Duration::ZERO, &[65_531, 65_532], &mut |r| sent.push((r.packet[3], r.header.timestamp)));
    assert_eq!(sent, [((501 & 0xff) as u8, 3_970), ((9_001 & 0xff) as u8, 6_940)]);
    // The better layer stops: back to the other one.
    rig.pass(1_500);
    rig.packet(0, 600, 140_000, KEY);
    assert_eq!(rig.sent_numbers().len(), 1);
}

#[test]
fn disabled_and_muted_tracks_rest_and_resume_at_a_key_frame() {
    let mut rig = Rig::video(&[(1, 0)]);
    rig.subscribe(7, None);
    rig.packet(0, 1, 0, KEY);
    rig.track.set_wanted(rig.now, 7, None);
    rig.packet(0, 2, 3_000, DELTA);
    assert_eq!(rig.sent_numbers().len(), 1);
    rig.pass(1_000);
    rig.track.set_wanted(rig.now, 7, Some(2));
    assert_eq!(rig.track.poll_key_request(rig.now), Some(1));
    rig.packet(0, 3, 6_000, DELTA);
    rig.packet(0, 4, 90_000, KEY);
    assert_eq!(rig.sent_numbers(), [(65_531, 90_000)], "no gap in the numbers, the pause in the time stamps");
    rig.track.set_muted(rig.now, true);
    assert_eq!(rig.packet(0, 5, 93_000, KEY), Some(0));
    rig.track.set_muted(rig.now, false);
    rig.packet(0, 6, 96_000, KEY);
    assert_eq!(rig.sent_numbers(), [(65_532, 96_000)]);
    rig.track.unsubscribe(7);
    assert_eq!(rig.packet(0, 7, 99_000, KEY), Some(0));
}

#[test]
fn sender_reports_are_translated_and_align_layers() {
    let mut rig = Rig::video(&[(1, 0), (3, 2)]);
    rig.subscribe(7, None);
    rig.packet(0, 1, 10_000, KEY);
    let mut reports = Vec::new();
    let second = 1u64 << 32;
    rig.track.sender_report(0, 1_000 * second, 10_000, &mut |s, rtp, packets, octets| {
        reports.push((s.config.ssrc, rtp, packets, octets));
    });
    // The other layer's clock is 500,000 ahead and its report one second younger.
    rig.track.sender_report(1, 1_001 * second, 600_000, &mut |_, _, _, _| unreachable!("nobody receives it"));
    assert_eq!(reports, [(7, 10_000, 1, 4)]);
    rig.pass(40);
    rig.packet(1, 50, 513_000, KEY);
    assert_eq!(rig.sent_numbers(), [(65_530, 10_000), (65_531, 13_000)], "33 ms by the reports, 40 ms by the clock");
}

#[test]
fn an_ssrc_goes_on_with_another_track_as_one_stream() {
    let mut first = Rig::video(&[(1, 0)]);
    first.subscribe(7, Some((8, 101)));
    first.packet(0, 500, 90_000, KEY);
    first.packet(0, 501, 93_000, DELTA);
    assert_eq!(first.sent_numbers(), [(65_530, 90_000), (65_531, 93_000)]);
    let after = first.track.unsubscribe(7);
    assert!(after.is_some() && first.track.unsubscribe(7).is_none());

    let mut second = Rig::video(&[(2, 0)]);
    second.now = first.now + Duration::from_secs(2);
    let config = SubscriptionConfig {
        target: 7,
        ssrc: 7,
        payload_type: 96,
        red: None,
        rtx: Some((8, 97)),
        extensions: Extensions::default(),
        first_sequence: 1,
        after,
    };
    second.track.subscribe(second.now, config);
    let kept = second.track.unsubscribe(7).expect("subscribed");
    assert_eq!(Some(kept), after, "one that sent nothing changes nothing");
    second.track.subscribe(second.now, SubscriptionConfig { after: Some(kept), ..config });
    second.packet(0, 9, 5, DELTA);
    second.packet(0, 10, 3_000, KEY);
    second.packet(0, 11, 6_000, DELTA);
    // Two seconds later, whatever the clock of the second publisher says.
    assert_eq!(second.sent_numbers(), [(65_532, 273_000), (65_533, 276_000)]);
    let missed = second.track.nack(second.now, 7, Duration::ZERO, &[65_531], &mut |_| panic!("of the first track"));
    assert_eq!(missed, 1);
}

/// RFC 2198: who negotiated RED gets the packet as it is, everybody else its newest frame.
#[test]
fn repetitions_of_sound_go_to_those_who_read_them() {
    let mut rig = Rig::new(MediaKind::Audio, Codec::Opaque, 48_000);
    rig.track = Track::new(TrackConfig { nack: true, red: Some(96), ..*rig.track.config() });
    assert!(rig.track.add_layer(1, 0).is_some());
    rig.subscribe(7, None);
    rig.subscribe(8, None);
    rig.track.subscriptions.iter_mut().for_each(|s| s.config.red = Some(63).filter(|_| s.config.ssrc == 8));
    let repeated = [0xef, 0x0f, 0x00, 2, 111, 1, 2, 3];
    assert_eq!(rig.packet(0, 10, 960, &repeated), Some(2));
    let seen: Vec<_> = rig.sent.drain(..).map(|(to, header, payload)| (to, header.payload_type, payload)).collect();
    assert_eq!(seen, [(7, 100, vec![3]), (8, 63, repeated.to_vec())]);
    assert_eq!(rig.track.subscriptions.iter().map(|s| s.octets).collect::<Vec<_>>(), [1, 8]);
    assert_eq!(rig.packet(0, 11, 1_920, &repeated[..5]), None, "headers that promise more than there is");
    for (ssrc, expected) in [(7, (100, vec![3])), (8, (63, repeated.to_vec()))] {
        let mut again = Vec::new();
        rig.track.nack(rig.now, ssrc, Duration::ZERO, &[65_530], &mut |resend| {
            let payload = RtpPacket::parse(resend.packet).expect("cached").payload()[resend.skip..].to_vec();
            again.push((resend.header.payload_type, payload));
        });
        assert_eq!(again, [expected]);
    }
}

#[test]
fn a_layer_that_comes_back_costs_what_it_sends_now() {
    let mut rig = Rig::video(&[(1, 0)]);
    rig.subscribe(7, None);
    let frame = [KEY, &[0; 996]].concat();
    let rate = |rig: &Rig| rig.track.demand(rig.now, 7).expect("subscribed").rates_bps[0];
    for n in 0..20 {
        rig.packet(0, n, u32::from(n) * 9_000, &frame);
        rig.pass(100);
    }
    let before = rate(&rig);
    assert!((70_000..90_000).contains(&before), "{before}");
    rig.pass(60_000);
    assert_eq!(rate(&rig), 0);
    for n in 20..25 {
        rig.packet(0, n, u32::from(n) * 9_000, &frame);
        rig.pass(100);
    }
    let after = rate(&rig);
    assert!((70_000..110_000).contains(&after), "a minute of silence is no part of it: {after}");
}
