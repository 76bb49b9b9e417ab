//! Descriptions: answers for publishers, offers for subscribers, and what they mean for the tracks.
use super::api::{MediaCounters, MediaEvent, MemberKey};
use super::link::{Feedback, Section};
use super::receive::mime;
use super::state::{Sent, State};
use std::time::{Duration, Instant};
use trtc_net::batch::UdpSender;
use trtc_peer::{SendTrack, extension};
use trtc_rtp::TransportFeedbackRecorder;
use trtc_sfu::{Extensions, SubscriptionConfig};
use trtc_types::{CodecKind, MediaKind};

/// Changes within this time share an offer.
const OFFER_DEBOUNCE: Duration = Duration::from_millis(5);

impl State {
    pub(super) fn publisher_offer(&mut self, now: Instant, key: MemberKey, sdp: &str, id: u32) {
        let Some(member) = self.members.get(&key) else { return self.stale() };
        let index = member.publisher.unwrap_or_else(|| self.add_link(key, true));
        if let Some(member) = self.members.get_mut(&key) {
            member.publisher = Some(index);
        }
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        for track in self.tracks.iter().flatten().filter(|t| t.member == key) {
            if let Some(codec) = &track.wanted_codec {
                link.peer.prefer_codec(&track.cid, codec);
            }
        }
        match link.peer.accept_offer(now, sdp) {
            Ok(answer) => {
                if link.restarts() {
                    MediaCounters::add(&self.counters.publisher_restarts, 1);
                }
                self.learn_ufrag(index);
                self.update_sections(now, key, index);
                self.emit(key, MediaEvent::Answer { sdp: answer, id });
            }
            Err(e) => {
                MediaCounters::add(&self.counters.bad_sdp, 1);
                self.emit(key, MediaEvent::BadSdp { publisher: true, reason: e.to_string() });
            }
        }
        self.mark(index);
    }

    pub(super) fn subscriber_answer(&mut self, now: Instant, key: MemberKey, sdp: &str, id: u32) {
        let Some(index) = self.members.get(&key).and_then(|m| m.subscriber) else { return self.stale() };
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        // Some clients do not echo the id; a late answer to an older offer cannot be told then, and none is outstanding.
        if link.offering.outstanding.is_none() || (id != 0 && id != link.offering.last_id) {
            return self.stale();
        }
        link.offering.outstanding = None;
        match link.peer.accept_answer(now, sdp) {
            Ok(()) => {
                if link.restarts() {
                    MediaCounters::add(&self.counters.subscriber_restarts, 1);
                }
                self.learn_ufrag(index);
                self.activate(now, key);
            }
            Err(e) => {
                MediaCounters::add(&self.counters.bad_sdp, 1);
                self.emit(key, MediaEvent::BadSdp { publisher: false, reason: e.to_string() });
            }
        }
        self.mark(index);
    }

