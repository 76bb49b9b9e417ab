//! The sending half: encoded frames become RTP packets on the publisher connection; lost ones are repeated, reports are read.
use crate::Delivery;
use crate::clock::{Wall, rtp_time};
use crate::outbound::Outbound;
use crate::pacer::Pacer;
use crate::stats::LocalTrackStats;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use trtc_peer::{Peer, SectionId, SendParams, SendTrack};
use trtc_rtp::h264::Packetizer;
use trtc_rtp::rtcp::{self, ReportBlock, Rtcp, SenderInfo};
use trtc_rtp::{RetransmissionCache, RtpHeader, RtpPacket, write_rtp, write_rtx};
use trtc_session::LocalTrack;
use trtc_types::{CodecKind, EncodedVideo, Error, MediaKind, Result};

/// Largest RTP payload; with headers, extensions and SRTP tag the datagram stays below 1,200 bytes.
const PAYLOAD_MAX: usize = 1_100;
/// Packets kept for repetition: two seconds at 2 Mbit/s.
const CACHE_PACKETS: usize = 512;
const VIDEO_CLOCK: u32 = 90_000;
const AUDIO_CLOCK: u32 = 48_000;
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// Between two requests to the encoder for a key frame.
const KEY_FRAME_PERIOD: Duration = Duration::from_millis(200);
/// Packets repeated for one NACK datagram.
const REPEAT_MAX: usize = 128;
/// An audio time this far from the running one is a gap, not jitter of the caller.
const AUDIO_GAP_TICKS: i32 = 1_920;

pub(crate) struct Publish {
    tracks: BTreeMap<usize, Track>,
    next_id: usize,
    pacer: Pacer,
    packetizer: Packetizer,
    wall: Wall,
    /// The instant of media time zero: earliest seen, so that the encoder's delay does not shift sound against picture.
    media_zero: Option<Instant>,
    transport_sequence: u16,
    next_report: Option<Instant>,
    rtt: Option<Duration>,
    pub sent_bytes: u64,
}

struct Track {
    local: LocalTrack,
    section: Option<SectionId>,
    params: Option<SendParams>,
    ssrc: u32,
    rtx_ssrc: u32,
    sequence: u16,
    rtx_sequence: u16,
    time_base: u32,
    next_audio_time: Option<u32>,
    cache: Option<RetransmissionCache>,
    needs_key: bool,
    /// Frames were dropped since the last one that was sent.
    starved: bool,
    last_key_request: Option<Instant>,
    /// A request that came too soon after the last one, and waits.
    key_request_waits: bool,
    packets: u32,
    octets: u32,
    stats: LocalTrackStats,
}

