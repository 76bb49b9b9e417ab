//! The sending half: encoded frames become RTP packets on the publisher connection; lost ones are repeated, reports are read.
use crate::clock::{MediaZero, SoundClock, Wall, rtp_time};
use crate::outbound::Outbound;
use crate::pacer::Pacer;
use crate::stats::LocalTrackStats;
use crate::stream::RtpStream;
use crate::{Delivery, EncodedAudio};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use trtc_peer::{Peer, SectionId, SendParams, SendTrack};
use trtc_rtp::h264::Packetizer;
use trtc_rtp::rtcp::{self, ReportBlock, Rtcp, TransportFeedback};
use trtc_rtp::{LossControl, PathMonitor, RtpPacket, SendRate};
use trtc_session::{LocalTrack, RIDS};
use trtc_types::{CodecKind, EncodedVideo, Error, MediaKind, Result};

/// Largest RTP payload; with headers, extensions and SRTP tag the datagram stays below 1,200 bytes.
const PAYLOAD_MAX: usize = 1_100;
const VIDEO_CLOCK: u32 = 90_000;
const AUDIO_CLOCK: u32 = 48_000;
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// Packets repeated for one NACK datagram.
const REPEAT_MAX: usize = 128;

pub(crate) struct Publish {
    tracks: BTreeMap<usize, Track>,
    next_id: usize,
    pacer: Pacer,
    packetizer: Packetizer,
    wall: Wall,
    /// Packets with a transport-wide number, and what became of them.
    path: PathMonitor,
    rate: SendRate,
    next_report: Option<Instant>,
    rtt: Option<Duration>,
    /// By reports, while there is no feedback.
    loss: LossControl,
    /// The encoder was last told by reports.
    by_reports: bool,
    pub sent_bytes: u64,
}

struct Track {
    local: LocalTrack,
    section: Option<SectionId>,
    params: Option<SendParams>,
    /// One, or one for each layer, the smallest first.
    streams: Vec<RtpStream>,
    time_base: u32,
    zero: MediaZero,
    sound: SoundClock,
}

impl Publish {
    pub fn new(wall: Wall) -> Self {
        Self {
            tracks: BTreeMap::new(),
            next_id: 0,
            pacer: Pacer::new(),
            packetizer: Packetizer::new(),
            wall,
            path: PathMonitor::default(),
            rate: SendRate::default(),
            next_report: None,
            rtt: None,
            loss: LossControl::default(),
            by_reports: false,
            sent_bytes: 0,
        }
    }

    /// Remembers a track that the session has accepted.
    pub fn add(&mut self, local: LocalTrack) {
        self.remove(&local.cid.clone());
        self.tracks.insert(self.next_id, Track::new(local));
        self.next_id += 1;
    }

    pub fn remove(&mut self, cid: &str) -> Option<SectionId> {
        let (id, _) = self.find(cid)?;
        self.pacer.clear(id);
        self.tracks.remove(&id)?.section
    }

    /// Gives the track a section on a new offer, with fresh SSRCs.
    pub fn attach(&mut self, cid: &str, sid: &str, peer: &mut Peer) {
        let Some((_, track)) = self.find(cid) else { return };
        if let Some(old) = track.section.take() {
            peer.remove_send(old);
        }
        track.renew();
        let video = track.local.kind == MediaKind::Video;
        let section = peer.add_send(SendTrack {
            kind: track.local.kind,
            codec: track.local.codec.clone(),
            codec_spec: None,
            stream_id: "-".into(),
            track_id: cid.to_owned(),
            ssrc: track.streams[0].ssrc,
            rtx_ssrc: video.then_some(track.streams[0].rtx_ssrc),
        });
        if !track.local.layers.is_empty() {
            let ssrcs: Vec<u32> = track.streams.iter().flat_map(|stream| [stream.ssrc, stream.rtx_ssrc]).collect();
            peer.set_send_rids(section, &RIDS[..track.streams.len()], &ssrcs);
        }
        track.section = Some(section);
        track.streams.iter_mut().for_each(|stream| sid.clone_into(&mut stream.stats.sid));
    }

