//! One published track and everybody who receives it.
use crate::allocate::Demand;
use crate::key_frame::Codec;
use crate::layer::{KeyRequest, Layer};
use crate::rewrite::Mapped;
use crate::subscription::{Left, RESEND_BUDGET, Subscription};
use std::time::{Duration, Instant};
use trtc_rtp::{RtpHeader, RtpPacket, Vp8Numbers, Vp8Shift, red};
use trtc_types::MediaKind;

/// Streams of one track: LiveKit's low, medium and high.
pub const LAYERS_MAX: usize = 3;
/// Retransmission caches: half a second of a fast video stream; audio is small and old audio is useless.
const VIDEO_CACHE_PACKETS: usize = 512;
const AUDIO_CACHE_PACKETS: usize = 64;
/// A subscriber that waits for a key frame asks again after this time.
const KEY_RETRY: Duration = Duration::from_secs(1);
/// What does not change while a track lives.
#[derive(Clone, Copy, Debug)]
pub struct TrackConfig {
    /// Audio or video.
    pub kind: MediaKind,
    /// What the payload is.
    pub codec: Codec,
    /// RTP clock in Hz.
    pub clock_rate: u32,
    /// Ask the publisher for lost packets.
    pub nack: bool,
    /// Payload type of the publisher's packets with repetitions (RED, RFC 2198).
    pub red: Option<u8>,
}

impl TrackConfig {
    /// Where the newest frame begins when a packet has repetitions; `None` when that cannot be read.
    fn newest_frame(&self, packet: &RtpPacket<'_>) -> Option<Option<usize>> {
        match self.red {
            Some(red) if red == packet.header().payload_type => Some(Some(red::primary(packet.payload())?.1)),
            _ => Some(None),
        }
    }
}

/// Header extension ids that a subscriber negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `abs-send-time`.
    pub abs_send_time: Option<u8>,
    /// `ssrc-audio-level`.
    pub audio_level: Option<u8>,
    /// Transport-wide sequence number.
    pub transport_cc: Option<u8>,
}

/// How a subscriber receives a track.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionConfig {
    /// Whatever leads the caller to the subscriber's transport.
    pub target: u64,
    /// The subscriber's SSRC; never shared, never used again.
    pub ssrc: u32,
    /// Payload type that the subscriber negotiated.
    pub payload_type: u8,
    /// Payload type of packets with repetitions (RED); without it the subscriber gets the newest frame alone.
    pub red: Option<u8>,
    /// SSRC and payload type of retransmissions (RFC 4588); without it packets are repeated as they were.
    pub rtx: Option<(u32, u8)>,
    /// Extension ids.
    pub extensions: Extensions,
    /// First sequence number, random.
    pub first_sequence: u16,
    /// What the same SSRC carried before, from [`Track::unsubscribe`] of another track; wins over `first_sequence`.
    pub after: Option<Left>,
}

impl SubscriptionConfig {
    /// The payload type of a packet, and how much of its payload the subscriber cannot read.
    fn format(&self, newest_frame: Option<usize>) -> (u8, usize) {
        match (newest_frame, self.red) {
            (None, _) => (self.payload_type, 0),
            (Some(_), Some(red)) => (red, 0),
            (Some(start), None) => (self.payload_type, start),
        }
    }
}

/// A packet to send: this header, with the payload of the packet that came in.
pub struct Forward<'a> {
    /// To whom.
    pub subscription: &'a Subscription,
    /// The header, without extensions.
    pub header: RtpHeader,
    /// So many bytes at the beginning of the payload are not for this subscriber.
    pub skip: usize,
    /// To be applied to the payload: VP8 counts pictures inside it.
    pub shift: Vp8Shift,
}

/// A packet to send again.
pub struct Resend<'a> {
    /// To whom.
    pub subscription: &'a Subscription,
    /// The header as it was sent the first time.
    pub header: RtpHeader,
    /// As in [`Forward`].
    pub skip: usize,
    /// Send it as this, with the first header's sequence number before the payload; `None`: repeat it unchanged.
    pub rtx: Option<Rtx>,
    /// To be applied to the payload.
    pub shift: Vp8Shift,
    /// The packet as the publisher sent it.
    pub packet: &'a [u8],
}

/// Numbers of a retransmission packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtx {
    /// Its SSRC.
    pub ssrc: u32,
    /// Its payload type.
    pub payload_type: u8,
    /// Its sequence number.
    pub sequence: u16,
}

