//! Everything the media thread knows: rooms, members, connections, tracks, and the deadlines of all of them.
use super::api::{MediaCounters, MediaEvent, MemberKey, RoomKey};
use super::link::{ADDRESSES_MAX, Link};
use super::receive::Arrived;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use trtc_net::batch::UdpSender;
use trtc_peer::{CodecSpec, Config, Identity, Incoming, Peer, PeerEvent, SectionId};
use trtc_sfu::{DataGate, LAYERS_MAX, SpeakerLevel, Track};
use trtc_types::MediaKind;

/// A client that is silent for so long has no path: it checks it more often than that.
const STALL: Duration = Duration::from_secs(4);

pub(super) struct State {
    pub(super) identity: Arc<Identity>,
    pub(super) publisher_config: Arc<Config>,
    pub(super) subscriber_config: Arc<Config>,
    pub(super) counters: Arc<MediaCounters>,
    pub(super) answer_timeout: Duration,
    pub(super) links: Vec<Option<Box<Link>>>,
    pub(super) members: HashMap<MemberKey, Member>,
    pub(super) rooms: HashMap<RoomKey, Vec<MemberKey>>,
    pub(super) tracks: Vec<Option<TrackSlot>>,
    pub(super) track_by_sid: HashMap<String, usize>,
    by_address: HashMap<SocketAddr, usize>,
    by_ufrag: HashMap<String, usize>,
    timers: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    dirty: Vec<usize>,
    next_generation: u64,
    epoch: Instant,
    /// 24 bits, 6.18 fixed point, of the running turn.
    pub(super) abs_send_time: [u8; 3],
    pub(super) arrived: Arrived,
    pub(super) packet: Vec<u8>,
    pub(super) repaired: Vec<u8>,
    pub(super) lost: Vec<u16>,
}

pub(super) struct Member {
    pub(super) room: RoomKey,
    pub(super) identity: String,
    pub(super) sid: String,
    pub(super) can_publish_data: bool,
    pub(super) events: mpsc::Sender<MediaEvent>,
    pub(super) gate: DataGate,
    pub(super) publisher: Option<usize>,
    pub(super) subscriber: Option<usize>,
    /// Indices of the announced tracks, oldest first.
    pub(super) tracks: Vec<usize>,
    pub(super) wanted: Vec<Wanted>,
}

/// The highest layer there can be.
pub(super) const LAYER_ALL: Option<u8> = Some(LAYERS_MAX as u8 - 1);

/// A track that a member subscribed to.
pub(super) struct Wanted {
    pub(super) sid: String,
    pub(super) stream_id: String,
    /// The highest layer that it asked for.
    pub(super) layer: Option<u8>,
    /// Higher goes first on a narrow link.
    pub(super) priority: u8,
    pub(super) sent: Option<Sent>,
}

/// The section that carries a wanted track.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) section: SectionId,
    pub(super) track: usize,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: Option<u32>,
}

pub(super) struct TrackSlot {
    pub(super) sid: String,
    pub(super) cid: String,
    pub(super) member: MemberKey,
    pub(super) kind: MediaKind,
    pub(super) muted: bool,
    /// Goes first in the answer.
    pub(super) wanted_codec: Option<String>,
    /// Known with the first packet.
    pub(super) flowing: Option<Flowing>,
}

pub(super) struct Flowing {
    pub(super) track: Track,
    pub(super) codec: CodecSpec,
    pub(super) audio_level: Option<u8>,
    pub(super) speaker: SpeakerLevel,
}

impl State {
    pub(super) fn new(
        identity: Arc<Identity>,
        publisher_config: Arc<Config>,
        subscriber_config: Arc<Config>,
        counters: Arc<MediaCounters>,
        answer_timeout: Duration,
    ) -> Self {
        Self {
            identity,
            publisher_config,
            subscriber_config,
            counters,
            answer_timeout,
            links: Vec::new(),
            members: HashMap::new(),
            rooms: HashMap::new(),
            tracks: Vec::new(),
            track_by_sid: HashMap::new(),
            by_address: HashMap::new(),
            by_ufrag: HashMap::new(),
            timers: BinaryHeap::new(),
            dirty: Vec::new(),
            next_generation: 0,
            epoch: Instant::now(),
            abs_send_time: [0; 3],
            arrived: Arrived::default(),
            packet: Vec::with_capacity(2048),
            repaired: Vec::with_capacity(2048),
            lost: Vec::new(),
        }
    }

    pub(super) fn counters(&self) -> &MediaCounters {
        &self.counters
    }

