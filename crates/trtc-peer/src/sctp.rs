//! SCTP over `sctp-proto`: one association, channels opened in band, limits and a pacer.
use crate::channels::{ACK, Channel, Dcep, MAX_CHANNELS, Reliability};
use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Ppid, ReliabilityType, ServerConfig, StreamEvent, Transmit, TransportConfig,
};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_types::{Code, Error, Result};

/// Largest message that an association survives.
pub(crate) const MAX_RECEIVE_MESSAGE: u32 = 262_144;
/// Most bytes that may wait in a peer. Deeper queues cost CPU in sctp-proto.
pub(crate) const MAX_BUFFERED: usize = 256 * 1024;
/// RFC 8841 6: the limit of a peer that names none.
const DEFAULT_SEND_MESSAGE: u32 = 65_536;
/// Longest wait for a retransmission. RFC 9260 proposes 60 s; messages would stand still for seconds after a path that was dead for
/// seconds has come back. Browsers wait at most 800 ms (dcSCTP).
const RTO_MAX_MS: u64 = 1_000;
/// Shortest one: the 200 ms for which a receiver may keep its SACK (RFC 9260 6.2) and a round trip of up to 300 ms. With less, a window
/// of one packet that a bad path has left times out each time, and no long message of a lossy channel ever arrives again (dcSCTP's
/// `rto_min`: "must be larger than an expected peer delayed ack timeout").
const RTO_MIN_MS: u64 = 500;
/// The receive window must exceed the largest message, or the association aborts.
const RECEIVE_WINDOW: u32 = 1 << 20;
const MAX_STREAM_ID: u16 = 1022;
/// A whole window in one burst overflows the socket of a browser.
const PACKETS_PER_INTERVAL: usize = 16;
const INTERVAL: Duration = Duration::from_millis(1);
/// Messages that overtook the DCEP message of their channel.
const MAX_EARLY: usize = 32;
const MAX_PACED: usize = 4096;
/// sctp-proto wants an address; there is only one peer behind DTLS.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5000);

/// Settings shared by all associations of a process.
pub(crate) struct Shared {
    endpoint: Arc<EndpointConfig>,
    server: Arc<ServerConfig>,
    transport: Arc<TransportConfig>,
}

impl Shared {
    pub fn new() -> Self {
        let transport = TransportConfig::default()
            .with_max_send_message_size(DEFAULT_SEND_MESSAGE)
            .with_max_receive_message_size(MAX_RECEIVE_MESSAGE)
            .with_max_receive_buffer_size(RECEIVE_WINDOW)
            .with_max_init_retransmits(None)
            .with_rto_initial_ms(500)
            .with_rto_min_ms(RTO_MIN_MS)
            .with_rto_max_ms(RTO_MAX_MS)
            // The path decides whether the other side is dead: ICE.
            .with_max_data_retransmits(None)
            .with_max_num_inbound_streams(1024)
            .with_max_num_outbound_streams(1024);
        let transport = Arc::new(transport);
        let mut server = ServerConfig::new();
        server.transport = transport.clone();
        Self { endpoint: Arc::new(EndpointConfig::new()), server: Arc::new(server), transport }
    }
}

/// What happened on the channels.
#[derive(Debug)]
pub(crate) enum SctpEvent {
    Open(String),
    Data {
        label: String,
        data: Bytes,
        text: bool,
    },
    Closed(String),
    /// The other side ended the association on purpose.
    Ended,
    Failed(String),
}

/// The association of a peer, with its channels. Exists from the moment that SDP names it.
pub(crate) struct Sctp {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    transport: Arc<TransportConfig>,
    is_client: bool,
    established: bool,
    lost: bool,
    channels: Vec<Channel>,
    readable: Vec<u16>,
    early: Vec<(u16, Bytes, bool)>,
    max_send: u32,
    paced: VecDeque<Bytes>,
    next_burst: Option<Instant>,
    /// Packets that may still go out before `next_burst`.
    allowance: usize,
    events: VecDeque<SctpEvent>,
    pub dropped: u64,
}

impl Sctp {
    pub fn new(shared: &Shared) -> Self {
        Self {
            endpoint: Endpoint::new(shared.endpoint.clone(), Some(shared.server.clone())),
            association: None,
            transport: shared.transport.clone(),
            is_client: false,
            established: false,
            lost: false,
            channels: Vec::new(),
            readable: Vec::new(),
            early: Vec::new(),
            max_send: DEFAULT_SEND_MESSAGE,
            paced: VecDeque::new(),
            next_burst: None,
            allowance: PACKETS_PER_INTERVAL,
            events: VecDeque::new(),
            dropped: 0,
        }
    }

