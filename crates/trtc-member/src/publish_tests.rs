//! What the encoder is told, by reports and by feedback, over a connection that is none.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
use super::*;
use std::sync::Arc;
use trtc_peer::{Config, Identity};
use trtc_types::TrackSource;

struct Rig {
    publish: Publish,
    peer: Peer,
    now: Instant,
    begin: Instant,
    ssrc: u32,
}

impl Rig {
    fn new() -> Self {
        let now = Instant::now();
        let mut publish = Publish::new(Wall::new(now, Duration::from_secs(1_700_000_000)));
        publish.add(LocalTrack {
            cid: "cam".into(),
            kind: MediaKind::Video,
            source: TrackSource::Camera,
            name: String::new(),
            codec: CodecKind::H264,
            width: 640,
            height: 360,
            muted: false,
            stereo: false,
            layers: Vec::new(),
        });
        let peer = Peer::new(Arc::new(Config::default()), Arc::new(Identity::generate(1_700_000_000).unwrap()));
        let ssrc = publish.tracks.values().next().unwrap().streams[0].ssrc;
        Self { publish, peer, now, begin: now, ssrc }
    }

    /// A second of packets, each with its number.
    fn second(&mut self) {
        for _ in 0..50 {
            self.now += Duration::from_millis(20);
            let packet = vec![0x80; 1_000];
            self.publish.pacer.push(self.now, (0, 0), packet.clone());
            self.publish.path.sent(self.now, packet.len());
            self.publish.tracks.values_mut().next().unwrap().streams[0].sent(&packet);
        }
    }

    fn take(&mut self, datagram: &[u8]) -> Vec<u32> {
        let (mut actions, mut told) = (VecDeque::new(), VecDeque::new());
        let mut out = Outbound { peer: &mut self.peer, socket: 0, actions: &mut actions };
        self.publish.rtcp(self.now, datagram, &mut out, &mut told);
        told.into_iter().filter_map(|told| if let Delivery::Bitrate(bps) = told { Some(bps) } else { None }).collect()
    }

    /// The server saw half of the packets.
    fn loss(&mut self) -> Vec<u32> {
        let mut report = Vec::new();
        let block = ReportBlock { ssrc: self.ssrc, fraction_lost: 128, ..ReportBlock::default() };
        rtcp::receiver_report(&mut report, 1, &[block]);
        self.take(&report)
    }

    /// It saw each of the last second's.
    fn feedback(&mut self) -> Vec<u32> {
        let end = u64::from(self.publish.path.next_sequence());
        let arrival = |n: u64| (n, (self.now - self.begin).as_micros() as u64 - (end - n) * 20_000);
        let arrivals: Vec<_> = (end - 50..end).map(arrival).collect();
        let mut packet = Vec::new();
        rtcp::transport_feedback(&mut packet, 1, self.ssrc, 0, end - 50, &arrivals);
        self.take(&packet)
    }
}

#[test]
fn reports_of_loss_give_way_to_feedback_and_come_back_without_it() {
    let mut rig = Rig::new();
    rig.second();
    rig.second();
    let limited = rig.loss();
    assert!(matches!(limited[..], [bps] if (200_000..400_000).contains(&bps)), "{limited:?}");
    rig.second();
    assert_eq!(rig.feedback(), [0], "all arrives: the limit of the reports is gone");
    rig.second();
    assert!(rig.loss().is_empty(), "feedback knows better");
    let mut remb = Vec::new();
    rtcp::remb(&mut remb, 1, 100_000, &[rig.ssrc]);
    assert!(rig.take(&remb).is_empty());
    assert!(rig.feedback().is_empty(), "and has nothing to say");
    (0..4).for_each(|_| rig.second());
    assert_eq!(rig.loss().len(), 1, "nothing was heard for long");
    assert_eq!(rig.take(&remb), [100_000]);
}

#[test]
fn what_is_not_connected_is_told_as_dropped() {
    let now = Instant::now();
    let mut publish = Publish::new(Wall::new(now, Duration::ZERO));
    publish.add(LocalTrack {
        cid: "v".into(),
        kind: MediaKind::Video,
        source: TrackSource::Camera,
        name: String::new(),
        codec: CodecKind::H264,
        width: 64,
        height: 48,
        muted: false,
        stereo: false,
        layers: Vec::new(),
    });
    let frame = EncodedVideo { data: vec![0, 0, 0, 1, 0x65, 1].into(), key: true, time: Duration::ZERO };
    let mut told = VecDeque::new();
    assert_eq!(publish.send_video(now, "v", 0, &frame, &mut told), Ok(false));
    assert_eq!(publish.stats()[0].frames_dropped, 1);
    assert!(publish.send_video(now, "w", 0, &frame, &mut told).is_err());
}
