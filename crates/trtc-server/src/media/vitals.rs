//! Who speaks, and how much is lost: what the room tells its members about each other.
use super::api::MediaEvent;
use super::link::Losses;
use super::state::State;
use std::time::{Duration, Instant};

/// Loss is told this often while reports come; a little less than the room's period.
const LOSS_PERIOD: Duration = Duration::from_millis(4_500);

impl State {
    /// A publisher's tracks began, changed or ended their speech.
    pub(super) fn tell_speech(&mut self, now: Instant, index: usize) {
        let Some(member) = self.links.get(index).and_then(|link| Some(link.as_deref()?.member)) else { return };
        for at in 0..self.members.get(&member).map_or(0, |m| m.tracks.len()) {
            let Some(&track) = self.members.get(&member).and_then(|m| m.tracks.get(at)) else { return };
            let Some(slot) = self.tracks.get_mut(track).and_then(Option::as_mut) else { continue };
            if let Some(level) = slot.flowing.as_mut().and_then(|flowing| flowing.speaker.poll(now)) {
                let event = MediaEvent::Speaking { sid: slot.sid.clone(), level };
                self.emit(member, event);
            }
        }
    }

    /// A report about the packets of a connection, ours or the other side's; `fraction` in 1/256.
    pub(super) fn loss_reported(&mut self, now: Instant, index: usize, fraction: u8) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let losses = &mut link.losses;
        let since = *losses.since.get_or_insert(now);
        losses.sum += u32::from(fraction);
        losses.reports += 1;
        if now.saturating_duration_since(since) < LOSS_PERIOD {
            return;
        }
        let percent = losses.sum as f32 * 100.0 / 256.0 / losses.reports as f32;
        *losses = Losses { since: Some(now), ..Losses::default() };
        let (member, publisher) = (link.member, link.publisher);
        self.emit(member, MediaEvent::Loss { publisher, percent });
    }
}