    /// The connections are gone; sections come again with [`Self::attach`].
    pub fn detach_all(&mut self) {
        for (id, track) in &mut self.tracks {
            track.section = None;
            track.params = None;
            self.pacer.clear(*id);
        }
        (self.path, self.rate, self.loss, self.by_reports) = Default::default();
        self.pacer.set_link(None);
        self.next_report = None;
    }

    /// Reads what the answer allows.
    pub fn negotiated(&mut self, now: Instant, peer: &Peer, told: &mut VecDeque<Delivery>) {
        for track in self.tracks.values_mut() {
            let ready = track.params.is_some();
            track.params = track.section.and_then(|section| peer.send_params(section));
            // The encoder's own first key frame may have come too early.
            for layer in 0..track.streams.len() {
                if !ready && track.params.is_some() && track.streams[layer].starved {
                    track.want_key(now, layer, told);
                }
            }
        }
        self.next_report.get_or_insert(now + REPORT_PERIOD);
    }

    pub fn set_muted(&mut self, now: Instant, cid: &str, muted: bool, told: &mut VecDeque<Delivery>) {
        let Some((id, track)) = self.find(cid) else { return };
        track.local.muted = muted;
        if track.local.kind == MediaKind::Video {
            for layer in 0..track.streams.len() {
                track.streams[layer].needs_key = true;
                track.want_key(now, layer, told);
            }
            if muted {
                self.pacer.clear(id);
            }
        }
    }

    /// Packetises one access unit of a layer; `false` for a frame that cannot be sent now: it is dropped and counted, and so are those
    /// up to the next key frame.
    pub fn send_video(
        &mut self,
        now: Instant,
        cid: &str,
        layer: usize,
        frame: &EncodedVideo,
        told: &mut VecDeque<Delivery>,
    ) -> Result<bool> {
        let pacer = &mut self.pacer;
        let (&id, track) = self.tracks.iter_mut().find(|(_, t)| t.local.cid == cid).ok_or_else(|| no_track(cid))?;
        if track.local.kind != MediaKind::Video || track.local.codec != CodecKind::H264 {
            return Err(Error::invalid(format!("cid {cid:?} is not an H.264 track")));
        }
        let layers = track.streams.len();
        if layer >= layers {
            return Err(Error::invalid(format!("layer must be below {layers}, the layers of {cid:?}, got {layer}")));
        }
        track.zero.seen(now, frame.time);
        if track.local.muted || !track.sends(layer) {
            return Ok(false);
        }
        let stream = &mut track.streams[layer];
        if track.params.is_none() || (stream.needs_key && !frame.key) {
            stream.stats.frames_dropped += 1;
            stream.needs_key = true;
            stream.starved = true;
            if track.params.is_some() {
                track.want_key(now, layer, told);
            }
            return Ok(false);
        }
        let Some(params) = &track.params else { return Ok(false) };
        stream.needs_key = false;
        stream.starved = false;
        let timestamp = rtp_time(track.time_base, frame.time, VIDEO_CLOCK);
        let mut whole = true;
        self.packetizer.packetize(&frame.data, PAYLOAD_MAX, &mut |payload, last| {
            let packet = stream.packet(params, last, timestamp, payload, None);
            whole &= pacer.push(now, (id, layer), packet);
        });
        if whole {
            stream.stats.frames += 1;
        } else {
            // Far too much at once: what is queued leads nowhere without its rest.
            stream.stats.frames_dropped += 1;
            pacer.clear(id);
            for layer in 0..layers {
                track.streams[layer].needs_key = true;
                track.want_key(now, layer, told);
            }
        }
        Ok(whole)
    }