    /// A turn of the thread begins.
    pub(super) fn begin(&mut self, now: Instant) {
        let micros = now.saturating_duration_since(self.epoch).as_micros();
        let fixed = ((micros << 18) / 1_000_000) as u32;
        self.abs_send_time = [(fixed >> 16) as u8, (fixed >> 8) as u8, fixed as u8];
    }

    /// A datagram: finds its connection, decrypts and acts on it.
    pub(super) fn datagram(&mut self, now: Instant, sender: &mut UdpSender, from: SocketAddr, datagram: &mut [u8]) {
        let stun = datagram.first().is_some_and(|b| *b < 4);
        let known = self.by_address.get(&from).copied();
        let index = if stun {
            // By name, so that a client may use one address for several connections while it connects.
            let named = trtc_peer::stun_ufrag(datagram).and_then(|ufrag| self.by_ufrag.get(ufrag).copied());
            named.or(known)
        } else {
            known
        };
        let Some((index, link)) = index.and_then(|i| Some((i, self.links.get_mut(i)?.as_deref_mut()?))) else {
            let counter = if stun { &self.counters.bad_stun } else { &self.counters.unknown_source };
            MediaCounters::add(counter, 1);
            return;
        };
        let stalled = link.heard.replace(now).map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if stalled >= STALL && link.connected {
            link.limits.path_is_new(now);
            if link.publisher {
                self.members.get_mut(&link.member).into_iter().for_each(|member| member.gate.excuse(stalled));
            }
        }
        let secure = datagram.first().is_some_and(|b| (128..192).contains(b));
        match link.peer.feed(now, from, datagram) {
            Some(Incoming::Rtp(packet)) => {
                MediaCounters::add(&self.counters.rtp_in, 1);
                let packet: &[u8] = packet;
                self.mark(index);
                self.rtp(now, index, packet);
            }
            Some(Incoming::Rtcp(packet)) => {
                let packet: &[u8] = packet;
                self.mark(index);
                self.rtcp(now, sender, index, packet);
            }
            None => {
                if secure {
                    MediaCounters::add(&self.counters.srtp_errors, 1);
                }
                if stun && known != Some(index) {
                    if link.peer.is_validated(from) {
                        self.learn(index, from);
                    } else {
                        MediaCounters::add(&self.counters.bad_stun, 1);
                    }
                }
                self.mark(index);
            }
        }
    }

    /// The link needs a look before the turn ends.
    pub(super) fn mark(&mut self, index: usize) {
        if let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut)
            && !link.dirty
        {
            link.dirty = true;
            self.dirty.push(index);
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// Marks every link whose deadline has come.
    pub(super) fn run_timers(&mut self, now: Instant) {
        while let Some(Reverse((at, index, generation))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            if let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut)
                && link.generation == generation
                && link.armed == Some(at)
            {
                link.armed = None;
                self.mark(index);
            }
        }
    }

    /// Looks after every marked link until none is left: timers, feedback, offers, events, datagrams.
    pub(super) fn service(&mut self, now: Instant, sender: &mut UdpSender) {
        // Bounded: relaying marks other links, and two of them could keep each other busy.
        for _ in 0..100_000 {
            let Some(index) = self.dirty.pop() else { return };
            let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { continue };
            link.dirty = false;
            if link.peer.timeout().is_some_and(|at| at <= now) {
                link.peer.tick(now);
            }
            while let Some(event) = self.links[index].as_deref_mut().and_then(|link| link.peer.poll_event()) {
                self.peer_event(now, index, event);
            }
            let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { continue };
            if link.publisher {
                self.tell_speech(now, index);
                self.feed_back(now, sender, index);
            } else {
                self.offer_if_due(now, index);
                self.grow_if_due(now, index);
            }
            let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { continue };
            while let Some((to, bytes)) = link.peer.poll_send() {
                sender.push(to, |buffer| buffer.extend_from_slice(&bytes));
            }
            self.arm(now, index);
        }
        log::warn!("media thread: service loop cut short");
    }

    pub(super) fn close_all(&mut self, now: Instant, sender: &mut UdpSender) {
        for link in self.links.iter_mut().flatten() {
            link.peer.close(now);
            while let Some((to, bytes)) = link.peer.poll_send() {
                sender.push(to, |buffer| buffer.extend_from_slice(&bytes));
            }
        }
    }

    pub(super) fn emit(&self, member: MemberKey, event: MediaEvent) {
        if let Some(member) = self.members.get(&member)
            && member.events.try_send(event).is_err()
        {
            MediaCounters::add(&self.counters.events_dropped, 1);
        }
    }