/// A packet of the publisher that came for the first time.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    layer: usize,
    header: RtpHeader,
    /// Unrolled.
    sequence: u64,
    payload_len: usize,
    /// Where the newest frame begins, in a packet with repetitions.
    newest_frame: Option<usize>,
    can_start: bool,
    numbers: Option<Vp8Numbers>,
}

/// A published track.
pub struct Track {
    config: TrackConfig,
    layers: Vec<Layer>,
    subscriptions: Vec<Subscription>,
    muted: bool,
}

impl Track {
    /// A track without layers and subscribers.
    #[must_use]
    pub fn new(config: TrackConfig) -> Self {
        Self { config, layers: Vec::new(), subscriptions: Vec::new(), muted: false }
    }

    /// Its constants.
    #[must_use]
    pub fn config(&self) -> &TrackConfig {
        &self.config
    }

    /// A stream of the publisher, by SSRC and rank (0 is the smallest picture). Returns its index, the known one for a known
    /// SSRC, none beyond [`LAYERS_MAX`].
    pub fn add_layer(&mut self, ssrc: u32, rank: u8) -> Option<usize> {
        if let Some(known) = self.layers.iter().position(|l| l.ssrc == ssrc) {
            return Some(known);
        }
        if self.layers.len() >= LAYERS_MAX {
            return None;
        }
        let packets = if self.config.kind == MediaKind::Video { VIDEO_CACHE_PACKETS } else { AUDIO_CACHE_PACKETS };
        self.layers.push(Layer::new(ssrc, rank, packets, self.config.nack));
        Some(self.layers.len() - 1)
    }

    /// Adds a subscriber, or changes what it negotiated. It starts at the next key frame, which is asked for.
    pub fn subscribe(&mut self, now: Instant, config: SubscriptionConfig) {
        if let Some(known) = self.subscriptions.iter_mut().find(|s| s.config.ssrc == config.ssrc) {
            known.config = SubscriptionConfig { first_sequence: known.config.first_sequence, ..config };
            return;
        }
        self.subscriptions.push(Subscription::new(config));
        self.request_start(now, self.subscriptions.len() - 1);
    }

    /// Removes a subscriber by its SSRC; says where it was, for those whose SSRC goes on.
    pub fn unsubscribe(&mut self, ssrc: u32) -> Option<Left> {
        let at = self.subscriptions.iter().position(|s| s.config.ssrc == ssrc)?;
        Some(self.subscriptions.remove(at).left())
    }

    /// Everybody who receives it.
    #[must_use]
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// The highest layer that a subscriber wants, 0 is the smallest picture; `None` stops forwarding to it. Another layer
    /// follows at its next key frame, the present one goes on until then.
    pub fn set_wanted(&mut self, now: Instant, ssrc: u32, wanted: Option<u8>) {
        self.set_limits(now, ssrc, |s| s.wanted = wanted);
    }

    /// The highest layer that the link of a subscriber carries; `None` when it does not even carry the lowest. Says whether
    /// that changed.
    pub fn set_allowed(&mut self, now: Instant, ssrc: u32, allowed: Option<u8>) -> bool {
        self.set_limits(now, ssrc, |s| s.allowed = allowed)
    }

    fn set_limits(&mut self, now: Instant, ssrc: u32, set: impl FnOnce(&mut Subscription)) -> bool {
        let Some(at) = self.subscriptions.iter().position(|s| s.config.ssrc == ssrc) else { return false };
        let subscription = &mut self.subscriptions[at];
        let before = (subscription.wanted, subscription.allowed);
        set(subscription);
        let changed = before != (subscription.wanted, subscription.allowed);
        if subscription.limit().is_none() {
            subscription.current = None;
        } else if changed {
            self.request_start(now, at);
        }
        changed
    }

    /// What a subscriber (by its SSRC) wants of this track, and what that costs now.
    #[must_use]
    pub fn demand(&self, now: Instant, ssrc: u32) -> Option<Demand> {
        let subscription = self.subscriptions.iter().find(|s| s.config.ssrc == ssrc)?;
        let mut rates_bps = [0; LAYERS_MAX];
        for layer in self.layers.iter().filter(|_| !self.muted) {
            rates_bps[usize::from(layer.rank).min(LAYERS_MAX - 1)] = layer.rate_bps(now);
        }
        Some(Demand { priority: 0, wanted: subscription.wanted, allowed: subscription.allowed, rates_bps })
    }

    /// Stops or resumes forwarding to everybody.
    pub fn set_muted(&mut self, now: Instant, muted: bool) {
        if self.muted != muted {
            self.muted = muted;
            self.subscriptions.iter_mut().for_each(|s| s.current = None);
            if !muted {
                (0..self.subscriptions.len()).for_each(|at| self.request_start(now, at));
            }
        }
    }