    /// Sends one Opus packet; `false` when it was dropped, as the track is not connected.
    pub fn send_audio(
        &mut self,
        now: Instant,
        cid: &str,
        sound: &EncodedAudio<'_>,
        out: &mut Outbound<'_>,
    ) -> Result<bool> {
        let EncodedAudio { opus, samples_48k: samples, time, level } = *sound;
        let track = self.tracks.values_mut().find(|t| t.local.cid == cid).ok_or_else(|| no_track(cid))?;
        if track.local.kind != MediaKind::Audio || opus.is_empty() || opus.len() > PAYLOAD_MAX {
            return Err(Error::invalid(format!("cid {cid:?}: an audio track and 1..={PAYLOAD_MAX} bytes are needed")));
        }
        track.zero.seen(now, time);
        let stream = &mut track.streams[0];
        let Some(params) = &track.params else {
            stream.stats.frames_dropped += 1;
            return Ok(false);
        };
        let (timestamp, begins) = track.sound.stamp(rtp_time(track.time_base, time, AUDIO_CLOCK), samples);
        // The first packet of a talk spurt is marked (RFC 3551 section 4.1).
        let mut packet = stream.packet(params, begins, timestamp, opus, level);
        stream.stats.frames += 1;
        stamp(&mut packet, params, &mut self.path, &self.wall, now);
        self.sent_bytes += stream.sent(&packet);
        out.rtp(packet);
        Ok(true)
    }

    /// Sends what the pacer releases and what the clock demands.
    pub fn advance(&mut self, now: Instant, out: &mut Outbound<'_>, told: &mut VecDeque<Delivery>) {
        for track in self.tracks.values_mut() {
            for layer in 0..track.streams.len() {
                if track.streams[layer].key_request_due().is_some_and(|at| at <= now) {
                    track.want_key(now, layer, told);
                }
            }
        }
        while let Some(mut waiting) = self.pacer.pop(now) {
            let Some(track) = self.tracks.get_mut(&waiting.track) else { continue };
            let Some(params) = &track.params else { continue };
            stamp(&mut waiting.packet, params, &mut self.path, &self.wall, now);
            self.sent_bytes += track.streams[waiting.layer].sent(&waiting.packet);
            out.rtp(waiting.packet);
        }
        if self.next_report.is_some_and(|at| at <= now) {
            self.next_report = Some(now + REPORT_PERIOD);
            self.report(now, out);
        }
    }

    pub fn timeout(&self) -> Option<Instant> {
        let requests = self.tracks.values().flat_map(|t| &t.streams).filter_map(RtpStream::key_request_due);
        requests.chain(self.pacer.timeout()).chain(self.next_report).min()
    }

    /// Reads a compound RTCP packet of the server about our tracks.
    pub fn rtcp(&mut self, now: Instant, datagram: &[u8], out: &mut Outbound<'_>, told: &mut VecDeque<Delivery>) {
        for packet in rtcp::parse(datagram) {
            match packet {
                Rtcp::SenderReport { reports, .. } | Rtcp::ReceiverReport { reports, .. } => {
                    let (mut lost, mut sent) = (0.0, 0.0);
                    for block in reports {
                        if let Some(packets) = self.report_block(now, &block) {
                            lost += f32::from(block.fraction_lost) / 256.0 * packets as f32;
                            sent += packets as f32;
                        }
                    }
                    // Feedback on every packet knows better.
                    if !self.path.is_heard(now) {
                        self.steer(now, lost, sent, told);
                    }
                }
                Rtcp::TransportFeedback(feedback) => self.follow(now, &feedback, told),
                Rtcp::Nack { media_ssrc, lost } => self.repeat(now, media_ssrc, lost, out),
                Rtcp::Pli { media_ssrc } => self.key_frame_asked(now, media_ssrc, told),
                Rtcp::Fir { entries } => entries.for_each(|(ssrc, _)| self.key_frame_asked(now, ssrc, told)),
                Rtcp::Remb { bitrate_bps, .. } if !self.path.is_heard(now) => {
                    self.by_reports = true;
                    told.push_back(Delivery::Bitrate(u32::try_from(bitrate_bps).unwrap_or(u32::MAX).max(1)));
                }
                _ => {}
            }
        }
    }

