//! User packets and custom command messages.
use crate::limiter::{COMMANDS_MAX_BYTES, COMMANDS_MAX_COUNT, CommandLimiter};
use crate::session::Session;
use crate::types::{Action, Event, Target};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;
use trtc_proto::livekit::{self as lk, data_packet};
use trtc_proto::{Message as _, command};
use trtc_types::{Code, Error, Result, UserId};

/// Largest payload of a user packet; channels take 64 KB messages.
const PAYLOAD_MAX_BYTES: usize = 60_000;
/// Longest topic.
const TOPIC_MAX_BYTES: usize = 256;
/// Packets and bytes kept until the channel opens, or for a replay after a resume.
const KEPT_MAX_COUNT: usize = 256;
const KEPT_MAX_BYTES: usize = 256 * 1024;
/// Senders whose sequence numbers are remembered.
const SENDERS_MAX: usize = 20_000;
const RELIABLE: &str = "_reliable";
const LOSSY: &str = "_lossy";

#[derive(Default)]
pub(crate) struct Data {
    limiter: CommandLimiter,
    /// Next reliable packet is this plus one.
    sequence: u32,
    /// Per command and channel, so that gaps on the reliable one mean loss.
    command_sequence: BTreeMap<(i32, bool), u32>,
    open: BTreeSet<(Target, String)>,
    /// Waiting for the channel or for the connection.
    pending: Kept<Pending>,
    /// Reliable packets that the server may not have seen when a connection is resumed.
    sent: Kept<u32>,
    /// The server's last number at a resume: what follows it is sent again once the transport is up.
    replay_after: Option<u32>,
    /// Last reliable sequence number by participant sid.
    seen: BTreeMap<String, u32>,
    /// Last reliable command by sender.
    commands_seen: BTreeMap<(UserId, i32), u32>,
}

/// What is not in a packet yet: its number and the sender's sid may be those of another membership by then.
struct Pending {
    reliable: bool,
    topic: String,
    to: Vec<UserId>,
}

