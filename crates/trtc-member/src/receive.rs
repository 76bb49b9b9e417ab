//! The receiving half: packets of the subscriber connection become frames and Opus packets of remote tracks.
use crate::clock::captured;
use crate::outbound::Outbound;
use crate::stats::RemoteTrackStats;
use crate::{Delivery, ReceivedAudio, ReceivedVideo};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use trtc_peer::{CodecSpec, ReceiveSection, extension};
use trtc_rtp::rtcp::{self, Rtcp};
use trtc_rtp::{ReceiverStats, RtpPacket, TransportFeedbackRecorder, VideoReceiver, unwrap_rtx};
use trtc_session::RemoteTrack;
use trtc_types::MediaKind;

const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// SSRCs learnt from packets rather than from descriptions.
const LEARNT_SSRCS_MAX: usize = 64;
/// Report blocks of one RTCP packet (RFC 3550: a five-bit count).
const BLOCKS_MAX: usize = 31;
const VIDEO_CLOCK: u32 = 90_000;
const REMB_START_BPS: u64 = 10_000_000;
const REMB_MIN_BPS: u64 = 100_000;
const REMB_MAX_BPS: u64 = 50_000_000;

pub(crate) struct Receive {
    streams: Vec<Stream>,
    /// SSRC to index in `streams`, and whether it carries retransmissions.
    by_ssrc: BTreeMap<u32, (usize, bool)>,
    tracks: BTreeMap<String, RemoteTrack>,
    local_ssrc: u32,
    feedback: TransportFeedbackRecorder,
    next_report: Option<Instant>,
    remb_bps: u64,
    round_trip: Option<Duration>,
    scratch: Vec<u8>,
    pub received_bytes: u64,
    pub loss_percent: f32,
    /// Packets that belong to no section.
    pub strays: u64,
}

struct Stream {
    mid: String,
    sid: String,
    kind: MediaKind,
    codecs: Vec<CodecSpec>,
    announced: (Vec<u32>, Vec<(u32, u32)>),
    ext_mid: Option<u8>,
    ext_twcc: Option<u8>,
    source: Option<Source>,
    payload_type: Option<u8>,
    /// NTP and RTP time of the newest Sender Report.
    report: Option<(u64, u32)>,
    bytes: u64,
    frames: u64,
    repaired: u64,
    key_frames_asked: u64,
}

enum Source {
    Video(Box<VideoReceiver>, u32),
    Audio(Box<ReceiverStats>),
}

impl Receive {
    pub fn new() -> Self {
        Self {
            streams: Vec::new(),
            by_ssrc: BTreeMap::new(),
            tracks: BTreeMap::new(),
            local_ssrc: rand::random_range(1..=u32::MAX),
            feedback: TransportFeedbackRecorder::new(),
            next_report: None,
            remb_bps: REMB_START_BPS,
            round_trip: None,
            scratch: Vec::new(),
            received_bytes: 0,
            loss_percent: 0.0,
            strays: 0,
        }
    }

    pub fn track_available(&mut self, track: &RemoteTrack) {
        self.tracks.insert(track.sid.clone(), track.clone());
    }

    pub fn track_gone(&mut self, sid: &str) {
        self.tracks.remove(sid);
    }

    /// The connection is gone; streams come again with the next offer.
    pub fn detach_all(&mut self) {
        self.streams.clear();
        self.by_ssrc.clear();
        self.feedback = TransportFeedbackRecorder::new();
        self.next_report = None;
    }

    /// Follows a new description. A section that carries another track or other SSRCs than before starts anew.
    pub fn sections(&mut self, now: Instant, sections: &[ReceiveSection], mid_to_track: &BTreeMap<String, String>) {
        let mut old = std::mem::take(&mut self.streams);
        for section in sections.iter().filter(|section| section.direction_active) {
            let Some(sid) = track_sid(section, mid_to_track) else { continue };
            let announced = (section.ssrcs.clone(), section.fid.clone());
            let kept = old.iter().position(|s| s.mid == section.mid && s.sid == sid && s.announced == announced);
            let mut stream = match kept {
                Some(at) => old.swap_remove(at),
                None => Stream::new(section, sid, announced),
            };
            let extension = |uri: &str| section.extensions.iter().find(|(_, u)| u == uri).map(|(id, _)| *id);
            stream.ext_mid = extension(extension::MID);
            stream.ext_twcc = extension(extension::TRANSPORT_CC);
            stream.codecs.clone_from(&section.codecs);
            self.streams.push(stream);
        }
        self.by_ssrc.clear();
        for (index, stream) in self.streams.iter().enumerate() {
            let rtx = |ssrc: u32| stream.announced.1.iter().any(|(_, repair)| *repair == ssrc);
            let announced = stream.announced.0.iter().map(|ssrc| (*ssrc, (index, rtx(*ssrc))));
            self.by_ssrc.extend(announced);
            if let Some(ssrc) = stream.ssrc() {
                self.by_ssrc.insert(ssrc, (index, false));
            }
        }
        self.next_report.get_or_insert(now + REPORT_PERIOD);
    }

