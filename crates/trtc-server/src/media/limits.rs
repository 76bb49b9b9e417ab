//! What the link of a subscriber carries, and which layers it therefore gets.
use super::api::{MediaEvent, MemberKey};
use super::state::State;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use trtc_rtp::rtcp::{ReportBlock, TransportFeedback, ntp_middle};
use trtc_rtp::{LinkEstimator, PathMonitor};
use trtc_sfu::{Demand, LAYERS_MAX, allocate};
use trtc_types::MediaKind;

/// Sender Reports that may still be answered.
const REPORTS_MAX: usize = 16;
/// Report blocks that are looked at in one RTCP packet.
const BLOCKS_MAX: usize = 31;

/// The limits of one subscriber connection.
#[derive(Default)]
pub(super) struct Limits {
    pub(super) estimator: LinkEstimator,
    /// Packets with a transport-wide number, and what became of them.
    pub(super) path: PathMonitor,
    /// RTP sent so far.
    sent_bytes: u64,
    /// Middle of the NTP time in Sender Reports, and when each was sent.
    reports: VecDeque<(u32, Instant)>,
    /// By the latest report.
    round_trip: Option<Duration>,
    /// Some track may get less than it wants.
    limited: bool,
}

impl Limits {
    /// An RTP packet left, with the path's next number or without one.
    pub(super) fn sent(&mut self, now: Instant, bytes: usize, numbered: bool) {
        self.sent_bytes += bytes as u64;
        if numbered {
            self.path.sent(now, bytes);
        } else {
            self.path.sent_plain(bytes);
        }
    }

    /// The path was dead, or is another one.
    pub(super) fn path_is_new(&mut self, now: Instant) {
        self.estimator.path_is_new(now);
        self.path.restart();
        self.round_trip = None;
    }

    pub(super) fn report_sent(&mut self, now: Instant, ntp: u64) {
        if self.reports.len() == REPORTS_MAX {
            self.reports.pop_front();
        }
        self.reports.push_back((ntp_middle(ntp), now));
    }

    /// The latest, by feedback or by reports.
    pub(super) fn last_round_trip(&self) -> Option<Duration> {
        self.path.round_trip().or(self.round_trip)
    }

    fn round_trip(&self, now: Instant, block: &ReportBlock) -> Option<Duration> {
        let (_, sent) = self.reports.iter().rev().find(|(ntp, _)| *ntp == block.last_sender_report)?;
        let held = Duration::from_secs(1).mul_f64(f64::from(block.delay_since) / 65_536.0);
        now.saturating_duration_since(*sent).checked_sub(held)
    }
}

impl State {
    /// A subscriber reports on our streams.
    pub(super) fn receiver_reports(&mut self, now: Instant, index: usize, reports: impl Iterator<Item = ReportBlock>) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let (limits, outgoing) = (&mut link.limits, &link.offering.outgoing);
        limits.estimator.sent(now, limits.sent_bytes);
        let (mut blocks, mut lost) = (0, 0.0);
        let mut round_trip: Option<Duration> = None;
        for block in reports.take(BLOCKS_MAX).filter(|b| outgoing.iter().any(|(ssrc, _)| *ssrc == b.ssrc)) {
            blocks += 1;
            lost += f64::from(block.fraction_lost) / 256.0;
            round_trip = limits.round_trip(now, &block).into_iter().chain(round_trip).min();
        }
        if blocks > 0 && !limits.path.is_heard(now) {
            limits.estimator.loss(now, lost / f64::from(blocks));
        }
        if let Some(time) = round_trip {
            limits.round_trip = Some(time);
            limits.estimator.round_trip(now, time);
        }
        self.limit_layers(now, index);
    }

    /// A subscriber tells its own estimate.
    pub(super) fn remb(&mut self, now: Instant, index: usize, bps: u64) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        link.limits.estimator.sent(now, link.limits.sent_bytes);
        link.limits.estimator.remb(now, bps);
        self.limit_layers(now, index);
    }

    /// A subscriber tells when our packets came.
    pub(super) fn path_feedback(&mut self, now: Instant, index: usize, feedback: &TransportFeedback<'_>) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let limits = &mut link.limits;
        limits.estimator.sent(now, limits.sent_bytes);
        let report = limits.path.feedback(now, feedback);
        if limits.estimator.path(now, &report) {
            log::debug!("link {index}: {report:?}, carries {:?} bit/s", limits.estimator.capacity_bps());
            self.limit_layers(now, index);
        }
    }

    /// Lets the estimate of a link grow when it is time.
    pub(super) fn grow_if_due(&mut self, now: Instant, index: usize) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        if link.limits.estimator.tick(now) {
            self.limit_layers(now, index);
        }
    }

    /// Shares what the link of a subscriber carries among its tracks: sound first, pictures by priority.
    pub(super) fn limit_layers(&mut self, now: Instant, index: usize) {
        let Self { links, members, tracks, .. } = self;
        let Some(link) = links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let capacity = link.limits.estimator.capacity_bps();
        if capacity.is_none() && !link.limits.limited {
            return;
        }
        link.limits.limited = capacity.is_some();
        let Some(member) = members.get(&link.member) else { return };
        let mut left = capacity.unwrap_or(u64::MAX);
        let (mut demands, mut sent) = (Vec::new(), Vec::new());
        for wanted in &member.wanted {
            let Some(to) = wanted.sent else { continue };
            let flowing = tracks.get(to.track).and_then(|t| t.as_ref()?.flowing.as_ref());
            let Some(demand) = flowing.and_then(|f| f.track.demand(now, to.ssrc)) else { continue };
            if flowing.is_some_and(|f| f.track.config().kind == MediaKind::Audio) {
                left = left.saturating_sub(demand.rates_bps.iter().sum());
                continue;
            }
            demands.push(Demand { priority: wanted.priority, ..demand });
            sent.push((to, &wanted.sid));
        }
        if !link.limits.estimator.takes_smallest() {
            left = left.max(demands.iter().filter_map(Demand::least).sum());
        }
        let before: Vec<Option<u8>> = demands.iter().map(|d| d.allowed).collect();
        let satisfied = match capacity {
            Some(_) => allocate(left, &mut demands),
            None => {
                demands.iter_mut().for_each(|d| d.allowed = Some(LAYERS_MAX as u8 - 1));
                true
            }
        };
        link.limits.estimator.set_satisfied(satisfied);
        let (key, mut events, mut publishers): (MemberKey, Vec<_>, Vec<_>) = (link.member, Vec::new(), Vec::new());
        for ((demand, before), (to, sid)) in demands.iter().zip(before).zip(sent) {
            let Some(slot) = tracks.get_mut(to.track).and_then(Option::as_mut) else { continue };
            let Some(flowing) = &mut slot.flowing else { continue };
            if flowing.track.set_allowed(now, to.ssrc, demand.allowed) {
                publishers.push(slot.member);
            }
            if before.is_none() != demand.allowed.is_none() {
                events.push(MediaEvent::StreamState { sid: sid.clone(), paused: demand.allowed.is_none() });
            }
        }
        events.into_iter().for_each(|event| self.emit(key, event));
        // They may have to send a key frame.
        for publisher in publishers {
            let index = self.members.get(&publisher).and_then(|m| m.publisher);
            index.into_iter().for_each(|index| self.mark(index));
        }
    }
}
