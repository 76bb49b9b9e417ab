//! Connections on which the client offers and only watches (WHEP): one audio and one video stream, on which tracks take
//! turns without another negotiation.
use super::api::{MediaCounters, MediaEvent, MemberKey};
use super::link::Relay;
use super::state::{Sent, State};
use std::time::Instant;
use trtc_types::MediaKind;

impl State {
    /// The first offer, or the same one again with other ICE credentials.
    pub(super) fn viewer_offer(&mut self, now: Instant, key: MemberKey, sdp: &str, id: u32) {
        let Some(member) = self.members.get(&key) else { return self.stale() };
        let index = member.subscriber.unwrap_or_else(|| self.add_link(key, false));
        if let Some(member) = self.members.get_mut(&key) {
            member.subscriber = Some(index);
        }
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        if link.offering.relays.is_none() {
            // Zero is no SSRC, and an odd one never meets an even one.
            let fresh = || rand::random::<u32>() | 2;
            let (audio, video) = (fresh() | 1, fresh() & !1);
            let repair = Some(video ^ 0x8000_0000);
            let streams = [(MediaKind::Audio, audio, None, "audio"), (MediaKind::Video, video, repair, "video")];
            link.offering.relays = Some(Vec::from(streams.map(|(kind, ssrc, rtx_ssrc, track)| {
                let section = link.peer.add_relay(kind, "whep", track, ssrc, rtx_ssrc);
                Relay { kind, section, ssrc, rtx_ssrc, left: None }
            })));
        }
        match link.peer.accept_offer(now, sdp) {
            Ok(answer) => {
                self.learn_ufrag(index);
                self.emit(key, MediaEvent::Answer { sdp: answer, id });
                self.sync_viewer(now, key, index);
            }
            Err(e) => {
                MediaCounters::add(&self.counters.bad_sdp, 1);
                self.emit(key, MediaEvent::BadSdp { publisher: false, reason: e.to_string() });
            }
        }
        self.mark(index);
    }

    /// Puts wanted tracks on the streams that are free.
    pub(super) fn sync_viewer(&mut self, now: Instant, key: MemberKey, index: usize) {
        let Self { members, links, tracks, track_by_sid, .. } = self;
        let Some(member) = members.get_mut(&key) else { return };
        let Some(link) = links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let Some(relays) = &link.offering.relays else { return };
        let mut changed = false;
        for wanted in member.wanted.iter_mut().filter(|w| w.sent.is_none()) {
            let Some(&track) = track_by_sid.get(&wanted.sid) else { continue };
            let Some(slot) = tracks.get(track).and_then(Option::as_ref) else { continue };
            let Some(flowing) = &slot.flowing else { continue };
            let outgoing = &mut link.offering.outgoing;
            let relay = relays.iter().find(|relay| relay.kind == slot.kind);
            let Some(relay) = relay.filter(|relay| outgoing.iter().all(|(ssrc, _)| *ssrc != relay.ssrc)) else {
                continue;
            };
            if link.peer.send_params_as(relay.section, &flowing.codec).is_none() {
                log::info!("member {key}: its viewer does not take {}", flowing.codec.name);
                continue;
            }
            let &Relay { section, ssrc, rtx_ssrc, .. } = relay;
            wanted.sent = Some(Sent { section, track, ssrc, rtx_ssrc });
            outgoing.push((ssrc, track));
            changed = true;
        }
        if changed {
            self.activate(now, key);
        }
    }
}
