//! What the publisher sends: a stream of the shape of H.264 720p30 at about 1.9 Mbit/s, and Opus at 50 packets a second.
use std::time::{Duration, Instant};
use trtc_peer::{CodecSpec, Peer, SectionId, SendParams, SendTrack};
use trtc_rtp::{RtpHeader, SenderState, write_rtp};
use trtc_types::{CodecKind, MediaKind};

/// Where the time stamp lies in every payload.
pub(crate) const STAMP_AT: usize = 8;
/// Bytes of a sound packet's payload; every video packet has more.
pub(crate) const AUDIO_PAYLOAD: usize = 100;

/// Payload types of plain RTP, as the bench's configuration of Janus has them.
const PLAIN_VIDEO: u8 = 96;
const PLAIN_AUDIO: u8 = 111;

/// Payloads of video packets: a frame's last one is what was left.
const PAYLOAD: usize = 1_100;
const LAST_PAYLOAD: usize = 900;
const FRAMES_PER_SECOND: u32 = 30;
const PACKETS_A_FRAME: u32 = 7;
const PACKETS_A_KEY_FRAME: u32 = 21;
const KEY_FRAME_EVERY: u32 = 60;
const AUDIO_INTERVAL: Duration = Duration::from_millis(20);
/// What leaves at once, and the time between the packets behind that: as the pacer of `trtc-member` does it.
const BURST: u32 = 14;
const BEHIND_BURST: Duration = Duration::from_micros(550);

/// When which packet is due.
pub(crate) struct Schedule {
    frame: u32,
    packet: u32,
    frame_packets: u32,
    audio_packet: u32,
    /// More time between the packets of a frame.
    pace: Duration,
    /// Faster than a call by this factor.
    speed: u32,
    /// The next frame becomes a key frame.
    pub(crate) key_frame_wanted: bool,
}

/// A packet as the schedule knows it.
pub(crate) struct Planned {
    pub(crate) kind: MediaKind,
    /// Bytes of payload.
    pub(crate) length: usize,
    marker: bool,
    timestamp: u32,
    begins_key_frame: bool,
}

impl Schedule {
    pub(crate) fn new(pace: Duration, speed: u32) -> Self {
        Self { frame: 0, packet: 0, frame_packets: 0, audio_packet: 0, pace, speed, key_frame_wanted: true }
    }

    /// When the next packet is due, counted from the start.
    pub(crate) fn due(&self) -> Duration {
        self.video_due().min(self.audio_due()) / self.speed
    }

    /// Frames that are complete.
    pub(crate) fn frame(&self) -> u32 {
        self.frame
    }

    /// The next packet.
    pub(crate) fn next(&mut self) -> Planned {
        if self.video_due() <= self.audio_due() { self.next_video() } else { self.next_audio() }
    }

    fn video_due(&self) -> Duration {
        let held = BEHIND_BURST * self.packet.saturating_sub(BURST);
        Duration::from_secs(1) * self.frame / FRAMES_PER_SECOND + (self.pace * self.packet).max(held)
    }

    fn audio_due(&self) -> Duration {
        AUDIO_INTERVAL * self.audio_packet
    }

    fn next_video(&mut self) -> Planned {
        let mut begins_key_frame = false;
        if self.packet == 0 {
            begins_key_frame = std::mem::take(&mut self.key_frame_wanted) || self.frame.is_multiple_of(KEY_FRAME_EVERY);
            self.frame_packets = if begins_key_frame { PACKETS_A_KEY_FRAME } else { PACKETS_A_FRAME };
        }
        let timestamp = self.frame * (90_000 / FRAMES_PER_SECOND);
        self.packet += 1;
        let marker = self.packet == self.frame_packets;
        if marker {
            self.packet = 0;
            self.frame += 1;
        }
        let length = if marker { LAST_PAYLOAD } else { PAYLOAD };
        Planned { kind: MediaKind::Video, length, marker, timestamp, begins_key_frame }
    }

    fn next_audio(&mut self) -> Planned {
        let timestamp = self.audio_packet * 960;
        self.audio_packet += 1;
        let (kind, length) = (MediaKind::Audio, AUDIO_PAYLOAD);
        Planned { kind, length, marker: false, timestamp, begins_key_frame: false }
    }
}

/// One track: its section, and where its stream stands.
struct Stream {
    section: Option<SectionId>,
    params: Option<SendParams>,
    ssrc: u32,
    sequence: u16,
    report: SenderState,
}

