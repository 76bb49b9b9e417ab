//! What signalling asks for.
use super::api::{MediaCommand, MemberKey};
use super::state::{LAYER_ALL, Member, State, TrackSlot, Wanted};
use std::time::Instant;
use trtc_net::batch::UdpSender;
use trtc_sfu::DataGate;

/// Announced tracks of one member.
const TRACKS_MAX: usize = 32;
/// Subscriptions of one member.
const WANTED_MAX: usize = 512;

impl State {
    pub(super) fn command(&mut self, now: Instant, sender: &mut UdpSender, command: MediaCommand) {
        match command {
            MediaCommand::AddMember { room, member, identity, sid, can_publish_data, events } => {
                self.rooms.entry(room).or_default().push(member);
                let added = Member {
                    room,
                    identity,
                    sid,
                    can_publish_data,
                    events,
                    gate: DataGate::new(now),
                    publisher: None,
                    subscriber: None,
                    tracks: Vec::new(),
                    wanted: Vec::new(),
                };
                self.members.insert(member, added);
            }
            MediaCommand::RemoveMember { member } => self.remove_member(now, sender, member),
            MediaCommand::Offer { member, sdp, id } => self.publisher_offer(now, member, &sdp, id),
            MediaCommand::ViewerOffer { member, sdp, id } => self.viewer_offer(now, member, &sdp, id),
            MediaCommand::Answer { member, sdp, id } => self.subscriber_answer(now, member, &sdp, id),
            MediaCommand::Candidate { member, publisher, candidate } => {
                let index = self.members.get(&member).and_then(|m| if publisher { m.publisher } else { m.subscriber });
                if let Some(link) = index.and_then(|i| self.links.get_mut(i)?.as_deref_mut()) {
                    link.peer.trickle(now, &candidate);
                }
                index.into_iter().for_each(|i| self.mark(i));
            }
            MediaCommand::ExpectTrack { member, cid, sid, kind, muted, codec } => {
                let Some(publisher) = self.members.get_mut(&member).filter(|m| m.tracks.len() < TRACKS_MAX) else {
                    return self.stale();
                };
                let free = self.tracks.iter().position(Option::is_none);
                let index = free.unwrap_or_else(|| {
                    self.tracks.push(None);
                    self.tracks.len() - 1
                });
                publisher.tracks.push(index);
                self.track_by_sid.insert(sid.clone(), index);
                self.tracks[index] =
                    Some(TrackSlot { sid, cid, member, kind, muted, wanted_codec: codec, flowing: None });
                self.bind_sections(member);
            }
            MediaCommand::RemoveTrack { member, sid } => match self.track_by_sid.get(&sid) {
                Some(&track) if self.tracks[track].as_ref().is_some_and(|t| t.member == member) => {
                    self.end_track(now, track);
                }
                _ => self.stale(),
            },
            MediaCommand::MuteTrack { sid, muted } => self.mute(now, &sid, muted),
            MediaCommand::Subscribe { member, sid, stream_id, on: true } => {
                let Some(subscriber) = self.members.get_mut(&member).filter(|m| m.wanted.len() < WANTED_MAX) else {
                    return self.stale();
                };
                if subscriber.wanted.iter().all(|w| w.sid != sid) {
                    subscriber.wanted.push(Wanted { sid, stream_id, layer: LAYER_ALL, priority: 1, sent: None });
                    self.sync_subscriber(now, member);
                }
            }
            MediaCommand::Subscribe { member, sid, on: false, .. } => {
                let Some(subscriber) = self.members.get_mut(&member) else { return self.stale() };
                let Some(at) = subscriber.wanted.iter().position(|w| w.sid == sid) else { return };
                if let Some(sent) = subscriber.wanted.remove(at).sent {
                    self.unsend(now, member, sent);
                }
            }
            MediaCommand::TrackSetting { member, sid, layer, priority } => {
                self.track_setting(now, member, &sid, layer, priority);
            }
            MediaCommand::StartSubscriber { member } => self.start_subscriber(now, member),
            MediaCommand::Resume { member } => self.resume(now, member),
            MediaCommand::SendData { to, room, packet, reliable } => self.send_data(now, room, to, packet, reliable),
            MediaCommand::SetPermissions { member, can_publish_data } => match self.members.get_mut(&member) {
                Some(member) => member.can_publish_data = can_publish_data,
                None => self.stale(),
            },
        }
    }

    fn mute(&mut self, now: Instant, sid: &str, muted: bool) {
        let Some(slot) = self.track_by_sid.get(sid).and_then(|t| self.tracks.get_mut(*t)?.as_mut()) else {
            return self.stale();
        };
        slot.muted = muted;
        if let Some(flowing) = &mut slot.flowing {
            flowing.track.set_muted(now, muted);
        }
        let publisher = slot.member;
        self.mark_publisher(publisher);
        self.announce_muted(publisher);
    }

    fn track_setting(&mut self, now: Instant, key: MemberKey, sid: &str, layer: Option<u8>, priority: u8) {
        let member = self.members.get_mut(&key);
        let Some(wanted) = member.and_then(|m| m.wanted.iter_mut().find(|w| w.sid == sid)) else {
            return self.stale();
        };
        (wanted.layer, wanted.priority) = (layer, priority);
        let Some(sent) = wanted.sent else { return };
        let Some(slot) = self.tracks.get_mut(sent.track).and_then(Option::as_mut) else { return };
        if let Some(flowing) = &mut slot.flowing {
            flowing.track.set_wanted(now, sent.ssrc, layer);
        }
        let publisher = slot.member;
        self.mark_publisher(publisher);
        if let Some(subscriber) = self.members.get(&key).and_then(|m| m.subscriber) {
            self.limit_layers(now, subscriber);
        }
    }

    fn mark_publisher(&mut self, key: MemberKey) {
        let index = self.members.get(&key).and_then(|m| m.publisher);
        index.into_iter().for_each(|index| self.mark(index));
    }
}
