//! One subscriber of a track: what it gets, and the numbers under which it gets it.
use crate::layer::Layer;
use crate::rewrite::Rewriter;
use crate::track::{LAYERS_MAX, SubscriptionConfig};
use std::time::Instant;
use trtc_rtp::{RecentRepeats, Vp8Numbers};

/// Retransmissions that a subscriber may have in stock; each forwarded packet adds one.
pub(crate) const RESEND_BUDGET: u32 = 512;

/// Where a subscription ended, so that its SSRC can go on with another track as one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    next_sequence: u16,
    next_rtx_sequence: u16,
    /// Newest time stamp and when it was sent.
    newest: Option<(u32, Instant)>,
    numbers: Option<Vp8Numbers>,
    packets: u32,
    octets: u32,
}

/// One subscriber of a track.
pub struct Subscription {
    /// As it was subscribed.
    pub config: SubscriptionConfig,
    pub(crate) rewriter: Rewriter,
    pub(crate) current: Option<usize>,
    /// The highest layer that it wants; `None`: nothing.
    pub(crate) wanted: Option<u8>,
    /// The highest layer that its link carries; `None`: not even the lowest.
    pub(crate) allowed: Option<u8>,
    pub(crate) next_rtx_sequence: u16,
    pub(crate) resend_budget: u32,
    pub(crate) repeats: RecentRepeats,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    pub(crate) last_sent: Option<Instant>,
}

impl Subscription {
    pub(crate) fn new(config: SubscriptionConfig) -> Self {
        let first = config.first_sequence;
        let (next_sequence, next_rtx_sequence) = (first, first);
        let fresh = Left { next_sequence, next_rtx_sequence, newest: None, numbers: None, packets: 0, octets: 0 };
        let before = config.after.unwrap_or(fresh);
        Self {
            config,
            rewriter: Rewriter::new(before.next_sequence, before.numbers),
            current: None,
            wanted: Some(LAYERS_MAX as u8 - 1),
            allowed: Some(LAYERS_MAX as u8 - 1),
            next_rtx_sequence: before.next_rtx_sequence,
            resend_budget: RESEND_BUDGET,
            repeats: RecentRepeats::default(),
            packets: before.packets,
            octets: before.octets,
            last_sent: None,
        }
    }

    /// Where it is now.
    pub(crate) fn left(&self) -> Left {
        let earlier = self.config.after.and_then(|left| left.newest);
        Left {
            next_sequence: self.rewriter.next_sequence(),
            next_rtx_sequence: self.next_rtx_sequence,
            newest: self.rewriter.last_time().zip(self.last_sent).or(earlier),
            numbers: self.rewriter.last_numbers(),
            packets: self.packets,
            octets: self.octets,
        }
    }

    /// The highest layer that it may get now; `None`: nothing.
    pub(crate) fn limit(&self) -> Option<usize> {
        Some(usize::from(self.wanted?.min(self.allowed?)))
    }

    /// The distance between source and output time stamps for a piece that starts now.
    pub(crate) fn time_offset(
        &self,
        now: Instant,
        layers: &[Layer],
        layer: usize,
        time_in: u32,
        clock_rate: u32,
    ) -> u32 {
        let continued = |last: u32, sent: Instant| {
            let elapsed = now.saturating_duration_since(sent).as_micros() * u128::from(clock_rate) / 1_000_000;
            last.wrapping_add((elapsed as u32).max(1)).wrapping_sub(time_in)
        };
        let (Some((old, old_offset)), Some(last), Some(sent)) =
            (self.rewriter.newest(), self.rewriter.last_time(), self.last_sent)
        else {
            let before = self.config.after.and_then(|left| left.newest);
            return before.map_or(0, |(last, sent)| continued(last, sent));
        };
        if old == layer {
            return old_offset;
        }
        let estimate = continued(last, sent);
        // Sender Reports of both layers tell the exact distance; one that is absurd is not believed.
        let reports = layers.get(old).and_then(|l| l.report).zip(layers.get(layer).and_then(|l| l.report));
        let exact = reports.map(|((old_ntp, old_rtp), (new_ntp, new_rtp))| {
            let ticks = (i128::from(new_ntp) - i128::from(old_ntp)) * i128::from(clock_rate) / (1 << 32);
            old_rtp.wrapping_add(ticks as u32).wrapping_sub(new_rtp).wrapping_add(old_offset)
        });
        exact
            .filter(|e| (e.wrapping_sub(estimate) as i32).unsigned_abs() < clock_rate / 2)
            .filter(|e| (time_in.wrapping_add(*e).wrapping_sub(last) as i32) > 0)
            .unwrap_or(estimate)
    }
}
