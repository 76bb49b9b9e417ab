//! One RTP stream of a local track: its numbers, what it sent, and what the other side asked of it.
use crate::stats::LocalTrackStats;
use std::time::{Duration, Instant};
use trtc_peer::SendParams;
use trtc_rtp::rtcp::SenderInfo;
use trtc_rtp::{RecentRepeats, RetransmissionCache, RtpHeader, RtpPacket, write_rtp, write_rtx};

/// Packets kept for repetition: two seconds at 2 Mbit/s.
const CACHE_PACKETS: usize = 512;
/// Between two requests to the encoder for a key frame.
const KEY_FRAME_PERIOD: Duration = Duration::from_millis(200);

pub(crate) struct RtpStream {
    /// Name of the layer; a track of one stream has none.
    rid: Option<&'static str>,
    pub ssrc: u32,
    pub rtx_ssrc: u32,
    sequence: u16,
    rtx_sequence: u16,
    cache: Option<RetransmissionCache>,
    repeats: RecentRepeats,
    /// The other side has reported on the SSRC, so it knows whose it is (RFC 8852: until then every packet says it).
    known: bool,
    pub needs_key: bool,
    /// Frames were dropped since the last one that was sent.
    pub starved: bool,
    last_key_request: Option<Instant>,
    /// A request that came too soon after the last one, and waits.
    key_request_waits: bool,
    packets: u32,
    octets: u32,
    /// Packets sent when the latest report came.
    reported: u64,
    pub stats: LocalTrackStats,
}

impl RtpStream {
    pub fn new(cid: &str, video: bool, rid: Option<&'static str>) -> Self {
        let mut stream = Self {
            rid,
            ssrc: 0,
            rtx_ssrc: 0,
            sequence: 0,
            rtx_sequence: 0,
            cache: video.then(|| RetransmissionCache::new(CACHE_PACKETS)),
            repeats: RecentRepeats::default(),
            known: false,
            needs_key: true,
            starved: false,
            last_key_request: None,
            key_request_waits: false,
            packets: 0,
            octets: 0,
            reported: 0,
            stats: LocalTrackStats {
                cid: cid.to_owned(),
                rid: rid.unwrap_or_default().to_owned(),
                ..LocalTrackStats::default()
            },
        };
        stream.renew();
        stream
    }

    /// A new stream for the other side: nothing of the old one may be continued.
    pub fn renew(&mut self) {
        self.ssrc = rand::random_range(1..=u32::MAX);
        self.rtx_ssrc = self.ssrc ^ 1;
        // Below the middle, so that the SRTP roll-over counter starts the same on both sides even when first packets are lost.
        self.sequence = rand::random_range(0..0x4000);
        self.rtx_sequence = rand::random_range(0..0x4000);
        self.known = false;
        self.needs_key = true;
        self.packets = 0;
        self.octets = 0;
        self.repeats = RecentRepeats::default();
        if let Some(cache) = &mut self.cache {
            *cache = RetransmissionCache::new(CACHE_PACKETS);
        }
    }

    /// The other side named the SSRC.
    pub fn known(&mut self) {
        self.known = true;
    }

    /// Packets sent since the latest report, which is now.
    pub fn since_report(&mut self) -> u64 {
        self.stats.packets - std::mem::replace(&mut self.reported, self.stats.packets)
    }