    /// Takes a packet of a layer; `None` when it is a repetition, too old or RED that cannot be read. Give it to [`Self::forward`] with those that came
    /// with it.
    pub fn accept(&mut self, now: Instant, layer: usize, packet: &RtpPacket<'_>) -> Option<Accepted> {
        let header = packet.header();
        let newest_frame = self.config.newest_frame(packet)?;
        let stream = self.layers.get_mut(layer)?;
        let (sequence, newest) = stream.accept(now, header.sequence)?;
        if let Some(nack) = &mut stream.nack {
            nack.received(now, header.sequence);
        }
        stream.cache.insert(header.sequence, packet.bytes());
        stream.count(now, packet.bytes().len());
        let payload = packet.payload();
        let (starts, numbers) = match self.config.kind {
            MediaKind::Video => self.config.codec.read(payload),
            MediaKind::Audio => (true, None),
        };
        let (payload_len, can_start) = (payload.len(), newest && starts);
        Some(Accepted { layer, header, sequence, payload_len, newest_frame, can_start, numbers })
    }

    /// Calls `forward` for each receiver of each packet: one receiver after the other, so that what goes to one place stays
    /// together.
    pub fn forward<P: AsRef<Accepted>>(
        &mut self,
        now: Instant,
        packets: &[P],
        forward: &mut dyn FnMut(&Forward<'_>, &P),
    ) {
        if self.muted {
            return;
        }
        let choice = self.choice(now);
        let mut waiting = [false; LAYERS_MAX];
        let Self { layers, subscriptions, config, .. } = self;
        for subscription in subscriptions {
            let Some(target) = subscription.limit().map(|limit| choice[limit]) else { continue };
            for packet in packets {
                let &Accepted { layer, header, sequence, payload_len, newest_frame, can_start, numbers } =
                    packet.as_ref();
                if target == Some(layer) && subscription.current != target {
                    if !can_start {
                        waiting[layer] = true;
                        continue;
                    }
                    let offset = subscription.time_offset(now, layers, layer, header.timestamp, config.clock_rate);
                    subscription.rewriter.start(layer, sequence, offset, numbers);
                    subscription.current = target;
                }
                if subscription.current != Some(layer) {
                    continue;
                }
                let mapped = subscription.rewriter.map(layer, sequence, header.timestamp, numbers);
                let Some(Mapped { sequence, timestamp, shift }) = mapped else { continue };
                subscription.packets = subscription.packets.wrapping_add(1);
                let (payload_type, skip) = subscription.config.format(newest_frame);
                subscription.octets = subscription.octets.wrapping_add((payload_len - skip) as u32);
                subscription.resend_budget = (subscription.resend_budget + 1).min(RESEND_BUDGET);
                subscription.last_sent = Some(now);
                let header = RtpHeader {
                    marker: header.marker,
                    payload_type,
                    sequence,
                    timestamp,
                    ssrc: subscription.config.ssrc,
                };
                forward(&Forward { subscription, header, skip, shift }, packet);
            }
        }
        for packet in packets.iter().map(AsRef::as_ref).filter(|packet| packet.can_start) {
            layers[packet.layer].key_came();
            waiting[packet.layer] = false;
        }
        for (stream, _) in layers.iter_mut().zip(waiting).filter(|(_, waiting)| *waiting) {
            let asked = stream.key_asked();
            if asked.is_none_or(|asked| now.saturating_duration_since(asked) >= KEY_RETRY) {
                stream.want_key();
            }
        }
    }

    /// A subscriber (by its SSRC) misses packets. What was sent again within its `round_trip` (zero: not known) is on its way.
    /// Returns how many could not be sent again.
    pub fn nack(
        &mut self,
        now: Instant,
        ssrc: u32,
        round_trip: Duration,
        lost: &[u16],
        resend: &mut dyn FnMut(&Resend<'_>),
    ) -> u32 {
        let Self { layers, subscriptions, config, .. } = self;
        let Some(subscription) = subscriptions.iter_mut().find(|s| s.config.ssrc == ssrc) else {
            return lost.len() as u32;
        };
        let mut missed = 0;
        for &sequence in lost {
            let found = subscription.rewriter.source(sequence).and_then(|source| {
                let raw = layers.get(source.layer)?.cache.get(source.sequence as u16)?;
                let packet = RtpPacket::parse(raw)?;
                Some((packet, config.newest_frame(&packet)?, source))
            });
            let Some((packet, newest_frame, source)) = found.filter(|_| subscription.resend_budget > 0) else {
                missed += 1;
                continue;
            };
            if !subscription.repeats.take(now, sequence, round_trip) {
                continue;
            }
            subscription.resend_budget -= 1;
            let rtx = subscription.config.rtx.map(|(ssrc, payload_type)| {
                let sequence = subscription.next_rtx_sequence;
                subscription.next_rtx_sequence = sequence.wrapping_add(1);
                Rtx { ssrc, payload_type, sequence }
            });
            let (payload_type, skip) = subscription.config.format(newest_frame);
            let header = packet.header();
            resend(&Resend {
                header: RtpHeader {
                    marker: header.marker,
                    payload_type,
                    sequence,
                    timestamp: header.timestamp.wrapping_add(source.time_offset),
                    ssrc,
                },
                subscription,
                skip,
                rtx,
                shift: source.shift,
                packet: packet.bytes(),
            });
        }
        missed
    }

    /// A subscriber (by its SSRC) cannot decode.
    pub fn key_frame_wanted(&mut self, now: Instant, ssrc: u32) {
        let Some(subscription) = self.subscriptions.iter().find(|s| s.config.ssrc == ssrc) else { return };
        let target = || subscription.limit().and_then(|limit| self.choice(now)[limit]);
        if let Some(layer) = subscription.current.or_else(target).and_then(|index| self.layers.get_mut(index)) {
            layer.want_key();
        }
    }

    /// A Sender Report of a layer, translated for each of its receivers: subscription, RTP time, packets, octets.
    pub fn sender_report(
        &mut self,
        layer: usize,
        ntp: u64,
        rtp: u32,
        send: &mut dyn FnMut(&Subscription, u32, u32, u32),
    ) {
        let Some(stream) = self.layers.get_mut(layer) else { return };
        stream.report = Some((ntp, rtp));
        for subscription in self.subscriptions.iter().filter(|s| s.current == Some(layer)) {
            if let Some((_, offset)) = subscription.rewriter.newest() {
                send(subscription, rtp.wrapping_add(offset), subscription.packets, subscription.octets);
            }
        }
    }

    /// A stream of the publisher that should send a key frame now.
    pub fn poll_key_request(&mut self, now: Instant) -> Option<u32> {
        if self.muted || self.config.kind == MediaKind::Audio {
            return None;
        }
        self.layers.iter_mut().find_map(|layer| layer.poll_key_request(now).then_some(layer.ssrc))
    }

    /// Packets to ask the publisher for: fills `lost`, returns their stream.
    pub fn poll_nack(&mut self, now: Instant, lost: &mut Vec<u16>) -> Option<u32> {
        self.layers.iter_mut().find_map(|layer| {
            lost.clear();
            layer.nack.as_mut()?.poll(now, lost);
            (!lost.is_empty()).then_some(layer.ssrc)
        })
    }

    /// When to poll again.
    #[must_use]
    pub fn timeout(&self, now: Instant) -> Option<Instant> {
        let requests = self.layers.iter().filter(|_| !self.muted && self.config.kind == MediaKind::Video);
        let requests = requests.filter_map(Layer::key_request_due).map(|due| match due {
            KeyRequest::Now => now,
            KeyRequest::At(at) => at,
        });
        let nacks = self.layers.iter().filter_map(|l| l.nack.as_ref()?.timeout());
        requests.chain(nacks).min()
    }

    /// For each limit the best flowing layer up to it, else the lowest one above; the only layer even while it does not flow.
    fn choice(&self, now: Instant) -> [Option<usize>; LAYERS_MAX] {
        if self.layers.len() == 1 {
            return [Some(0); LAYERS_MAX];
        }
        let flowing = || self.layers.iter().enumerate().filter(|(_, l)| l.is_flowing(now));
        std::array::from_fn(|limit| {
            let fits = flowing().filter(|(_, l)| usize::from(l.rank) <= limit).max_by_key(|(_, l)| l.rank);
            fits.or_else(|| flowing().min_by_key(|(_, l)| l.rank)).map(|(index, _)| index)
        })
    }

    /// Asks for what a subscriber must begin with, unless it already has it.
    fn request_start(&mut self, now: Instant, subscription: usize) {
        let subscription = &self.subscriptions[subscription];
        let target = subscription.limit().and_then(|limit| self.choice(now)[limit]);
        if target != subscription.current
            && let Some(layer) = target.and_then(|index| self.layers.get_mut(index))
        {
            layer.want_key();
        }
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "switch_tests.rs"]
mod switch_tests;