    /// DTLS is up. Its client opens the association, its server waits.
    pub fn start(&mut self, now: Instant, is_client: bool) {
        self.is_client = is_client;
        if is_client && self.association.is_none() {
            let mut config = ClientConfig::new();
            config.transport = self.transport.clone();
            // reads the clock by itself, see the crate's documentation
            self.association = self.endpoint.connect(config, PEER).ok();
        }
        self.pump(now);
    }

    /// The other side's `a=max-message-size`; 0 means no limit but that of our queue.
    pub fn set_max_send(&mut self, size: u32) {
        const MOST: u32 = MAX_BUFFERED as u32;
        self.max_send = if size == 0 { MOST } else { size.min(MOST) };
        if let Some((_, association)) = &mut self.association {
            association.set_max_send_message_size(self.max_send);
        }
    }

    /// Wants a channel; it opens when both sides are ready.
    pub fn create(&mut self, now: Instant, label: &str, reliability: Reliability) {
        if self.channels.len() >= MAX_CHANNELS {
            self.dropped += 1;
            return;
        }
        self.channels.push(Channel { id: None, label: label.to_owned(), reliability, open: false });
        self.pump(now);
    }

    /// Queues a message; returns the bytes that wait.
    pub fn send(&mut self, now: Instant, label: &str, data: &[u8], text: bool) -> Result<usize> {
        if data.len() > self.max_send as usize {
            return Err(Error::invalid(format!("data must have at most {} bytes, got {}", self.max_send, data.len())));
        }
        let id = self.channels.iter().find(|channel| channel.open && channel.label == label).and_then(|it| it.id);
        let id = id.ok_or_else(|| Error::new(Code::REFUSED, format!("channel {label} is not open")))?;
        if self.buffered() + data.len() > MAX_BUFFERED {
            return Err(Error::new(Code::REFUSED, format!("more than {MAX_BUFFERED} bytes wait on the data channels")));
        }
        let (_, association) = self.association.as_mut().ok_or_else(no_association)?;
        // an empty SCTP message cannot be sent: one zero byte under an own identifier (RFC 8831 6.6)
        let (ppid, data): (Ppid, &[u8]) = match (text, data.is_empty()) {
            (false, false) => (Ppid::Binary, data),
            (false, true) => (Ppid::BinaryEmpty, &[0]),
            (true, false) => (Ppid::String, data),
            (true, true) => (Ppid::StringEmpty, &[0]),
        };
        association
            .stream(id)
            .and_then(|mut stream| stream.write_with_ppi(data, ppid))
            .map_err(|error| Error::new(Code::FAILED, format!("SCTP: {error}")))?;
        self.pump(now);
        Ok(self.buffered())
    }

    /// Closes a channel of either side's making.
    pub fn close_channel(&mut self, now: Instant, label: &str) {
        let id = self.channels.iter().find(|channel| channel.label == label).and_then(|channel| channel.id);
        if let (Some((_, association)), Some(id)) = (&mut self.association, id)
            && let Ok(mut stream) = association.stream(id)
        {
            let _ = stream.close();
        }
        self.pump(now);
    }

    /// A packet from DTLS.
    pub fn feed(&mut self, now: Instant, packet: Bytes) {
        if is_farewell(&packet) {
            self.lose(SctpEvent::Ended);
        }
        match self.endpoint.handle(now, PEER, None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(mut association))) => {
                association.set_max_send_message_size(self.max_send);
                self.association = Some((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut self.association {
                    association.handle_event(event);
                }
            }
            None => {}
        }
        self.pump(now);
    }

    pub fn timeout(&self) -> Option<Instant> {
        let association = self.association.as_ref().and_then(|(_, association)| association.poll_timeout());
        association.into_iter().chain(self.next_burst.filter(|_| !self.paced.is_empty())).min()
    }

    pub fn tick(&mut self, now: Instant) {
        if let Some((_, association)) = &mut self.association
            && association.poll_timeout().is_some_and(|at| at <= now)
        {
            association.handle_timeout(now);
        }
        self.pump(now);
    }

    /// The packets that may go out now, for DTLS.
    pub fn poll_burst(&mut self, now: Instant) -> Vec<Bytes> {
        if self.paced.is_empty() {
            return Vec::new();
        }
        if self.next_burst.is_none_or(|at| at <= now) {
            self.next_burst = Some(now + INTERVAL);
            self.allowance = PACKETS_PER_INTERVAL;
        }
        let count = self.paced.len().min(self.allowance);
        self.allowance -= count;
        self.paced.drain(..count).collect()
    }