    /// Takes a decrypted RTP packet.
    pub fn rtp(&mut self, now: Instant, datagram: &[u8], told: &mut VecDeque<Delivery>) {
        let Some(packet) = RtpPacket::parse(datagram) else { return };
        let Some((index, is_rtx)) = self.locate(&packet) else {
            self.strays += 1;
            return;
        };
        self.received_bytes += datagram.len() as u64;
        let stream = &mut self.streams[index];
        stream.bytes += datagram.len() as u64;
        if let Some(&[high, low]) = stream.ext_twcc.and_then(|id| packet.extension(id)) {
            self.feedback.received(now, u16::from_be_bytes([high, low]));
        }
        if is_rtx {
            stream.recovered(now, &packet, &mut self.scratch);
            return;
        }
        let header = packet.header();
        let Some(codec) = stream.codecs.iter().find(|codec| codec.payload_type == header.payload_type) else { return };
        stream.payload_type = Some(header.payload_type);
        let (is_h264, is_opus, clock) = (codec.name == "h264", codec.name == "opus", codec.clock_rate);
        match stream.source.get_or_insert_with(|| Source::new(stream.kind, header.ssrc, clock)) {
            Source::Video(video, _) => video.insert(now, &packet, is_h264),
            Source::Audio(stats) => {
                stats.received(now, &header, packet.payload().len());
                stream.frames += 1;
                if let Some(track) = self.tracks.get(&stream.sid).filter(|_| is_opus && !packet.payload().is_empty()) {
                    told.push_back(Delivery::Audio(ReceivedAudio {
                        user: track.user.clone(),
                        sid: track.sid.clone(),
                        source: track.source,
                        payload: Bytes::copy_from_slice(packet.payload()),
                        sequence: header.sequence,
                        rtp_time: header.timestamp,
                        captured: captured(stream.report, header.timestamp, clock),
                        received: now,
                    }));
                }
            }
        }
    }

    /// Takes a decrypted compound RTCP packet.
    pub fn rtcp(&mut self, now: Instant, datagram: &[u8]) {
        for packet in rtcp::parse(datagram) {
            let Rtcp::SenderReport { ssrc, ntp, rtp_time, .. } = packet else { continue };
            let Some(&(index, false)) = self.by_ssrc.get(&ssrc) else { continue };
            self.streams[index].report = Some((ntp, rtp_time));
            match &mut self.streams[index].source {
                Some(Source::Video(video, _)) => video.sender_report(now, ntp),
                Some(Source::Audio(stats)) => stats.sender_report(now, ntp),
                None => {}
            }
        }
    }

    pub fn set_round_trip(&mut self, round_trip: Option<Duration>) {
        if round_trip == self.round_trip {
            return;
        }
        self.round_trip = round_trip;
        if let Some(round_trip) = round_trip {
            for stream in &mut self.streams {
                if let Some(Source::Video(video, _)) = &mut stream.source {
                    video.set_round_trip(round_trip);
                }
            }
        }
    }

    /// The host's decoder lost its way.
    pub fn request_key_frame(&mut self, sid: &str) {
        for stream in self.streams.iter_mut().filter(|stream| stream.sid == sid) {
            if let Some(Source::Video(video, _)) = &mut stream.source {
                video.require_key_frame();
            }
        }
    }

