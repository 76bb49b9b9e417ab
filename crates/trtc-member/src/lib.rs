//! One room membership without devices or codecs: encoded frames in, encoded frames out. It joins any server that speaks the
//! LiveKit protocol with two connections.
//!
//! An API call locks the membership for microseconds, changes it and wakes the `trtc-net` thread, which does the rest and calls
//! the [`MemberSink`].
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod clock;
mod core;
mod door;
mod outbound;
mod pacer;
mod publish;
mod receive;
mod relay;
mod stats;
mod stream;

pub use door::Door;
pub use stats::{LocalTrackStats, MemberStats, RemoteTrackStats};
pub use trtc_rtp::quality::rating;
pub use trtc_session::{Event, LocalLayer, LocalTrack, Privileges, RemoteTrack, TrackSettings, VideoQuality};

use bytes::Bytes;
use core::Core;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trtc_net::ServerUrl;
use trtc_net::driver::{self, Handle, Input, Machine, NetAction};
use trtc_peer::Identity;
use trtc_types::{Code, EncodedVideo, Error, Result, TrackSource, UserId};

/// How to join.
#[derive(Clone)]
pub struct MemberConfig {
    /// Base address of the server: `http`, `https`, `ws` or `wss`.
    pub url: String,
    /// LiveKit access token.
    pub token: String,
    /// Subscribe to every audio track.
    pub auto_subscribe_audio: bool,
    /// Subscribe to every video track.
    pub auto_subscribe_video: bool,
    /// Allow signalling without TLS to another machine. Loopback is always allowed.
    pub allow_plain: bool,
    /// Members who only watch are not told of (live scenes).
    pub hide_audience: bool,
}

impl fmt::Debug for MemberConfig {
    /// Without the token: logs are no place for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberConfig").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Takes what a membership brings. Called on the net thread of the process, with no lock held; must not block. Dropped after
/// [`Event::Left`] or [`Event::JoinFailed`], which are the last events.
pub trait MemberSink: Send + Sync {
    /// Something happened in the room.
    fn event(&self, event: Event);
    /// A whole access unit of a remote track.
    fn video(&self, video: ReceivedVideo);
    /// An Opus packet of a remote track, in order of arrival.
    fn audio(&self, audio: ReceivedAudio);
    /// The encoder of this track's layer (0 is the smallest, or the only one) should make a key frame soon.
    fn key_frame_wanted(&self, cid: &str, layer: usize);
    /// What the uplink can carry for all tracks, in bits per second: by transport-wide feedback, else by the server's word (REMB) or
    /// by the loss that it reports. 0: unknown, as at first, because nothing
    /// shows that the uplink is full.
    fn bitrate_estimate(&self, bps: u32);
}

/// An Opus packet to be sent.
#[derive(Clone, Copy, Debug)]
pub struct EncodedAudio<'a> {
    /// The packet.
    pub opus: &'a [u8],
    /// Its length, in samples at 48 kHz.
    pub samples_48k: u32,
    /// When its first sample was captured, on the media clock.
    pub time: Duration,
    /// How loud it is, in -dBov, 0..=127 (RFC 6464): the server finds the speakers by it. Unknown: none.
    pub level: Option<u8>,
}

/// An access unit, in decode order.
#[derive(Clone, Debug)]
pub struct ReceivedVideo {
    /// Whose.
    pub user: UserId,
    /// Which track.
    pub sid: String,
    /// What it shows.
    pub source: TrackSource,
    /// H.264 Annex B.
    pub data: Bytes,
    /// Decodable without any earlier frame.
    pub key: bool,
    /// RTP timestamp, 90 kHz.
    pub rtp_time: u32,
    /// When it was captured, by the sender's wall clock (NTP time), where a Sender Report has told. The clock of all its tracks.
    pub captured: Option<Duration>,
    /// When its last packet came.
    pub received: Instant,
}

/// An Opus packet, in order of arrival.
#[derive(Clone, Debug)]
pub struct ReceivedAudio {
    /// Whose.
    pub user: UserId,
    /// Which track.
    pub sid: String,
    /// What it is.
    pub source: TrackSource,
    /// The Opus packet.
    pub payload: Bytes,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, 48 kHz.
    pub rtp_time: u32,
    /// When its first sample was captured, by the sender's wall clock, as [`ReceivedVideo::captured`].
    pub captured: Option<Duration>,
    /// When it came.
    pub received: Instant,
}