    pub fn poll_event(&mut self) -> Option<SctpEvent> {
        self.events.pop_front()
    }

    /// Round trip as SCTP measures it.
    pub fn round_trip(&self) -> Option<Duration> {
        let (_, association) = self.association.as_ref().filter(|_| self.established)?;
        Some(association.rtt()).filter(|time| !time.is_zero())
    }

    fn buffered(&mut self) -> usize {
        let Some((_, association)) = &mut self.association else { return 0 };
        let ids = self.channels.iter().filter_map(|channel| channel.id);
        ids.filter_map(|id| association.stream(id).ok()?.buffered_amount().ok()).sum()
    }

    /// Moves everything that became possible, until nothing moves.
    fn pump(&mut self, now: Instant) {
        loop {
            self.open_wanted();
            let Some((handle, association)) = &mut self.association else { return };
            let mut moved = false;
            while let Some(event) = association.poll_endpoint_event() {
                self.endpoint.handle_event(*handle, event);
            }
            let mut events = Vec::new();
            while let Some(event) = association.poll() {
                moved = true;
                events.push(event);
            }
            while let Some(transmit) = self.endpoint.poll_transmit() {
                moved = true;
                queue(&mut self.paced, &mut self.dropped, transmit);
            }
            while let Some(transmit) = association.poll_transmit(now) {
                moved = true;
                queue(&mut self.paced, &mut self.dropped, transmit);
            }
            events.into_iter().for_each(|event| self.event(event));
            moved |= self.read();
            if !moved {
                return;
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.established = true;
                let max_send = self.max_send;
                self.set_max_send(max_send);
            }
            Event::Stream(StreamEvent::Opened { .. }) => {
                let Some((_, association)) = &mut self.association else { return };
                while let Some(stream) = association.accept_stream() {
                    note(&mut self.readable, stream.stream_identifier());
                }
            }
            Event::Stream(StreamEvent::Readable { id }) => note(&mut self.readable, id),
            Event::Stream(StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. }) => self.closed(id),
            Event::HandshakeFailed { reason } => {
                self.lose(SctpEvent::Failed(format!("SCTP handshake: {reason:?}")));
            }
            Event::AssociationLost { reason } => self.lose(SctpEvent::Failed(format!("SCTP lost: {reason:?}"))),
            _ => {}
        }
    }

    fn lose(&mut self, how: SctpEvent) {
        if !self.lost {
            self.lost = true;
            self.established = false;
            for channel in std::mem::take(&mut self.channels) {
                if channel.open {
                    self.events.push_back(SctpEvent::Closed(channel.label));
                }
            }
            self.events.push_back(how);
        }
    }

    fn closed(&mut self, id: u16) {
        if let Some(at) = self.channels.iter().position(|channel| channel.id == Some(id)) {
            let channel = self.channels.remove(at);
            self.events.push_back(SctpEvent::Closed(channel.label));
        }
    }

    /// Opens streams for channels that have none yet and announces them.
    fn open_wanted(&mut self) {
        let Some((_, association)) = self.association.as_mut().filter(|_| self.established) else { return };
        for channel in self.channels.iter_mut().filter(|channel| channel.id.is_none()) {
            // RFC 8832 6: even ids for the DTLS client, odd ones for the server
            let mut id = u16::from(!self.is_client);
            while id < MAX_STREAM_ID
                && (association.stream(id).is_ok() || association.open_stream(id, Ppid::Binary).is_err())
            {
                id += 2; // taken, or its reset is still under way
            }
            let Ok(mut stream) = association.stream(id) else { continue };
            channel.id = Some(id);
            let _ = stream.write_with_ppi(&Dcep::open(&channel.label, channel.reliability), Ppid::Dcep);
        }
    }

    /// Reads every complete message. True when there was any. Data can overtake the COOKIE-ACK, but nothing (no DCEP
    /// acknowledgement) can be written before it.
    fn read(&mut self) -> bool {
        let mut any = false;
        if !self.established {
            return false;
        }
        for id in std::mem::take(&mut self.readable) {
            while let Some((ppid, message)) = self.read_message(id) {
                any = true;
                match ppid {
                    Ppid::Dcep => self.dcep(id, &message),
                    Ppid::String => self.message(id, message, true),
                    Ppid::StringEmpty => self.message(id, Bytes::new(), true),
                    Ppid::BinaryEmpty => self.message(id, Bytes::new(), false),
                    _ => self.message(id, message, false),
                }
            }
        }
        any
    }

    fn read_message(&mut self, id: u16) -> Option<(Ppid, Bytes)> {
        let (_, association) = self.association.as_mut()?;
        let chunks = association.stream(id).ok()?.read_sctp().ok()??;
        let mut message = vec![0; chunks.len()];
        let length = chunks.read(&mut message).unwrap_or(0);
        message.truncate(length);
        Some((chunks.ppi, Bytes::from(message)))
    }

    fn message(&mut self, id: u16, data: Bytes, text: bool) {
        match self.channels.iter().find(|channel| channel.id == Some(id)) {
            Some(channel) => self.events.push_back(SctpEvent::Data { label: channel.label.clone(), data, text }),
            None if self.early.len() < MAX_EARLY => self.early.push((id, data, text)),
            None => self.dropped += 1,
        }
    }

    fn dcep(&mut self, id: u16, message: &[u8]) {
        let known = self.channels.iter().position(|channel| channel.id == Some(id));
        match (Dcep::parse(message), known) {
            (Some(Dcep::Open { label, reliability }), None) => self.accept(id, label, reliability),
            (Some(Dcep::Ack), Some(at)) if !self.channels[at].open => {
                let (label, reliability) = (self.channels[at].label.clone(), self.channels[at].reliability);
                self.channels[at].open = true;
                self.apply(id, reliability, false);
                self.events.push_back(SctpEvent::Open(label));
            }
            _ => {}
        }
    }

    fn accept(&mut self, id: u16, label: String, reliability: Reliability) {
        if self.channels.len() >= MAX_CHANNELS {
            self.dropped += 1;
            if let Some((_, association)) = &mut self.association
                && let Ok(mut stream) = association.stream(id)
            {
                let _ = stream.close();
            }
            return;
        }
        self.apply(id, reliability, true);
        self.channels.push(Channel { id: Some(id), label: label.clone(), reliability, open: true });
        self.events.push_back(SctpEvent::Open(label));
        for (stream, data, text) in std::mem::take(&mut self.early) {
            self.message(stream, data, text);
        }
    }

    /// Applies the reliability to our direction; the acknowledgement itself goes out reliably before.
    fn apply(&mut self, id: u16, reliability: Reliability, acknowledge: bool) {
        let Some((_, association)) = &mut self.association else { return };
        let Ok(mut stream) = association.stream(id) else { return };
        if acknowledge {
            let _ = stream.write_with_ppi(&ACK, Ppid::Dcep);
        }
        let kind = ReliabilityType::from(reliability.limit());
        let _ = stream.set_reliability_params(reliability.unordered(), kind, reliability.parameter);
    }
}