    pub(super) fn add_link(&mut self, member: MemberKey, publisher: bool) -> usize {
        let config = if publisher { &self.publisher_config } else { &self.subscriber_config };
        let peer = Peer::new(config.clone(), self.identity.clone());
        self.next_generation += 1;
        let link = Box::new(Link::new(peer, member, publisher, self.next_generation));
        let free = self.links.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.links.push(None);
            self.links.len() - 1
        });
        self.links[index] = Some(link);
        self.learn_ufrag(index);
        index
    }

    pub(super) fn remove_link(&mut self, now: Instant, sender: &mut UdpSender, index: usize) {
        let Some(mut link) = self.links.get_mut(index).and_then(Option::take) else { return };
        link.peer.close(now);
        while let Some((to, bytes)) = link.peer.poll_send() {
            sender.push(to, |buffer| buffer.extend_from_slice(&bytes));
        }
        for address in &link.addresses {
            if self.by_address.get(address) == Some(&index) {
                self.by_address.remove(address);
            }
        }
        for ufrag in &link.ufrags {
            self.by_ufrag.remove(ufrag);
        }
    }

    /// The local user name fragment may have changed with an offer or an answer.
    pub(super) fn learn_ufrag(&mut self, index: usize) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let ufrag = link.peer.local_ufrag();
        if link.ufrags.iter().any(|known| known == ufrag) {
            return;
        }
        let ufrag = ufrag.to_owned();
        // The peer itself keeps two.
        if link.ufrags.len() == 2 {
            let old = link.ufrags.remove(0);
            self.by_ufrag.remove(&old);
        }
        link.ufrags.push(ufrag.clone());
        self.by_ufrag.insert(ufrag, index);
    }

    fn learn(&mut self, index: usize, from: SocketAddr) {
        if self.by_address.get(&from) == Some(&index) {
            return;
        }
        if let Some(previous) = self.by_address.insert(from, index)
            && let Some(other) = self.links.get_mut(previous).and_then(Option::as_deref_mut)
        {
            other.addresses.retain(|a| *a != from);
        }
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        if link.addresses.len() == ADDRESSES_MAX {
            let old = link.addresses.remove(0);
            self.by_address.remove(&old);
        }
        link.addresses.push(from);
    }

    fn peer_event(&mut self, now: Instant, index: usize, event: PeerEvent) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let (member, publisher) = (link.member, link.publisher);
        match event {
            PeerEvent::Connected => {
                let first = !link.connected;
                link.connected = true;
                if first {
                    MediaCounters::add(&self.counters.peers_connected, 1);
                    self.emit(member, MediaEvent::Connected { publisher });
                }
                if !publisher {
                    self.activate(now, member);
                }
                self.send_waiting(now, index);
            }
            PeerEvent::Failed(reason) => {
                link.connected = false;
                MediaCounters::add(&self.counters.peers_failed, 1);
                self.emit(member, MediaEvent::Failed { publisher, reason });
            }
            PeerEvent::PathChanged(address) => {
                link.limits.path_is_new(now);
                self.learn(index, address);
            }
            PeerEvent::ChannelOpen { label } => self.channel_open(now, index, label),
            PeerEvent::ChannelClosed { label } => link.open_channels.retain(|open| *open != label),
            PeerEvent::Data { label, data, .. } => self.data(now, index, &label, &data),
            PeerEvent::Closed => self.emit(member, MediaEvent::Closed { publisher }),
        }
    }

    fn arm(&mut self, now: Instant, index: usize) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let mut next = link.peer.timeout();
        let mut add = |at: Option<Instant>| {
            if let Some(at) = at {
                next = Some(next.map_or(at, |n| n.min(at)));
            }
        };
        add(link.offering.outstanding);
        if link.offering.outstanding.is_none() {
            add(link.offering.due);
        }
        // Nothing is sent back over a dead connection: its deadlines would come again at once.
        if link.connected {
            add(link.limits.estimator.timeout());
            add(link.receiving.report_due);
            add(link.receiving.feedback.as_ref().and_then(|f| f.recorder.timeout()));
        }
        if link.publisher
            && link.connected
            && let Some(member) = self.members.get(&link.member)
        {
            for &track in &member.tracks {
                let flowing = self.tracks.get(track).and_then(|slot| slot.as_ref()?.flowing.as_ref());
                add(flowing.and_then(|flowing| flowing.track.timeout(now)));
                add(flowing.and_then(|flowing| flowing.speaker.timeout()));
            }
        }
        // A later deadline waits for the earlier entry, which finds nothing to do and arms again.
        if let Some(at) = next
            && link.armed.is_none_or(|armed| at < armed)
        {
            link.armed = Some(at);
            self.timers.push(Reverse((at, index, link.generation)));
        }
    }
}