impl Publish {
    pub fn new(wall: Wall) -> Self {
        Self {
            tracks: BTreeMap::new(),
            next_id: 0,
            pacer: Pacer::new(),
            packetizer: Packetizer::new(),
            wall,
            media_zero: None,
            transport_sequence: 0,
            next_report: None,
            rtt: None,
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
        sid.clone_into(&mut track.stats.sid);
        let video = track.local.kind == MediaKind::Video;
        track.section = Some(peer.add_send(SendTrack {
            kind: track.local.kind,
            codec: track.local.codec.clone(),
            codec_spec: None,
            stream_id: "-".into(),
            track_id: cid.to_owned(),
            ssrc: track.ssrc,
            rtx_ssrc: video.then_some(track.rtx_ssrc),
        }));
    }

    /// The connections are gone; sections come again with [`Self::attach`].
    pub fn detach_all(&mut self) {
        for (id, track) in &mut self.tracks {
            track.section = None;
            track.params = None;
            self.pacer.clear(*id);
        }
        self.next_report = None;
    }

    /// Reads what the answer allows.
    pub fn negotiated(&mut self, now: Instant, peer: &Peer, told: &mut VecDeque<Delivery>) {
        for track in self.tracks.values_mut() {
            let ready = track.params.is_some();
            track.params = track.section.and_then(|section| peer.send_params(section));
            // The encoder's own first key frame may have come too early.
            if !ready && track.params.is_some() && track.starved {
                track.want_key(now, told);
            }
        }
        self.next_report.get_or_insert(now + REPORT_PERIOD);
    }

    pub fn set_muted(&mut self, now: Instant, cid: &str, muted: bool, told: &mut VecDeque<Delivery>) {
        let Some((id, track)) = self.find(cid) else { return };
        track.local.muted = muted;
        if track.local.kind == MediaKind::Video {
            track.needs_key = true;
            if muted {
                self.pacer.clear(id);
            } else {
                track.want_key(now, told);
            }
        }
    }

    /// Packetises one access unit; frames that cannot be sent now are dropped and counted, until the next key frame.
    pub fn send_video(
        &mut self,
        now: Instant,
        cid: &str,
        frame: &EncodedVideo,
        told: &mut VecDeque<Delivery>,
    ) -> Result<()> {
        self.note_media_time(now, frame.time);
        let pacer = &mut self.pacer;
        let (&id, track) = self.tracks.iter_mut().find(|(_, t)| t.local.cid == cid).ok_or_else(|| no_track(cid))?;
        if track.local.kind != MediaKind::Video || track.local.codec != CodecKind::H264 {
            return Err(Error::invalid(format!("cid {cid:?} is not an H.264 track")));
        }
        if track.local.muted {
            return Ok(());
        }
        if track.params.is_none() || (track.needs_key && !frame.key) {
            track.stats.frames_dropped += 1;
            track.needs_key = true;
            track.starved = true;
            if track.params.is_some() {
                track.want_key(now, told);
            }
            return Ok(());
        }
        let Some(params) = track.params.clone() else { return Ok(()) };
        track.needs_key = false;
        track.starved = false;
        let timestamp = rtp_time(track.time_base, frame.time, VIDEO_CLOCK);
        let mut whole = true;
        self.packetizer.packetize(&frame.data, PAYLOAD_MAX, &mut |payload, last| {
            let packet = track.packet(&params, last, timestamp, payload);
            whole &= pacer.push(now, id, packet);
        });
        if whole {
            track.stats.frames += 1;
        } else {
            // Far too much at once: what is queued leads nowhere without its rest.
            pacer.clear(id);
            track.needs_key = true;
            track.stats.frames_dropped += 1;
            track.want_key(now, told);
        }
        Ok(())
    }

    /// Sends one Opus packet of `samples` (48 kHz) captured at `time`.
    pub fn send_audio(
        &mut self,
        now: Instant,
        cid: &str,
        opus: &[u8],
        samples: u32,
        time: Duration,
        out: &mut Outbound<'_>,
    ) -> Result<()> {
        self.note_media_time(now, time);
        let track = self.tracks.values_mut().find(|t| t.local.cid == cid).ok_or_else(|| no_track(cid))?;
        if track.local.kind != MediaKind::Audio || opus.is_empty() || opus.len() > PAYLOAD_MAX {
            return Err(Error::invalid(format!("cid {cid:?}: an audio track and 1..={PAYLOAD_MAX} bytes are needed")));
        }
        let Some(params) = track.params.clone() else {
            track.stats.frames_dropped += 1;
            return Ok(());
        };
        let by_clock = rtp_time(track.time_base, time, AUDIO_CLOCK);
        let running =
            track.next_audio_time.filter(|next| (by_clock.wrapping_sub(*next) as i32).abs() < AUDIO_GAP_TICKS);
        let timestamp = running.unwrap_or(by_clock);
        track.next_audio_time = Some(timestamp.wrapping_add(samples));
        // The first packet of a talk spurt is marked (RFC 3551 section 4.1).
        let mut packet = track.packet(&params, running.is_none(), timestamp, opus);
        track.stats.frames += 1;
        stamp(&mut packet, &params, &mut self.transport_sequence, &self.wall, now);
        self.sent_bytes += track.sent(&packet);
        out.rtp(packet);
        Ok(())
    }

    /// Sends what the pacer releases and what the clock demands.
    pub fn advance(&mut self, now: Instant, out: &mut Outbound<'_>, told: &mut VecDeque<Delivery>) {
        for track in self.tracks.values_mut() {
            if track.key_request_due().is_some_and(|at| at <= now) {
                track.want_key(now, told);
            }
        }
        while let Some(mut waiting) = self.pacer.pop(now) {
            let Some(track) = self.tracks.get_mut(&waiting.track) else { continue };
            let Some(params) = &track.params else { continue };
            stamp(&mut waiting.packet, params, &mut self.transport_sequence, &self.wall, now);
            if let (Some(cache), Some(packet)) = (&mut track.cache, RtpPacket::parse(&waiting.packet)) {
                cache.insert(packet.header().sequence, &waiting.packet);
            }
            self.sent_bytes += track.sent(&waiting.packet);
            out.rtp(waiting.packet);
        }
        if self.next_report.is_some_and(|at| at <= now) {
            self.next_report = Some(now + REPORT_PERIOD);
            self.report(now, out);
        }
    }

    pub fn timeout(&self) -> Option<Instant> {
        let requests = self.tracks.values().filter_map(Track::key_request_due);
        requests.chain(self.pacer.timeout()).chain(self.next_report).min()
    }

    /// Reads a compound RTCP packet of the server about our tracks.
    pub fn rtcp(&mut self, now: Instant, datagram: &[u8], out: &mut Outbound<'_>, told: &mut VecDeque<Delivery>) {
        for packet in rtcp::parse(datagram) {
            match packet {
                Rtcp::SenderReport { reports, .. } | Rtcp::ReceiverReport { reports, .. } => {
                    reports.for_each(|block| self.report_block(now, &block));
                }
                Rtcp::Nack { media_ssrc, lost } => self.repeat(now, media_ssrc, lost, out),
                Rtcp::Pli { media_ssrc } => self.key_frame_asked(now, media_ssrc, told),
                Rtcp::Fir { entries } => entries.for_each(|(ssrc, _)| self.key_frame_asked(now, ssrc, told)),
                Rtcp::Remb { bitrate_bps, .. } => {
                    told.push_back(Delivery::Bitrate(u32::try_from(bitrate_bps).unwrap_or(u32::MAX)));
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
        self.tracks.values().map(|track| track.stats.clone()).collect()
    }

    fn find(&mut self, cid: &str) -> Option<(usize, &mut Track)> {
        self.tracks.iter_mut().find(|(_, track)| track.local.cid == cid).map(|(id, track)| (*id, track))
    }

    fn note_media_time(&mut self, now: Instant, time: Duration) {
        let zero = now.checked_sub(time).unwrap_or(now);
        let known = self.media_zero.get_or_insert(zero);
        // A jump of more than a second is a new time base of the host.
        if zero < *known || zero.saturating_duration_since(*known) > Duration::from_secs(1) {
            *known = zero;
        }
    }

    fn report(&mut self, now: Instant, out: &mut Outbound<'_>) {
        let media = now.saturating_duration_since(self.media_zero.unwrap_or(now));
        for track in self.tracks.values().filter(|track| track.params.is_some() && track.packets > 0) {
            let clock = if track.local.kind == MediaKind::Video { VIDEO_CLOCK } else { AUDIO_CLOCK };
            let info = SenderInfo {
                ssrc: track.ssrc,
                ntp: self.wall.ntp(now),
                rtp_time: rtp_time(track.time_base, media, clock),
                packets: track.packets,
                octets: track.octets,
            };
            let mut packet = Vec::with_capacity(96);
            rtcp::sender_report(&mut packet, &info, &[]);
            rtcp::sdes_cname(&mut packet, track.ssrc, "trtc");
            out.rtcp(packet);
        }
    }

    fn report_block(&mut self, now: Instant, block: &ReportBlock) {
        let Some(track) = self.tracks.values_mut().find(|track| track.ssrc == block.ssrc) else { return };
        track.stats.loss_percent = f32::from(block.fraction_lost) * 100.0 / 256.0;
        track.stats.lost = i64::from(block.cumulative_lost);
        if block.last_sender_report != 0 {
            let middle = rtcp::ntp_middle(self.wall.ntp(now));
            let passed = middle.wrapping_sub(block.last_sender_report).wrapping_sub(block.delay_since);
            // Rounding can make it a little negative; a minute or more is nonsense.
            if passed < 60 << 16 {
                self.rtt = Some(Duration::from_micros(u64::from(passed) * 1_000_000 / 65_536));
            }
        }
    }

    fn repeat(&mut self, now: Instant, ssrc: u32, lost: impl Iterator<Item = u16>, out: &mut Outbound<'_>) {
        let Some(track) = self.tracks.values_mut().find(|track| track.ssrc == ssrc) else { return };
        let (Some(cache), Some(params)) = (&track.cache, &track.params) else { return };
        for sequence in lost.take(REPEAT_MAX) {
            let Some(original) = cache.get(sequence) else { continue };
            track.stats.retransmitted += 1;
            let mut packet = Vec::with_capacity(original.len() + 32);
            if let Some(payload_type) = params.rtx_payload_type {
                track.rtx_sequence = track.rtx_sequence.wrapping_add(1);
                write_rtx(&mut packet, original, track.rtx_ssrc, payload_type, track.rtx_sequence);
                stamp(&mut packet, params, &mut self.transport_sequence, &self.wall, now);
            } else {
                // Byte for byte as before: the same SRTP index must never protect anything else.
                packet.extend_from_slice(original);
            }
            self.sent_bytes += packet.len() as u64;
            out.rtp(packet);
        }
    }

    fn key_frame_asked(&mut self, now: Instant, ssrc: u32, told: &mut VecDeque<Delivery>) {
        if let Some(track) = self.tracks.values_mut().find(|track| track.ssrc == ssrc) {
            track.stats.key_frames_asked += 1;
            track.want_key(now, told);
        }
    }
}

impl Track {
    fn new(local: LocalTrack) -> Self {
        let cache = (local.kind == MediaKind::Video).then(|| RetransmissionCache::new(CACHE_PACKETS));
        let stats = LocalTrackStats { cid: local.cid.clone(), ..LocalTrackStats::default() };
        let mut track = Self {
            local,
            section: None,
            params: None,
            ssrc: 0,
            rtx_ssrc: 0,
            sequence: 0,
            rtx_sequence: 0,
            time_base: 0,
            next_audio_time: None,
            cache,
            needs_key: true,
            starved: false,
            last_key_request: None,
            key_request_waits: false,
            packets: 0,
            octets: 0,
            stats,
        };
        track.renew();
        track
    }

    /// A new stream for the other side: nothing of the old one may be continued.
    fn renew(&mut self) {
        self.ssrc = rand::random_range(1..=u32::MAX);
        self.rtx_ssrc = self.ssrc ^ 1;
        // Below the middle, so that the SRTP roll-over counter starts the same on both sides even when first packets are lost.
        self.sequence = rand::random_range(0..0x4000);
        self.rtx_sequence = rand::random_range(0..0x4000);
        self.time_base = rand::random();
        self.next_audio_time = None;
        self.params = None;
        self.needs_key = true;
        self.packets = 0;
        self.octets = 0;
        if let Some(cache) = &mut self.cache {
            *cache = RetransmissionCache::new(CACHE_PACKETS);
        }
    }

    fn packet(&mut self, params: &SendParams, marker: bool, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let header = RtpHeader {
            marker,
            payload_type: params.payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        };
        let mut extensions: [(u8, &[u8]); 3] = [(0, &[]); 3];
        let wanted = [
            (params.ext_mid, params.mid.as_bytes()),
            (params.ext_twcc, &[0; 2][..]),
            (params.ext_abs_send_time, &[0; 3][..]),
        ];
        let mut used = 0;
        for (id, value) in wanted {
            if let Some(id) = id {
                extensions[used] = (id, value);
                used += 1;
            }
        }
        let mut packet = Vec::with_capacity(payload.len() + 64);
        write_rtp(&mut packet, &header, &extensions[..used], payload);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        self.packets = self.packets.wrapping_add(1);
        packet
    }

    fn sent(&mut self, packet: &[u8]) -> u64 {
        self.stats.packets += 1;
        self.stats.bytes += packet.len() as u64;
        packet.len() as u64
    }

    fn want_key(&mut self, now: Instant, told: &mut VecDeque<Delivery>) {
        if self.local.kind != MediaKind::Video || self.local.muted {
            return;
        }
        self.key_request_waits = self.last_key_request.is_some_and(|last| now < last + KEY_FRAME_PERIOD);
        if !self.key_request_waits {
            self.last_key_request = Some(now);
            told.push_back(Delivery::KeyFrameWanted(self.local.cid.clone()));
        }
    }

    fn key_request_due(&self) -> Option<Instant> {
        self.last_key_request.filter(|_| self.key_request_waits).map(|last| last + KEY_FRAME_PERIOD)
    }
}

/// Writes the moment of sending into the extensions that were left open for it.
fn stamp(packet: &mut [u8], params: &SendParams, sequence: &mut u16, wall: &Wall, now: Instant) {
    if let Some(at) = params.ext_twcc.and_then(|id| extension_offset(packet, id)) {
        *sequence = sequence.wrapping_add(1);
        set(packet, at, &sequence.to_be_bytes());
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