/// Starts to join. The outcome is [`Event::Joined`] or [`Event::JoinFailed`].
///
/// # Errors
/// `INVALID_PARAMETER` for an unusable URL, a missing token, or unencrypted signalling to another machine without `allow_plain`,
/// `FAILED` when the net thread cannot be started.
pub fn join(config: MemberConfig, sink: Arc<dyn MemberSink>) -> Result<Member> {
    let base = server_url(&config.url, config.allow_plain)?;
    if config.token.is_empty() {
        return Err(Error::invalid("access_token must not be empty"));
    }
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let core = Core::new(Instant::now(), unix, base, config, identity(unix)?);
    let shared = Arc::new(Shared { core: Mutex::new(core), sink: Mutex::new(Some(sink)), handle: OnceLock::new() });
    let handle = driver::register(shared.clone())
        .map_err(|e| Error::new(Code::FAILED, format!("the network thread cannot be started: {e}")))?;
    let _ = shared.handle.set(handle);
    Ok(Member { shared })
}

/// Tokens and tickets go to this machine, or through TLS.
fn server_url(url: &str, allow_plain: bool) -> Result<ServerUrl> {
    let base = ServerUrl::parse(url)?;
    if !base.secure && !base.is_loopback() && !allow_plain {
        return Err(Error::invalid(
            "server_url must start with https:// or wss:// unless the server is on this machine or allow_plain is set",
        ));
    }
    Ok(base)
}

/// Makes the certificate of this process ahead of time. The first use of the cryptographic library takes about 50 ms, which
/// otherwise count into the first [`join`]; call it from any thread that may block that long.
pub fn prepare() {
    if let Err(e) = identity(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()) {
        log::warn!("{e}");
    }
}

/// Waits until all members have left and the net thread has ended, so that this library can be unloaded. `false` when a member
/// is still there after `timeout`, and on the net thread itself.
pub fn shutdown(timeout: Duration) -> bool {
    driver::shutdown(timeout)
}

/// A handle to a membership. Dropping all handles does not leave the room: [`Member::leave`] does.
#[derive(Clone)]
pub struct Member {
    shared: Arc<Shared>,
}

impl Member {
    /// Announces a track. Its frames flow after [`Event::LocalTrackPublished`] and the negotiation that follows; it survives
    /// reconnections.
    ///
    /// # Errors
    /// Those of the session: not allowed, or the id is taken.
    pub fn publish(&self, track: LocalTrack) -> Result<()> {
        self.change(|core, now| core.publish(now, track))
    }

    /// Withdraws a track.
    pub fn unpublish(&self, cid: &str) {
        self.change(|core, now| core.unpublish(now, cid));
    }

    /// Tells the others that a track is silent or dark. A muted video track sends nothing; for audio the caller sends silence.
    pub fn set_muted(&self, cid: &str, muted: bool) {
        self.change(|core, now| core.set_muted(now, cid, muted));
    }

    /// Sends an access unit of a layer (0 is the smallest, or the only one). `false`: it was dropped and counted, as the track is muted,
    /// not connected, or was not until the next key frame, or as the server takes no such layer. Layers of one picture have one time.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` when `cid` is no H.264 track of ours, or has no such layer.
    pub fn send_video(&self, cid: &str, layer: usize, frame: &EncodedVideo) -> Result<bool> {
        self.change(|core, now| core.send_video(now, cid, layer, frame))
    }

    /// Sends an Opus packet; `false`: it was dropped and counted, as the track is not connected. Send nothing during discontinuous transmission.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` when `cid` is no audio track of ours or the packet is empty or above 1,100 bytes.
    pub fn send_audio(&self, cid: &str, sound: &EncodedAudio<'_>) -> Result<bool> {
        self.change(|core, now| core.send_audio(now, cid, sound))
    }

    /// Subscribes to a remote track, or no longer.
    pub fn subscribe(&self, sid: &str, on: bool) {
        self.change(|core, now| core.session.subscribe(now, sid, on));
    }

    /// Tells the server what of a remote track is of use.
    pub fn track_settings(&self, sid: &str, wanted: TrackSettings) {
        self.change(|core, now| core.session.track_settings(now, sid, wanted));
    }