/// The publisher's two tracks.
pub(crate) struct Source {
    pub(crate) schedule: Schedule,
    video: Stream,
    audio: Stream,
    transport_sequence: u16,
    payload: Vec<u8>,
}

impl Source {
    /// Adds the tracks to the publisher's peer.
    pub(crate) fn new(peer: &mut Peer, schedule: Schedule) -> Self {
        let mut add = |kind, codec, ssrc, clock_rate| {
            let track_id = cid(kind).to_owned();
            let (stream_id, codec_spec) = ("-".to_owned(), None);
            let section =
                peer.add_send(SendTrack { kind, codec, codec_spec, stream_id, track_id, ssrc, rtx_ssrc: None });
            Stream {
                section: Some(section),
                params: None,
                ssrc,
                sequence: 1,
                report: SenderState::new(ssrc, clock_rate),
            }
        };
        Self {
            schedule,
            video: add(MediaKind::Video, CodecKind::H264, 1_001, 90_000),
            audio: add(MediaKind::Audio, CodecKind::Opus, 1_002, 48_000),
            transport_sequence: 0,
            payload: payload(),
        }
    }

    /// For a server that takes plain RTP with these payload types.
    pub(crate) fn plain(schedule: Schedule) -> Self {
        let stream = |payload_type, ssrc, clock_rate| {
            let codec = CodecSpec { payload_type, ..CodecSpec::default() };
            let params = SendParams {
                payload_type,
                rtx_payload_type: None,
                red_payload_type: None,
                ext_mid: None,
                ext_twcc: None,
                ext_abs_send_time: None,
                ext_audio_level: None,
                ext_rid: None,
                ext_repaired_rid: None,
                mid: String::new(),
                codec,
            };
            Stream {
                section: None,
                params: Some(params),
                ssrc,
                sequence: 1,
                report: SenderState::new(ssrc, clock_rate),
            }
        };
        let (video, audio) = (stream(PLAIN_VIDEO, 1_001, 90_000), stream(PLAIN_AUDIO, 1_002, 48_000));
        Self { schedule, video, audio, transport_sequence: 0, payload: payload() }
    }

    /// The tracks are negotiated.
    pub(crate) fn negotiated(&mut self, peer: &Peer) {
        for stream in [&mut self.video, &mut self.audio] {
            stream.params = stream.section.and_then(|section| peer.send_params(section));
        }
    }

    /// Writes the next packet; `None` while it is not negotiated how.
    pub(crate) fn next(&mut self, now: Instant, stamp: u64, out: &mut Vec<u8>) -> Option<MediaKind> {
        let Planned { kind, length, marker, timestamp, begins_key_frame } = self.schedule.next();
        let video = kind == MediaKind::Video;
        // A sequence parameter set begins a key frame, a slice any other.
        self.payload[0] = if begins_key_frame { 0x67 } else { 0x41 };
        self.payload[STAMP_AT..STAMP_AT + 8].copy_from_slice(&stamp.to_be_bytes());
        let stream = if video { &mut self.video } else { &mut self.audio };
        let params = stream.params.as_ref()?;
        let (sequence, ssrc) = (stream.sequence, stream.ssrc);
        stream.sequence = sequence.wrapping_add(1);
        stream.report.sent(now, timestamp, length);
        let header = RtpHeader { marker, payload_type: params.payload_type, sequence, timestamp, ssrc };
        let transport = self.transport_sequence.to_be_bytes();
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let level = [0x8a];
        let mut extensions: [(u8, &[u8]); 2] = [(0, &[]); 2];
        let wanted = [
            params.ext_twcc.map(|id| (id, &transport[..])),
            params.ext_audio_level.filter(|_| !video).map(|id| (id, &level[..])),
        ];
        let mut used = 0;
        for extension in wanted.into_iter().flatten() {
            extensions[used] = extension;
            used += 1;
        }
        out.clear();
        write_rtp(out, &header, &extensions[..used], &self.payload[..length]);
        Some(kind)
    }

    /// Both streams' books, for sender reports.
    pub(crate) fn reports(&mut self) -> [&mut SenderState; 2] {
        [&mut self.video.report, &mut self.audio.report]
    }
}

fn payload() -> Vec<u8> {
    (0..PAYLOAD).map(|n| n as u8).collect()
}

/// The client's name for its track.
pub(crate) fn cid(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video => "camera",
        MediaKind::Audio => "microphone",
    }
}

/// The server's name for it.
pub(crate) fn sid(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video => "TR_camera",
        MediaKind::Audio => "TR_microphone",
    }
}