/// A bounded queue of payloads or packets with a note.
struct Kept<T> {
    packets: VecDeque<(T, Vec<u8>)>,
    bytes: usize,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { packets: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Kept<T> {
    fn fits(&self, bytes: usize) -> bool {
        self.packets.len() < KEPT_MAX_COUNT && self.bytes + bytes <= KEPT_MAX_BYTES
    }

    fn push(&mut self, note: T, packet: Vec<u8>) {
        self.bytes += packet.len();
        self.packets.push_back((note, packet));
    }

    fn pop(&mut self) -> Option<(T, Vec<u8>)> {
        let first = self.packets.pop_front()?;
        self.bytes -= first.1.len();
        Some(first)
    }

    fn take(&mut self) -> VecDeque<(T, Vec<u8>)> {
        self.bytes = 0;
        std::mem::take(&mut self.packets)
    }
}

impl Data {
    /// Everything that belonged to the old transports and the old membership is void; what waits goes out in the new one.
    pub fn transports_renewed(&mut self) {
        self.open.clear();
        self.sent.take();
        self.seen.clear();
        self.sequence = 0;
        self.replay_after = None;
    }

    pub fn forget(&mut self, user: &UserId) {
        self.commands_seen.retain(|(sender, _), _| sender != user);
    }

    pub fn channels(&self) -> Vec<lk::DataChannelInfo> {
        let info = |(target, label): &(Target, String)| lk::DataChannelInfo {
            label: label.clone(),
            id: 0,
            target: match target {
                Target::Publisher => lk::SignalTarget::Publisher,
                Target::Subscriber => lk::SignalTarget::Subscriber,
            } as i32,
        };
        self.open.iter().map(info).collect()
    }

    pub fn receive_states(&self) -> Vec<lk::DataChannelReceiveState> {
        let state =
            |(sid, seq): (&String, &u32)| lk::DataChannelReceiveState { publisher_sid: sid.clone(), last_seq: *seq };
        self.seen.iter().map(state).collect()
    }
}

impl Session {
    /// A data channel is open.
    pub fn data_channel_open(&mut self, _now: Instant, target: Target, label: &str) {
        if ![RELIABLE, LOSSY].contains(&label) {
            return;
        }
        self.data.open.insert((target, label.to_owned()));
        self.send_pending();
    }

    /// A message of a data channel.
    pub fn data_received(&mut self, _now: Instant, payload: &[u8], reliable: bool) {
        let Ok(packet) = lk::DataPacket::decode(payload) else {
            self.counters.malformed += 1;
            return;
        };
        if reliable && self.is_duplicate(&packet) {
            self.counters.data_duplicates += 1;
            return;
        }
        let Some(data_packet::Value::User(user)) = packet.value else { return };
        let identity = if packet.participant_identity.is_empty() {
            &user.participant_identity
        } else {
            &packet.participant_identity
        };
        let from = UserId::new(identity).ok().or_else(|| self.roster.user_of(&packet.participant_sid));
        let topic = user.topic.unwrap_or_default();
        match (from, command::decode(&topic, &user.payload)) {
            (Some(from), Some((cmd_id, seq, data))) => self.command_received(from, cmd_id, seq, data, reliable),
            (from, _) => self.tell_all(vec![Event::Data { from, topic, payload: user.payload, reliable }]),
        }
    }

    /// Sends a user packet to `to`, or to everybody when it is empty.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for sizes, `REFUSED` without the right, `DISCONNECTED` without a connection, `QUEUE_FULL`
    /// when too much waits for the channel.
    pub fn send_user_data(
        &mut self,
        now: Instant,
        topic: &str,
        payload: &[u8],
        reliable: bool,
        to: &[UserId],
    ) -> Result<()> {
        self.may_send(topic, payload, reliable)?;
        self.send_packet(now, topic, payload.to_vec(), reliable, to)
    }

    /// Sends a custom command message within TRTC's limits.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for `cmd_id` outside 1..=10, more than 1,000 bytes or `reliable != ordered`; `RATE_LIMITED`
    /// beyond 30 messages or 8,000 bytes in 1,000 ms; otherwise as [`Session::send_user_data`].
    pub fn send_command(
        &mut self,
        now: Instant,
        cmd_id: i32,
        data: &[u8],
        reliable: bool,
        ordered: bool,
    ) -> Result<()> {
        if !(1..=10).contains(&cmd_id) {
            return Err(Error::invalid(format!("cmd_id must be 1..=10, got {cmd_id}")));
        }
        if data.len() > command::DATA_MAX_BYTES {
            let most = command::DATA_MAX_BYTES;
            return Err(Error::invalid(format!("data must be at most {most} bytes, got {}", data.len())));
        }
        if reliable != ordered {
            return Err(Error::invalid("reliable and ordered must be equal"));
        }
        if !self.privileges.can_publish {
            return Err(Error::new(Code::REFUSED, "only anchors send custom command messages"));
        }
        let seq = self.data.command_sequence.get(&(cmd_id, reliable)).map_or(1, |last| last.wrapping_add(1));
        let (topic, payload) = command::encode(cmd_id, seq, data);
        self.may_send(&topic, &payload, reliable)?;
        if !self.data.limiter.admit(now, data.len()) {
            let text = format!("at most {COMMANDS_MAX_COUNT} messages and {COMMANDS_MAX_BYTES} bytes in 1000 ms");
            return Err(Error::new(Code::RATE_LIMITED, text));
        }
        self.send_packet(now, &topic, payload, reliable, &[])?;
        self.data.command_sequence.insert((cmd_id, reliable), seq);
        Ok(())
    }

    /// The server has seen our reliable packets up to this one.
    pub(crate) fn replay_data_after(&mut self, last_message_seq: u32) {
        // Servers that do not count say 0; SCTP has brought what the channel took.
        self.data.replay_after = Some(last_message_seq).filter(|last| *last != 0);
    }

    /// The connection is up (again): what the server had not seen when it broke, then what waited meanwhile.
    pub(crate) fn send_waiting_data(&mut self, now: Instant) {
        if let Some(last) = self.data.replay_after.take() {
            let missing = self.data.sent.packets.iter().filter(|(seq, _)| *seq > last);
            let payloads: Vec<Vec<u8>> = missing.map(|(_, packet)| packet.clone()).collect();
            self.counters.data_replayed += payloads.len() as u64;
            for payload in payloads {
                self.act(Action::SendData { payload, reliable: true });
            }
        }
        self.send_pending();
        if !self.data.pending.packets.is_empty() {
            self.ensure_publisher(now);
        }
    }

    fn send_pending(&mut self) {
        for (pending, payload) in self.data.pending.take() {
            let Pending { reliable, topic, to } = pending;
            if self.can_send_now(reliable) {
                self.send_now(&topic, payload, reliable, &to);
            } else {
                self.data.pending.push(Pending { reliable, topic, to }, payload);
            }
        }
    }

    /// The channel is open and its transport works; a packet given to a dead one would be lost.
    fn can_send_now(&self, reliable: bool) -> bool {
        let label = if reliable { RELIABLE } else { LOSSY };
        self.phase.is_signalling()
            && self.data.replay_after.is_none()
            && self.data.open.contains(&(Target::Publisher, label.to_owned()))
            && self.connected.get(&Target::Publisher) != Some(&false)
    }

    fn may_send(&self, topic: &str, payload: &[u8], reliable: bool) -> Result<()> {
        if payload.len() > PAYLOAD_MAX_BYTES || topic.len() > TOPIC_MAX_BYTES {
            let text = format!("payload must be at most {PAYLOAD_MAX_BYTES} bytes, topic {TOPIC_MAX_BYTES}");
            return Err(Error::invalid(text));
        }
        // Reliable packets wait until the connection is back.
        if !self.joined || self.phase.is_left() || !(reliable || self.phase.is_signalling()) {
            return Err(Error::new(Code::DISCONNECTED, "not in a room, or the connection is broken"));
        }
        if !self.privileges.can_publish_data {
            return Err(Error::new(Code::REFUSED, "sending data is not allowed"));
        }
        Ok(())
    }

    fn send_packet(
        &mut self,
        now: Instant,
        topic: &str,
        payload: Vec<u8>,
        reliable: bool,
        to: &[UserId],
    ) -> Result<()> {
        if self.data.pending.packets.is_empty() && self.can_send_now(reliable) {
            self.send_now(topic, payload, reliable, to);
            return Ok(());
        }
        if !self.data.pending.fits(payload.len()) {
            self.counters.data_dropped += 1;
            return Err(Error::new(Code::QUEUE_FULL, "too much data waits for the data channel"));
        }
        self.data.pending.push(Pending { reliable, topic: topic.to_owned(), to: to.to_vec() }, payload);
        self.ensure_publisher(now);
        Ok(())
    }

    fn send_now(&mut self, topic: &str, payload: Vec<u8>, reliable: bool, to: &[UserId]) {
        let packet = self.packet(topic, payload, reliable, to);
        let (sequence, bytes) = (packet.sequence, packet.encode_to_vec());
        if reliable {
            while !self.data.sent.fits(bytes.len()) && self.data.sent.pop().is_some() {}
            self.data.sent.push(sequence, bytes.clone());
        }
        self.act(Action::SendData { payload: bytes, reliable });
    }

    fn packet(&mut self, topic: &str, payload: Vec<u8>, reliable: bool, to: &[UserId]) -> lk::DataPacket {
        let identity = self.me.as_ref().map(ToString::to_string).unwrap_or_default();
        let destinations: Vec<String> = to.iter().map(ToString::to_string).collect();
        if reliable {
            self.data.sequence = self.data.sequence.wrapping_add(1).max(1);
        }
        lk::DataPacket {
            kind: if reliable { data_packet::Kind::Reliable } else { data_packet::Kind::Lossy } as i32,
            participant_identity: identity.clone(),
            participant_sid: self.sid.clone(),
            destination_identities: destinations.clone(),
            sequence: if reliable { self.data.sequence } else { 0 },
            value: Some(data_packet::Value::User(lk::UserPacket {
                participant_sid: self.sid.clone(),
                participant_identity: identity,
                payload,
                destination_identities: destinations,
                topic: Some(topic.to_owned()),
                ..Default::default()
            })),
        }
    }

    /// Servers replay reliable packets around a resume; the sender's number tells.
    fn is_duplicate(&mut self, packet: &lk::DataPacket) -> bool {
        if packet.sequence == 0 || packet.participant_sid.is_empty() {
            return false;
        }
        let full = self.data.seen.len() >= SENDERS_MAX;
        match self.data.seen.get_mut(&packet.participant_sid) {
            Some(last) if packet.sequence <= *last => return true,
            Some(last) => *last = packet.sequence,
            None if full => {}
            None => {
                self.data.seen.insert(packet.participant_sid.clone(), packet.sequence);
            }
        }
        false
    }

    fn command_received(&mut self, from: UserId, cmd_id: i32, seq: u32, data: &[u8], reliable: bool) {
        let mut events = Vec::new();
        // Only reliable senders are expected to be complete.
        if reliable && self.data.commands_seen.len() < SENDERS_MAX {
            let last = self.data.commands_seen.insert((from.clone(), cmd_id), seq);
            // A number that did not grow is a sender that began anew.
            if let Some(missed) = last.and_then(|last| seq.checked_sub(last)).filter(|step| *step > 1) {
                events.push(Event::CommandsMissed { from: from.clone(), cmd_id, missed: missed - 1 });
            }
        }
        events.push(Event::Command { from, cmd_id, seq, data: data.to_vec() });
        self.tell_all(events);
    }
}