    /// The next packet; its moment of sending is stamped later. `level` is an audio level as of RFC 6464.
    pub fn packet(
        &mut self,
        params: &SendParams,
        marker: bool,
        timestamp: u32,
        payload: &[u8],
        level: Option<u8>,
    ) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let header = RtpHeader {
            marker,
            payload_type: params.payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        };
        let rid = self.rid.filter(|_| !self.known);
        let level = level.map(|level| [level]);
        let wanted = [
            (params.ext_mid, Some(params.mid.as_bytes()).filter(|_| self.rid.is_none() || rid.is_some())),
            (params.ext_rid, rid.map(str::as_bytes)),
            (params.ext_audio_level, level.as_ref().map(|level| &level[..])),
            (params.ext_twcc, Some(&[0; 2][..])),
            (params.ext_abs_send_time, Some(&[0; 3][..])),
        ];
        let mut extensions: [(u8, &[u8]); 5] = [(0, &[]); 5];
        let mut used = 0;
        for (id, value) in wanted.into_iter().filter_map(|(id, value)| id.zip(value)) {
            extensions[used] = (id, value);
            used += 1;
        }
        let mut packet = Vec::with_capacity(payload.len() + 64);
        write_rtp(&mut packet, &header, &extensions[..used], payload);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        self.packets = self.packets.wrapping_add(1);
        packet
    }

    /// Counts a packet that leaves, and keeps it for repetition.
    pub fn sent(&mut self, packet: &[u8]) -> u64 {
        if let (Some(cache), Some(view)) = (&mut self.cache, RtpPacket::parse(packet)) {
            cache.insert(view.header().sequence, packet);
        }
        self.stats.packets += 1;
        self.stats.bytes += packet.len() as u64;
        packet.len() as u64
    }

    /// The packet with this number once more, as a retransmission where they are agreed on; and whether it is one. None when it
    /// is forgotten, or was repeated within `round_trip`.
    pub fn repeat(
        &mut self,
        now: Instant,
        round_trip: Duration,
        params: &SendParams,
        sequence: u16,
    ) -> Option<(Vec<u8>, bool)> {
        let original = self.cache.as_ref()?.get(sequence)?;
        if !self.repeats.take(now, sequence, round_trip) {
            return None;
        }
        self.stats.retransmitted += 1;
        let mut packet = Vec::with_capacity(original.len() + 32);
        let Some(payload_type) = params.rtx_payload_type else {
            // Byte for byte as before: the same SRTP index must never protect anything else.
            packet.extend_from_slice(original);
            return Some((packet, false));
        };
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        match self.rid {
            Some(rid) => self.write_repair(&mut packet, original, params, payload_type, rid),
            None => write_rtx(&mut packet, original, self.rtx_ssrc, payload_type, self.rtx_sequence),
        }
        Some((packet, true))
    }

    /// RFC 4588 with the layer that it repairs (RFC 8852): nothing reports on repair streams, so each packet says it.
    fn write_repair(&self, out: &mut Vec<u8>, original: &[u8], params: &SendParams, payload_type: u8, rid: &str) {
        let Some(view) = RtpPacket::parse(original) else { return };
        let header = view.header();
        let repair = RtpHeader { payload_type, sequence: self.rtx_sequence, ssrc: self.rtx_ssrc, ..header };
        let wanted: [(Option<u8>, &[u8]); 4] = [
            (params.ext_mid, params.mid.as_bytes()),
            (params.ext_repaired_rid, rid.as_bytes()),
            (params.ext_twcc, &[0; 2]),
            (params.ext_abs_send_time, &[0; 3]),
        ];
        let extensions: Vec<(u8, &[u8])> = wanted.into_iter().filter_map(|(id, value)| Some((id?, value))).collect();
        let mut payload = Vec::with_capacity(view.payload().len() + 2);
        payload.extend_from_slice(&header.sequence.to_be_bytes());
        payload.extend_from_slice(view.payload());
        write_rtp(out, &repair, &extensions, &payload);
    }

    /// For a Sender Report; nothing was sent: none.
    pub fn sender_info(&self, ntp: u64, rtp_time: u32) -> Option<SenderInfo> {
        let Self { ssrc, packets, octets, .. } = *self;
        (packets > 0).then_some(SenderInfo { ssrc, ntp, rtp_time, packets, octets })
    }

    /// Asks for a key frame; `true` when the encoder is to be told now.
    pub fn want_key(&mut self, now: Instant) -> bool {
        self.key_request_waits = self.last_key_request.is_some_and(|last| now < last + KEY_FRAME_PERIOD);
        if !self.key_request_waits {
            self.last_key_request = Some(now);
        }
        !self.key_request_waits
    }

    pub fn key_request_due(&self) -> Option<Instant> {
        self.last_key_request.filter(|_| self.key_request_waits).map(|last| last + KEY_FRAME_PERIOD)
    }
}