    /// Round trip by the latest report.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    pub fn stats(&self) -> Vec<LocalTrackStats> {
        self.tracks.values().flat_map(|t| &t.streams).map(|stream| stream.stats.clone()).collect()
    }

    fn find(&mut self, cid: &str) -> Option<(usize, &mut Track)> {
        self.tracks.iter_mut().find(|(_, track)| track.local.cid == cid).map(|(id, track)| (*id, track))
    }

    fn report(&mut self, now: Instant, out: &mut Outbound<'_>) {
        let zeros: Vec<MediaZero> = self.tracks.values().map(|track| track.zero).collect();
        let ntp = self.wall.ntp(now);
        for track in self.tracks.values().filter(|track| track.params.is_some()) {
            let Some(media) = track.zero.media(now, &zeros) else { continue };
            let time = match track.local.kind {
                MediaKind::Video => rtp_time(track.time_base, media, VIDEO_CLOCK),
                MediaKind::Audio => track.sound.at(rtp_time(track.time_base, media, AUDIO_CLOCK)),
            };
            for info in track.streams.iter().filter_map(|stream| stream.sender_info(ntp, time)) {
                let mut packet = Vec::with_capacity(96);
                rtcp::sender_report(&mut packet, &info, &[]);
                rtcp::sdes_cname(&mut packet, info.ssrc, "trtc");
                out.rtcp(packet);
            }
        }
    }

    /// Loss says what may be sent: `lost` of `sent` packets.
    fn steer(&mut self, now: Instant, lost: f32, sent: f32, told: &mut VecDeque<Delivery>) {
        if sent <= 0.0 {
            return;
        }
        if let Some(bps) = self.loss.report(now, lost / sent * 100.0, self.pacer.rate_bps()) {
            self.by_reports = true;
            told.push_back(Delivery::Bitrate(bps));
        }
    }

    /// The connection has another path: nothing is known of it.
    pub fn path_is_new(&mut self, told: &mut VecDeque<Delivery>) {
        self.path.restart();
        (self.rate, self.loss, self.by_reports) = Default::default();
        self.pacer.set_link(None);
        told.push_back(Delivery::Bitrate(0));
    }

    /// The server tells when our packets came.
    fn follow(&mut self, now: Instant, feedback: &TransportFeedback<'_>, told: &mut VecDeque<Delivery>) {
        let report = self.path.feedback(now, feedback);
        let round_trip = self.path.round_trip().unwrap_or_default();
        let moved = self.rate.report(now, &report, round_trip);
        if let Some(bps) = moved {
            log::debug!("uplink: {report:?}, {bps} bit/s");
            self.pacer.set_link(Some(bps));
            told.push_back(Delivery::Bitrate(bps));
        }
        // Feedback knows better than the reports of a while without it.
        if self.by_reports && self.path.is_heard(now) {
            self.by_reports = false;
            self.loss = LossControl::default();
            if moved.is_none() {
                told.push_back(Delivery::Bitrate(self.rate.told_bps().unwrap_or(0)));
            }
        }
    }

    /// Takes a report in; how many packets it is about.
    fn report_block(&mut self, now: Instant, block: &ReportBlock) -> Option<u64> {
        let stream = self.tracks.values_mut().flat_map(|t| &mut t.streams).find(|s| s.ssrc == block.ssrc)?;
        let packets = stream.since_report();
        stream.known();
        stream.stats.loss_percent = f32::from(block.fraction_lost) * 100.0 / 256.0;
        stream.stats.lost = i64::from(block.cumulative_lost);
        if block.last_sender_report != 0 {
            let middle = rtcp::ntp_middle(self.wall.ntp(now));
            let passed = middle.wrapping_sub(block.last_sender_report).wrapping_sub(block.delay_since);
            // Rounding can make it a little negative; a minute or more is nonsense.
            if passed < 60 << 16 {
                self.rtt = Some(Duration::from_micros(u64::from(passed) * 1_000_000 / 65_536));
            }
        }
        Some(packets)
    }

    fn repeat(&mut self, now: Instant, ssrc: u32, lost: impl Iterator<Item = u16>, out: &mut Outbound<'_>) {
        let round_trip = self.path.round_trip().or(self.rtt).unwrap_or_default();
        let Some((track, layer)) = self.tracks.values_mut().find_map(|track| track.layer_of(ssrc)) else { return };
        let (Some(params), stream) = (&track.params, &mut track.streams[layer]) else { return };
        for sequence in lost.take(REPEAT_MAX) {
            let Some((mut packet, renewed)) = stream.repeat(now, round_trip, params, sequence) else { continue };
            if renewed {
                stamp(&mut packet, params, &mut self.path, &self.wall, now);
            }
            self.sent_bytes += packet.len() as u64;
            out.rtp(packet);
        }
    }

    fn key_frame_asked(&mut self, now: Instant, ssrc: u32, told: &mut VecDeque<Delivery>) {
        if let Some((track, layer)) = self.tracks.values_mut().find_map(|track| track.layer_of(ssrc)) {
            track.streams[layer].known();
            track.streams[layer].stats.key_frames_asked += 1;
            track.want_key(now, layer, told);
        }
    }
}