fn queue(paced: &mut VecDeque<Bytes>, dropped: &mut u64, transmit: Transmit) {
    if let Payload::RawEncode(packets) = transmit.payload {
        for packet in packets {
            if paced.len() < MAX_PACED {
                paced.push_back(packet);
            } else {
                *dropped += 1; // SCTP retransmits
            }
        }
    }
}

/// Whether a packet ends the association on purpose: SHUTDOWN, or an ABORT for no other cause than the user's will
/// (RFC 9260 3.3.7, 3.3.8, 3.3.10.12). sctp-proto gives one reason for that and for violations of the protocol.
fn is_farewell(packet: &[u8]) -> bool {
    const COMMON_HEADER: usize = 12;
    const ABORT: u8 = 6;
    const SHUTDOWN: u8 = 7;
    const USER_INITIATED: [u8; 2] = [0, 12];
    let mut chunks = packet.get(COMMON_HEADER..).unwrap_or_default();
    while let &[kind, _, high, low, ..] = chunks {
        let length = usize::from(u16::from_be_bytes([high, low])).max(4);
        let causes = chunks.get(4..length).unwrap_or_default();
        match kind {
            SHUTDOWN => return true,
            ABORT => return causes.is_empty() || causes.starts_with(&USER_INITIATED),
            _ => chunks = chunks.get(length.next_multiple_of(4)..).unwrap_or_default(),
        }
    }
    false
}

fn note(ids: &mut Vec<u16>, id: u16) {
    if !ids.contains(&id) {
        ids.push(id);
    }
}

fn no_association() -> Error {
    Error::new(Code::DISCONNECTED, "the data channels are not connected")
}

#[cfg(test)]
mod tests;