    /// Drops a remote video track up to its next key frame and asks for one: the decoder failed.
    pub fn request_key_frame(&self, sid: &str) {
        self.change(|core, _| core.request_key_frame(sid));
    }

    /// Sends a user message to `to`, or to everybody when that is empty.
    ///
    /// # Errors
    /// Those of the session: not connected, too long, not allowed.
    pub fn send_data(&self, topic: &str, payload: &[u8], reliable: bool, to: &[UserId]) -> Result<()> {
        self.change(|core, now| core.send_data(now, topic, payload, reliable, to))
    }

    /// Sends a TRTC command message.
    ///
    /// # Errors
    /// Those of the session: the limits of command messages, not connected, not allowed.
    pub fn send_command(&self, cmd_id: i32, data: &[u8], reliable: bool, ordered: bool) -> Result<()> {
        self.change(|core, now| core.send_command(now, cmd_id, data, reliable, ordered))
    }

    /// Sets attributes of the own participant; an empty value deletes. Without the right to do so the server refuses, and nothing
    /// happens.
    pub fn set_attributes(&self, attributes: BTreeMap<String, String>) {
        self.change(|core, now| core.session.set_attributes(now, attributes));
    }

    /// The counters as of now.
    #[must_use]
    pub fn stats(&self) -> MemberStats {
        self.shared.core.lock().stats()
    }

    /// The newest token of the server; good for joining again.
    #[must_use]
    pub fn refreshed_token(&self) -> String {
        self.shared.core.lock().session.refreshed_token().to_owned()
    }

    /// Leaves: [`Event::Left`] follows soon, then the sink is dropped.
    pub fn leave(&self) {
        self.change(|core, now| core.session.leave(now));
    }

    fn change<T>(&self, f: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let result = f(&mut self.shared.core.lock(), Instant::now());
        if let Some(handle) = self.shared.handle.get() {
            handle.wake();
        }
        result
    }
}

/// What the sink is told, once the lock is free.
pub(crate) enum Delivery {
    Event(Event),
    Video(ReceivedVideo),
    Audio(ReceivedAudio),
    KeyFrameWanted(String, usize),
    Bitrate(u32),
}

struct Shared {
    core: Mutex<Core>,
    sink: Mutex<Option<Arc<dyn MemberSink>>>,
    handle: OnceLock<Handle>,
}

impl Machine for Shared {
    fn input(&self, now: Instant, input: Input<'_>) {
        self.core.lock().input(now, input);
    }

    fn advance(&self, now: Instant, actions: &mut Vec<NetAction>) -> Option<Instant> {
        let (timeout, told, leaving) = {
            let mut core = self.core.lock();
            let timeout = core.advance(now);
            actions.extend(core.actions.drain(..));
            (timeout, std::mem::take(&mut core.told), core.leaving)
        };
        let sink = self.sink.lock().clone();
        if let Some(sink) = sink {
            told.into_iter().for_each(|delivery| deliver(&*sink, delivery));
        }
        if leaving {
            let sink = self.sink.lock().take();
            drop(sink);
        }
        timeout
    }

    fn crashed(&self) {
        let sink = self.sink.lock().take();
        if let Some(sink) = sink {
            sink.event(Event::Left { reason: 3 });
        }
    }
}

fn deliver(sink: &dyn MemberSink, delivery: Delivery) {
    match delivery {
        Delivery::Event(event) => sink.event(event),
        Delivery::Video(video) => sink.video(video),
        Delivery::Audio(audio) => sink.audio(audio),
        Delivery::KeyFrameWanted(cid, layer) => sink.key_frame_wanted(&cid, layer),
        Delivery::Bitrate(bps) => sink.bitrate_estimate(bps),
    }
}

/// The certificate of this process, made once.
fn identity(unix: Duration) -> Result<Arc<Identity>> {
    static IDENTITY: Mutex<Option<Arc<Identity>>> = Mutex::new(None);
    let mut identity = IDENTITY.lock();
    if let Some(identity) = &*identity {
        return Ok(identity.clone());
    }
    let made = Identity::generate(unix.as_secs())
        .map_err(|e| Error::new(Code::FAILED, format!("no certificate can be made: {e}")))?;
    let made = Arc::new(made);
    *identity = Some(made.clone());
    Ok(made)
}