    /// Hands on finished frames, asks for what is missing, and reports.
    pub fn advance(&mut self, now: Instant, out: &mut Outbound<'_>, told: &mut VecDeque<Delivery>) {
        let mut lost = Vec::new();
        for stream in &mut self.streams {
            let Some(Source::Video(video, ssrc)) = &mut stream.source else { continue };
            while let Some(frame) = video.poll_frame(now) {
                stream.frames += 1;
                let Some(track) = self.tracks.get(&stream.sid) else { continue };
                told.push_back(Delivery::Video(ReceivedVideo {
                    user: track.user.clone(),
                    sid: track.sid.clone(),
                    source: track.source,
                    data: frame.data,
                    key: frame.key,
                    rtp_time: frame.rtp_time,
                    captured: captured(stream.report, frame.rtp_time, VIDEO_CLOCK),
                    received: frame.last_arrival,
                }));
            }
            lost.clear();
            video.poll_nack(now, &mut lost);
            if !lost.is_empty() {
                let mut packet = Vec::with_capacity(64);
                rtcp::nack(&mut packet, self.local_ssrc, *ssrc, &lost);
                out.rtcp(packet);
            }
            if video.needs_key_frame(now) {
                stream.key_frames_asked += 1;
                let mut packet = Vec::with_capacity(32);
                rtcp::pli(&mut packet, self.local_ssrc, *ssrc);
                out.rtcp(packet);
            }
        }
        let media_ssrc = self.streams.iter().find_map(Stream::ssrc).unwrap_or_default();
        loop {
            let mut packet = Vec::new();
            if !self.feedback.poll(now, &mut packet, self.local_ssrc, media_ssrc) {
                break;
            }
            out.rtcp(packet);
        }
        if self.next_report.is_some_and(|at| at <= now) {
            self.next_report = Some(now + REPORT_PERIOD);
            self.report(now, out);
        }
    }

    pub fn timeout(&self) -> Option<Instant> {
        let videos = self.streams.iter().filter_map(|stream| match &stream.source {
            Some(Source::Video(video, _)) => video.timeout(),
            _ => None,
        });
        videos.chain(self.feedback.timeout()).chain(self.next_report).min()
    }

    pub fn stats(&self) -> Vec<RemoteTrackStats> {
        let known = self.streams.iter().filter_map(|stream| Some((stream, self.tracks.get(&stream.sid)?)));
        known.map(|(stream, track)| stream.stats(track)).collect()
    }

    /// MID extension, then SSRC, then payload type (RFC 8843 section 9.2), remembering what was found.
    fn locate(&mut self, packet: &RtpPacket<'_>) -> Option<(usize, bool)> {
        let header = packet.header();
        if let Some(&found) = self.by_ssrc.get(&header.ssrc) {
            return Some(found);
        }
        let mid = |stream: &Stream| stream.ext_mid.and_then(|id| packet.extension(id)) == Some(stream.mid.as_bytes());
        let index = self.streams.iter().position(mid).or_else(|| {
            let mut fitting =
                self.streams.iter().enumerate().filter(|(_, s)| s.source.is_none() && s.knows(header.payload_type));
            fitting.next().filter(|_| fitting.next().is_none()).map(|(index, _)| index)
        })?;
        let is_rtx = self.streams[index].codecs.iter().any(|codec| codec.rtx_payload_type == Some(header.payload_type));
        if self.by_ssrc.len() < self.streams.len() * 2 + LEARNT_SSRCS_MAX {
            self.by_ssrc.insert(header.ssrc, (index, is_rtx));
        }
        Some((index, is_rtx))
    }

    fn report(&mut self, now: Instant, out: &mut Outbound<'_>) {
        let mut blocks = Vec::new();
        for stream in &mut self.streams {
            blocks.extend(match &mut stream.source {
                Some(Source::Video(video, _)) => video.report_block(now),
                Some(Source::Audio(stats)) => stats.report_block(now),
                None => None,
            });
        }
        let worst = blocks.iter().map(|block| block.fraction_lost).max().unwrap_or(0);
        self.loss_percent = f32::from(worst) * 100.0 / 256.0;
        for blocks in blocks.chunks(BLOCKS_MAX) {
            let mut packet = Vec::with_capacity(32 + 24 * blocks.len());
            rtcp::receiver_report(&mut packet, self.local_ssrc, blocks);
            rtcp::sdes_cname(&mut packet, self.local_ssrc, "trtc");
            out.rtcp(packet);
        }
        let remb: Vec<u32> = self.streams.iter().filter(|s| s.wants_remb()).filter_map(Stream::ssrc).collect();
        if !remb.is_empty() {
            // By loss alone: a rise of 8 % a second, a cut when more than a tenth is lost.
            self.remb_bps = match self.loss_percent {
                loss if loss > 10.0 => (self.remb_bps as f64 * (1.0 - 0.5 * f64::from(loss) / 100.0)) as u64,
                loss if loss < 2.0 => self.remb_bps * 108 / 100,
                _ => self.remb_bps,
            }
            .clamp(REMB_MIN_BPS, REMB_MAX_BPS);
            let mut packet = Vec::with_capacity(64);
            rtcp::remb(&mut packet, self.local_ssrc, self.remb_bps, &remb);
            out.rtcp(packet);
        }
    }
}