    pub(super) fn start_subscriber(&mut self, now: Instant, key: MemberKey) {
        let Some(member) = self.members.get(&key) else { return self.stale() };
        if member.subscriber.is_some() {
            return;
        }
        let index = self.add_link(key, false);
        if let Some(member) = self.members.get_mut(&key) {
            member.subscriber = Some(index);
        }
        if let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) {
            link.peer.create_channel(now, "_reliable", true, None);
            link.peer.create_channel(now, "_lossy", false, Some(0));
            link.offering.due = Some(now);
        }
        self.sync_subscriber(now, key);
        self.mark(index);
    }

    /// New ICE credentials for the subscriber connection, offered at once: an offer that was outstanding is void, and so would
    /// be its answer.
    pub(super) fn resume(&mut self, now: Instant, key: MemberKey) {
        let Some(member) = self.members.get(&key) else { return self.stale() };
        let subscriber = member.subscriber;
        self.emit(key, MediaEvent::Resumed { last_sequence: member.gate.last_sequence() });
        let Some(index) = subscriber else { return };
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        link.peer.restart_ice();
        link.offering.outstanding = None;
        link.offering.due = Some(now);
        self.mark(index);
    }

    /// Adds a section for every wanted track that flows and has none.
    pub(super) fn sync_subscriber(&mut self, now: Instant, key: MemberKey) {
        let Self { members, links, tracks, track_by_sid, .. } = self;
        let Some(member) = members.get_mut(&key) else { return };
        let Some(index) = member.subscriber else { return };
        if links.get(index).and_then(Option::as_deref).is_some_and(|link| link.offering.relays.is_some()) {
            return self.sync_viewer(now, key, index);
        }
        let Some(link) = links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let mut changed = false;
        for wanted in member.wanted.iter_mut().filter(|w| w.sent.is_none()) {
            let Some(&track) = track_by_sid.get(&wanted.sid) else { continue };
            let Some(slot) = tracks.get(track).and_then(Option::as_ref) else { continue };
            let Some(flowing) = &slot.flowing else { continue };
            let outgoing = &link.offering.outgoing;
            let fresh = || {
                std::iter::repeat_with(rand::random::<u32>)
                    .find(|ssrc| *ssrc != 0 && outgoing.iter().all(|(used, _)| used != ssrc))
            };
            let Some(ssrc) = fresh() else { continue };
            let rtx_ssrc = fresh().filter(|rtx| *rtx != ssrc && slot.kind == MediaKind::Video);
            let section = link.peer.add_send(SendTrack {
                kind: slot.kind,
                codec: CodecKind::from_name(&flowing.codec.name),
                codec_spec: Some(flowing.codec.clone()),
                stream_id: wanted.stream_id.clone(),
                track_id: wanted.sid.clone(),
                ssrc,
                rtx_ssrc,
            });
            wanted.sent = Some(Sent { section, track, ssrc, rtx_ssrc });
            link.offering.outgoing.push((ssrc, track));
            changed = true;
        }
        if changed {
            link.offering.due.get_or_insert(now + OFFER_DEBOUNCE);
            self.mark(index);
        }
    }

    /// Takes a track's section away from a subscriber.
    pub(super) fn unsend(&mut self, now: Instant, key: MemberKey, sent: Sent) {
        let flowing = self.tracks.get_mut(sent.track).and_then(|t| t.as_mut()?.flowing.as_mut());
        let left = flowing.and_then(|flowing| flowing.track.unsubscribe(sent.ssrc));
        let Some(index) = self.members.get(&key).and_then(|m| m.subscriber) else { return };
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        link.offering.outgoing.retain(|(ssrc, _)| *ssrc != sent.ssrc);
        if let Some(relays) = &mut link.offering.relays {
            let relay = relays.iter_mut().find(|relay| relay.ssrc == sent.ssrc);
            relay.into_iter().for_each(|relay| relay.left = left.or(relay.left));
            return self.sync_subscriber(now, key);
        }
        link.peer.remove_send(sent.section);
        link.offering.due.get_or_insert(now + OFFER_DEBOUNCE);
        self.mark(index);
    }

    /// Starts forwarding on every section that is negotiated.
    pub(super) fn activate(&mut self, now: Instant, key: MemberKey) {
        let Self { members, links, tracks, .. } = self;
        let Some(member) = members.get(&key) else { return };
        let Some(index) = member.subscriber else { return };
        let Some(link) = links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        if !link.connected {
            return;
        }
        let mut publishers = Vec::new();
        for wanted in &member.wanted {
            let Some(sent) = wanted.sent else { continue };
            let Some(slot) = tracks.get_mut(sent.track).and_then(Option::as_mut) else { continue };
            let Some(flowing) = &mut slot.flowing else { continue };
            let relay = link.offering.relays.iter().flatten().find(|relay| relay.ssrc == sent.ssrc);
            let params = match relay {
                Some(_) => link.peer.send_params_as(sent.section, &flowing.codec),
                None => link.peer.send_params(sent.section),
            };
            let Some(params) = params else { continue };
            flowing.track.subscribe(
                now,
                SubscriptionConfig {
                    target: index as u64,
                    ssrc: sent.ssrc,
                    payload_type: params.payload_type,
                    red: params.red_payload_type,
                    rtx: sent.rtx_ssrc.zip(params.rtx_payload_type),
                    extensions: Extensions {
                        abs_send_time: params.ext_abs_send_time,
                        audio_level: params.ext_audio_level,
                        transport_cc: params.ext_twcc,
                    },
                    // RFC 3711 3.3.1: who misses the first packets must not miss a wrap with them.
                    first_sequence: rand::random::<u16>() & 0x7fff,
                    after: relay.and_then(|relay| relay.left),
                },
            );
            flowing.track.set_wanted(now, sent.ssrc, wanted.layer);
            publishers.push(slot.member);
        }
        self.limit_layers(now, index);
        // They may have to send a key frame.
        for publisher in publishers {
            let index = self.members.get(&publisher).and_then(|m| m.publisher);
            index.into_iter().for_each(|index| self.mark(index));
        }
    }

    /// Sends the next offer, or gives up on the outstanding one.
    pub(super) fn offer_if_due(&mut self, now: Instant, index: usize) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let key = link.member;
        if let Some(deadline) = link.offering.outstanding {
            if deadline <= now {
                // It stays outstanding for the serialisation, without a timer: the member is told to reconnect.
                link.offering.outstanding = Some(now + Duration::from_secs(3600));
                MediaCounters::add(&self.counters.offers_unanswered, 1);
                let reason = "the offer was not answered in time".to_owned();
                self.emit(key, MediaEvent::Failed { publisher: false, reason });
            }
            return;
        }
        if link.offering.due.is_none_or(|due| due > now) {
            return;
        }
        link.offering.due = None;
        link.offering.outstanding = Some(now + self.answer_timeout);
        link.offering.last_id += 1;
        let sdp = link.peer.create_offer();
        let id = link.offering.last_id;
        let mid_to_track = self.members.get(&key).map_or_else(Vec::new, |member| {
            let sections = member.wanted.iter().filter_map(|w| Some((w.sent?.section, w.sid.clone())));
            sections.filter_map(|(section, sid)| Some((link.peer.section_mid(section)?, sid))).collect()
        });
        self.learn_ufrag(index);
        self.emit(key, MediaEvent::Offer { sdp, id, mid_to_track });
    }

    /// Matches sections with announced tracks that have none yet.
    pub(super) fn bind_sections(&mut self, key: MemberKey) {
        let Self { members, links, tracks, .. } = self;
        let Some(member) = members.get(&key) else { return };
        let Some(link) = member.publisher.and_then(|i| links.get_mut(i)?.as_deref_mut()) else { return };
        let sections = &mut link.receiving.sections;
        let slot = |track: usize| tracks.get(track).and_then(Option::as_ref);
        let cid_of = |section: &Section| section.description.msid.as_ref().map(|(_, track)| track.clone());
        // By name first, so that the fallback takes nobody's place.
        for by_name in [true, false] {
            for at in 0..sections.len() {
                if sections[at].track.is_some() || !sections[at].description.direction_active {
                    continue;
                }
                let cid = cid_of(&sections[at]);
                let kind = sections[at].description.kind;
                let free = |track: usize| sections.iter().all(|s| s.track != Some(track));
                let fits = |track: usize| {
                    slot(track).is_some_and(|s| s.kind == kind && (!by_name || cid.as_deref() == Some(s.cid.as_str())))
                };
                let found = member.tracks.iter().copied().find(|&track| fits(track) && free(track));
                sections[at].track = found;
            }
        }
        self.announce_muted(key);
    }

    /// A muted track may never send a packet: others learn of it by its description, as with a LiveKit server.
    pub(super) fn announce_muted(&self, key: MemberKey) {
        let publisher = self.members.get(&key).and_then(|m| m.publisher);
        let Some(link) = publisher.and_then(|i| self.links.get(i)?.as_deref()) else { return };
        let named = |s: &Section| !s.description.ssrcs.is_empty() || !s.description.rids.is_empty();
        let active = |s: &&Section| s.description.direction_active && named(s);
        for section in link.receiving.sections.iter().filter(active) {
            let slot = section.track.and_then(|track| self.tracks.get(track)?.as_ref());
            let silent = slot.filter(|slot| slot.muted && slot.flowing.is_none());
            if let Some((slot, codec)) = silent.zip(section.description.codecs.first()) {
                let (sid, codec_mime) = (slot.sid.clone(), mime(slot, codec));
                section.track.zip(publisher).into_iter().for_each(|(track, index)| self.tell_layers(index, track));
                self.emit(key, MediaEvent::TrackStarted { sid, codec_mime });
            }
        }
    }

    fn update_sections(&mut self, now: Instant, key: MemberKey, index: usize) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let old = std::mem::take(&mut link.receiving.sections);
        let mut ended: Vec<usize> = old.iter().filter_map(|s| s.track).collect();
        for description in link.peer.receive_sections() {
            let same = old.iter().find(|s| {
                s.description.mid == description.mid
                    && s.description.msid == description.msid
                    && description.direction_active
            });
            let track = same.and_then(|s| s.track);
            ended.retain(|t| Some(*t) != track);
            link.receiving.sections.push(Section::new(description, track));
        }
        let feedback = link.receiving.sections.iter().find_map(|s| s.extension(extension::TRANSPORT_CC));
        let have = link.receiving.feedback.as_ref().map(|f| f.extension);
        if feedback != have {
            link.receiving.feedback = feedback.map(|extension| Feedback {
                extension,
                recorder: TransportFeedbackRecorder::new(),
                media_ssrc: 0,
            });
        }
        for track in ended {
            let sid = self.tracks.get(track).and_then(Option::as_ref).map(|s| s.sid.clone());
            self.end_track(now, track);
            if let Some(sid) = sid {
                self.emit(key, MediaEvent::TrackEnded { sid });
            }
        }
        self.bind_sections(key);
    }

    /// Forgets a track and its sections at all subscribers.
    pub(super) fn end_track(&mut self, now: Instant, track: usize) {
        let Some(slot) = self.tracks.get(track).and_then(Option::as_ref) else { return };
        let (sid, key) = (slot.sid.clone(), slot.member);
        let Some(member) = self.members.get_mut(&key) else { return };
        member.tracks.retain(|t| *t != track);
        let (room, publisher) = (member.room, member.publisher);
        for other in self.rooms.get(&room).cloned().unwrap_or_default() {
            let Some(member) = self.members.get_mut(&other) else { continue };
            let Some(at) = member.wanted.iter().position(|w| w.sid == sid) else { continue };
            let wanted = member.wanted.remove(at);
            if let Some(sent) = wanted.sent {
                self.unsend(now, other, sent);
            }
        }
        if let Some(link) = publisher.and_then(|i| self.links.get_mut(i)?.as_deref_mut()) {
            link.receiving.streams.retain(|s| s.track != track);
            for section in link.receiving.sections.iter_mut().filter(|s| s.track == Some(track)) {
                section.track = None;
            }
        }
        self.track_by_sid.remove(&sid);
        self.tracks[track] = None;
    }

    pub(super) fn remove_member(&mut self, now: Instant, sender: &mut UdpSender, key: MemberKey) {
        let Some(member) = self.members.get(&key) else { return self.stale() };
        for track in member.tracks.clone() {
            self.end_track(now, track);
        }
        let Some(member) = self.members.remove(&key) else { return };
        for sent in member.wanted.iter().filter_map(|w| w.sent) {
            if let Some(flowing) = self.tracks.get_mut(sent.track).and_then(|t| t.as_mut()?.flowing.as_mut()) {
                flowing.track.unsubscribe(sent.ssrc);
            }
        }
        for index in [member.publisher, member.subscriber].into_iter().flatten() {
            self.remove_link(now, sender, index);
        }
        if let Some(room) = self.rooms.get_mut(&member.room) {
            room.retain(|k| *k != key);
            if room.is_empty() {
                self.rooms.remove(&member.room);
            }
        }
    }

    pub(super) fn stale(&self) {
        MediaCounters::add(&self.counters.stale_commands, 1);
    }
}