impl Track {
    fn new(local: LocalTrack) -> Self {
        let video = local.kind == MediaKind::Video;
        let rids = RIDS.iter().take(local.layers.len()).map(|rid| Some(*rid));
        let mut streams: Vec<_> = rids.map(|rid| RtpStream::new(&local.cid, video, rid)).collect();
        if streams.is_empty() {
            streams.push(RtpStream::new(&local.cid, video, None));
        }
        Self {
            section: None,
            params: None,
            streams,
            time_base: rand::random(),
            zero: MediaZero::default(),
            sound: SoundClock::default(),
            local,
        }
    }

    /// New streams for the other side: nothing of the old ones may be continued.
    fn renew(&mut self) {
        self.streams.iter_mut().for_each(RtpStream::renew);
        self.time_base = rand::random();
        self.sound = SoundClock::default();
        self.params = None;
    }

    fn layer_of(&mut self, ssrc: u32) -> Option<(&mut Self, usize)> {
        let layer = self.streams.iter().position(|stream| stream.ssrc == ssrc)?;
        Some((self, layer))
    }

    fn want_key(&mut self, now: Instant, layer: usize, told: &mut VecDeque<Delivery>) {
        if self.local.kind != MediaKind::Video || self.local.muted {
            return;
        }
        if self.streams[layer].want_key(now) {
            told.push_back(Delivery::KeyFrameWanted(self.local.cid.clone(), layer));
        }
    }

    /// A server that takes no layers gets the largest alone.
    fn sends(&self, layer: usize) -> bool {
        let one = self.params.as_ref().is_some_and(|params| params.ext_rid.is_none());
        !one || layer + 1 == self.streams.len()
    }
}

/// Writes the number and the moment of sending into the extensions that were left open for them.
fn stamp(packet: &mut [u8], params: &SendParams, path: &mut PathMonitor, wall: &Wall, now: Instant) {
    if let Some(at) = params.ext_twcc.and_then(|id| extension_offset(packet, id)) {
        set(packet, at, &path.next_sequence().to_be_bytes());
        path.sent(now, packet.len());
    } else {
        path.sent_plain(packet.len());
    }
    if let Some(at) = params.ext_abs_send_time.and_then(|id| extension_offset(packet, id)) {
        set(packet, at, &wall.abs_send_time(now));
    }
}

fn extension_offset(packet: &[u8], id: u8) -> Option<usize> {
    let data = RtpPacket::parse(packet)?.extension(id)?;
    (data.as_ptr() as usize).checked_sub(packet.as_ptr() as usize)
}

fn set(packet: &mut [u8], at: usize, value: &[u8]) {
    if let Some(field) = packet.get_mut(at..at + value.len()) {
        field.copy_from_slice(value);
    }
}

fn no_track(cid: &str) -> Error {
    Error::invalid(format!("cid {cid:?} is not published"))
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