impl Stream {
    fn new(section: &ReceiveSection, sid: String, announced: (Vec<u32>, Vec<(u32, u32)>)) -> Self {
        Self {
            mid: section.mid.clone(),
            sid,
            kind: section.kind,
            codecs: Vec::new(),
            announced,
            ext_mid: None,
            ext_twcc: None,
            source: None,
            payload_type: None,
            report: None,
            bytes: 0,
            frames: 0,
            repaired: 0,
            key_frames_asked: 0,
        }
    }

    fn ssrc(&self) -> Option<u32> {
        match self.source.as_ref()? {
            Source::Video(_, ssrc) => Some(*ssrc),
            Source::Audio(stats) => Some(stats.ssrc()),
        }
    }

    fn knows(&self, payload_type: u8) -> bool {
        self.codecs.iter().any(|c| c.payload_type == payload_type || c.rtx_payload_type == Some(payload_type))
    }

    fn wants_remb(&self) -> bool {
        let remb = |codec: &CodecSpec| codec.feedback.iter().any(|feedback| feedback == "goog-remb");
        self.kind == MediaKind::Video && self.ext_twcc.is_none() && self.codecs.iter().any(remb)
    }

    fn recovered(&mut self, now: Instant, packet: &RtpPacket<'_>, scratch: &mut Vec<u8>) {
        let payload_type = packet.header().payload_type;
        let Some(codec) = self.codecs.iter().find(|codec| codec.rtx_payload_type == Some(payload_type)) else { return };
        // Repairs without a stream to repair are bandwidth probes.
        let Some(Source::Video(video, ssrc)) = &mut self.source else { return };
        if unwrap_rtx(packet.bytes(), *ssrc, codec.payload_type, scratch)
            && let Some(original) = RtpPacket::parse(scratch)
        {
            self.repaired += 1;
            video.insert_recovered(now, &original, codec.name == "h264");
        }
    }

    fn stats(&self, track: &RemoteTrack) -> RemoteTrackStats {
        let (stream, nacked) = match &self.source {
            Some(Source::Video(video, _)) => {
                let stats = video.stats();
                (stats.stream, stats.nacks)
            }
            Some(Source::Audio(stats)) => (stats.snapshot(), 0),
            None => Default::default(),
        };
        let codec = self.codecs.iter().find(|codec| Some(codec.payload_type) == self.payload_type);
        RemoteTrackStats {
            user: track.user.clone(),
            sid: track.sid.clone(),
            source: track.source,
            kind: self.kind,
            codec: codec.map(|codec| codec.name.clone()).unwrap_or_default(),
            packets: stream.packets,
            lost: i64::try_from(stream.lost).unwrap_or(i64::MAX),
            jitter_ms: stream.jitter.as_secs_f32() * 1_000.0,
            bytes: self.bytes,
            frames: self.frames,
            repaired: self.repaired,
            nacked,
            key_frames_asked: self.key_frames_asked,
        }
    }
}

impl Source {
    fn new(kind: MediaKind, ssrc: u32, clock_rate: u32) -> Self {
        match kind {
            MediaKind::Video => Self::Video(Box::new(VideoReceiver::new(ssrc)), ssrc),
            MediaKind::Audio => Self::Audio(Box::new(ReceiverStats::new(ssrc, clock_rate))),
        }
    }
}

/// By the offer's own map, else by msid: `PA_sid|TR_sid TR_sid`.
fn track_sid(section: &ReceiveSection, mid_to_track: &BTreeMap<String, String>) -> Option<String> {
    if let Some(sid) = mid_to_track.get(&section.mid).filter(|sid| !sid.is_empty()) {
        return Some(sid.clone());
    }
    let (stream, track) = section.msid.as_ref()?;
    let in_stream = stream.split('|').find(|part| part.starts_with("TR_"));
    Some(in_stream.unwrap_or(track).to_owned())
}
