//! Data packets between the members of a room.
use super::api::{MediaCounters, MediaEvent, MemberKey, RoomKey};
use super::state::State;
use bytes::Bytes;
use prost::Message;
use std::time::Instant;
use trtc_proto::command;
use trtc_proto::livekit::{DataPacket, data_packet};
use trtc_sfu::Refusal;

const RELIABLE: &str = "_reliable";
const LOSSY: &str = "_lossy";
/// Longest message on a data channel, as with a LiveKit server.
pub(super) const MESSAGE_MAX: u16 = u16::MAX;
/// What the shortest message counts for: it costs each receiver a datagram.
const MESSAGE_MIN: usize = 128;
/// Named receivers of one message.
const DESTINATIONS_MAX: usize = 1_000;
/// Sequence number before the data of a command message; does not count.
const COMMAND_HEAD: usize = 4;
/// Names, ids and receivers around the data of a command message; more is no command message.
const COMMAND_EXTRA_MAX: usize = 4_096;

impl State {
    pub(super) fn channel_open(&mut self, now: Instant, index: usize, label: String) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        // A client may open any channel; we write only to the known ones.
        if (label != RELIABLE && label != LOSSY) || link.has_channel(&label) {
            return;
        }
        link.open_channels.push(label);
        self.send_waiting(now, index);
    }

    /// Sends what waited for the channel or for the connection.
    pub(super) fn send_waiting(&mut self, now: Instant, index: usize) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        if !link.connected || !link.has_channel(RELIABLE) {
            return;
        }
        link.waiting_bytes = 0;
        for packet in std::mem::take(&mut link.waiting_data) {
            let sent = link.peer.send_data(now, RELIABLE, &packet).is_ok();
            MediaCounters::add(if sent { &self.counters.data_out } else { &self.counters.data_dropped }, 1);
        }
        self.mark(index);
    }

    /// A message from a member.
    pub(super) fn data(&mut self, now: Instant, index: usize, label: &str, message: &[u8]) {
        let Some(key) = self.links.get(index).and_then(|l| l.as_deref()).map(|l| l.member) else { return };
        let reliable = label == RELIABLE;
        if !reliable && label != LOSSY {
            return;
        }
        MediaCounters::add(&self.counters.data_in, 1);
        match self.admit(now, key, message, reliable) {
            Ok((room, packet, destinations)) => {
                let packet = Bytes::from(packet);
                for other in self.rooms.get(&room).cloned().unwrap_or_default() {
                    let Some(member) = self.members.get(&other) else { continue };
                    let is_named = |name| destinations.binary_search(name).is_ok();
                    let named = destinations.is_empty() || is_named(&member.identity) || is_named(&member.sid);
                    if other != key && named {
                        self.deliver(now, other, &packet, reliable);
                    }
                }
            }
            Err(Rejection::Duplicate) => MediaCounters::add(&self.counters.data_duplicates, 1),
            Err(Rejection::Because(reason)) => {
                MediaCounters::add(&self.counters.data_rejected, 1);
                self.emit(key, MediaEvent::DataRejected { reason: reason.to_owned() });
            }
        }
    }

    /// A packet made by the server.
    pub(super) fn send_data(
        &mut self,
        now: Instant,
        room: RoomKey,
        to: Vec<MemberKey>,
        packet: Vec<u8>,
        reliable: bool,
    ) {
        let to = if to.is_empty() { self.rooms.get(&room).cloned().unwrap_or_default() } else { to };
        let packet = Bytes::from(packet);
        for member in to {
            self.deliver(now, member, &packet, reliable);
        }
    }

    fn admit(
        &mut self,
        now: Instant,
        key: MemberKey,
        message: &[u8],
        reliable: bool,
    ) -> Result<(RoomKey, Vec<u8>, Vec<String>), Rejection> {
        let member = self.members.get_mut(&key).ok_or(Rejection::Because("the sender has left"))?;
        if !member.can_publish_data {
            return Err(Rejection::Because("no permission to send data"));
        }
        if message.len() > usize::from(MESSAGE_MAX) {
            return Err(Rejection::Because("data packet longer than 65535 bytes"));
        }
        let mut packet = DataPacket::decode(message).map_err(|_| Rejection::Because("data packet is malformed"))?;
        let mut destinations = std::mem::take(&mut packet.destination_identities);
        // All that is relayed counts; of a command message the data, because that is what its sender is told to count.
        let (mut topic, mut size) = (String::new(), message.len().max(MESSAGE_MIN));
        match &mut packet.value {
            Some(data_packet::Value::User(user)) => {
                let is_command = user.topic.as_deref().is_some_and(|t| command::topic_id(t).is_some());
                if is_command && message.len() <= user.payload.len() + COMMAND_EXTRA_MAX {
                    topic = user.topic.clone().unwrap_or_default();
                    size = user.payload.len().saturating_sub(COMMAND_HEAD);
                    if size > command::DATA_MAX_BYTES {
                        return Err(Rejection::Because("command message longer than 1000 bytes"));
                    }
                }
                user.participant_sid.clone_from(&member.sid);
                user.participant_identity.clone_from(&member.identity);
                // Old clients name the receivers inside.
                destinations.extend(user.destination_identities.iter().chain(&user.destination_sids).cloned());
            }
            Some(data_packet::Value::Speaker(_)) | None => {
                return Err(Rejection::Because("data packet of a kind that members do not send"));
            }
            Some(_) => {}
        }
        if destinations.len() > DESTINATIONS_MAX {
            return Err(Rejection::Because("data packet with more than 1000 destinations"));
        }
        destinations.sort_unstable();
        let sequence = if reliable { packet.sequence } else { 0 };
        member.gate.admit(now, &topic, size, sequence).map_err(|refusal| match refusal {
            Refusal::Duplicate => Rejection::Duplicate,
            other => Rejection::Because(other.reason()),
        })?;
        packet.participant_identity.clone_from(&member.identity);
        packet.participant_sid.clone_from(&member.sid);
        packet.kind = if reliable { data_packet::Kind::Reliable } else { data_packet::Kind::Lossy } as i32;
        packet.destination_identities.clone_from(&destinations);
        Ok((member.room, packet.encode_to_vec(), destinations))
    }

    /// On the subscriber connection, or on the publisher connection of a member that has no other.
    fn deliver(&mut self, now: Instant, key: MemberKey, packet: &Bytes, reliable: bool) {
        let Some(member) = self.members.get(&key) else { return };
        let index = member.subscriber.or(member.publisher);
        let Some((index, link)) = index.and_then(|i| Some((i, self.links.get_mut(i)?.as_deref_mut()?))) else {
            return MediaCounters::add(&self.counters.data_dropped, 1);
        };
        let label = if reliable { RELIABLE } else { LOSSY };
        // A joiner whose channel is not open yet, and one whose path is lost, must not miss what was sent to it.
        if !link.has_channel(label) || (reliable && !link.connected) {
            if !reliable || link.offering.relays.is_some() || !link.keep(packet) {
                MediaCounters::add(&self.counters.data_dropped, 1);
            }
            return;
        }
        let sent = link.peer.send_data(now, label, packet).is_ok();
        MediaCounters::add(if sent { &self.counters.data_out } else { &self.counters.data_dropped }, 1);
        self.mark(index);
    }
}

enum Rejection {
    Duplicate,
    Because(&'static str),
}
