//! One peer connection of a member, as a client would have it.
use crate::arrival;
use crate::signalling::{Signalling, Told};
use crate::source::AUDIO_PAYLOAD;
use mio::net::UdpSocket;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_net::batch::{BATCH, DATAGRAM_MAX, Receiver, SendQueue, bind};
use trtc_peer::{Config, IceRole, Identity, Incoming, Peer, PeerEvent, extension};
use trtc_rtp::rtcp::{self, ReportBlock, Rtcp};
use trtc_rtp::{ReceiverStats, RtpPacket, TransportFeedbackRecorder};

const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A member's connection: the publisher's first one, or a subscriber's second one.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) socket: UdpSocket,
    pub(crate) connected: bool,
    pub(crate) media: Received,
    signalling: Box<dyn Signalling>,
    /// The kernel notes when its datagrams arrive.
    probe: bool,
}

/// What came over a connection.
#[derive(Default)]
pub(crate) struct Received {
    /// RTP packets.
    pub(crate) packets: u64,
    /// Those of them that are video.
    pub(crate) video_packets: u64,
    /// The server asked for a key frame.
    pub(crate) key_frame_wanted: bool,
    streams: Vec<ReceiverStats>,
    report_due: Option<Instant>,
    feedback: TransportFeedbackRecorder,
    /// Where packets carry their transport-wide number, when the server numbers them.
    number: Option<u8>,
}

impl Client {
    /// A connection that is agreed on by `signalling`, from a socket of its own at `address`.
    pub(crate) fn new(
        identity: &Arc<Identity>,
        ice: IceRole,
        address: IpAddr,
        signalling: Box<dyn Signalling>,
        probe: bool,
    ) -> io::Result<Self> {
        let socket = bind(SocketAddr::new(address, 0))?;
        if probe {
            arrival::note(&socket)?;
        }
        let config = Config { ice, local_candidates: vec![socket.local_addr()?], ..Config::default() };
        let peer = Peer::new(Arc::new(config), identity.clone());
        Ok(Self { peer, socket, connected: false, media: Received::default(), signalling, probe })
    }

    /// Offers what was added to the peer.
    pub(crate) fn offer(&mut self) -> io::Result<()> {
        let sdp = self.peer.create_offer();
        self.signalling.offer(sdp)
    }

    /// Takes everything that waits in the socket; `stamped` gets every RTP packet of a probe with its arrival as Unix time.
    pub(crate) fn drain(
        &mut self,
        receiver: &mut Receiver,
        mut stamped: impl FnMut(Duration, &RtpPacket<'_>),
    ) -> io::Result<()> {
        let Self { peer, socket, media, .. } = self;
        let now = Instant::now();
        if self.probe {
            let mut buffer = [0; DATAGRAM_MAX];
            while let Some((length, from, arrived)) = arrival::next(socket, &mut buffer)? {
                if let Some(incoming) = peer.feed(now, from, &mut buffer[..length]) {
                    media.take(now, incoming, |packet| stamped(arrived, packet));
                }
            }
            return Ok(());
        }
        loop {
            let taken = receiver.receive(socket, |from, _, datagram| {
                if let Some(incoming) = peer.feed(now, from, datagram) {
                    media.take(now, incoming, |_| {});
                }
            })?;
            if taken < BATCH {
                return Ok(());
            }
        }
    }

    /// Lets the peer act: deadlines, reports, what it wants to send.
    pub(crate) fn look(&mut self, now: Instant, queue: &mut SendQueue) -> io::Result<()> {
        if self.peer.timeout().is_some_and(|at| at <= now) {
            self.peer.tick(now);
        }
        if self.media.report_due.is_some_and(|due| due <= now) {
            self.media.report_due = Some(now + REPORT_INTERVAL);
            self.report(queue, now);
        }
        if self.media.feedback.timeout().is_some_and(|due| due <= now) {
            self.feed_back(queue, now);
        }
        self.settle(queue)
    }

    /// Takes what the server said.
    pub(crate) fn listen(&mut self, now: Instant) -> io::Result<()> {
        while let Some(told) = self.signalling.poll()? {
            match told {
                Told::Offer { sdp, id } => {
                    let answer = self.peer.accept_offer(now, &sdp).map_err(other)?;
                    let sections = self.peer.receive_sections();
                    let mut extensions = sections.iter().flat_map(|section| &section.extensions);
                    self.media.number = extensions.find(|(_, uri)| uri == extension::TRANSPORT_CC).map(|&(id, _)| id);
                    self.signalling.answer(answer, id)?;
                }
                Told::Answer { sdp } => self.peer.accept_answer(now, &sdp).map_err(other)?,
                Told::Candidate(line) => self.peer.trickle(now, &line),
            }
        }
        Ok(())
    }

    /// Hands on what the peer wants to send and takes its events.
    pub(crate) fn settle(&mut self, queue: &mut SendQueue) -> io::Result<()> {
        while let Some(event) = self.peer.poll_event() {
            match event {
                PeerEvent::Connected => self.connected = true,
                PeerEvent::Failed(reason) => return Err(io::Error::other(format!("a connection failed: {reason}"))),
                _ => {}
            }
        }
        while let Some((to, bytes)) = self.peer.poll_send() {
            queue.push(&self.socket, to, |buffer| buffer.extend_from_slice(&bytes));
        }
        queue.flush(&self.socket);
        Ok(())
    }

    /// A receiver report, as every client sends them.
    fn report(&mut self, queue: &mut SendQueue, now: Instant) {
        let blocks: Vec<ReportBlock> = self.media.streams.iter_mut().filter_map(|s| s.report_block(now)).collect();
        let mut packet = Vec::new();
        rtcp::receiver_report(&mut packet, 1, &blocks);
        self.seal_and_queue(queue, packet);
    }

    /// Transport-wide feedback, as every client sends it that is asked for it.
    fn feed_back(&mut self, queue: &mut SendQueue, now: Instant) {
        let Some(media) = self.media.streams.first().map(ReceiverStats::ssrc) else { return };
        let mut packet = Vec::new();
        while self.media.feedback.poll(now, &mut packet, 1, media) {
            self.seal_and_queue(queue, std::mem::take(&mut packet));
        }
    }

    fn seal_and_queue(&mut self, queue: &mut SendQueue, mut packet: Vec<u8>) {
        if let Some(to) = self.peer.seal_rtcp(&mut packet) {
            queue.push(&self.socket, to, |buffer| buffer.extend_from_slice(&packet));
        }
    }
}

impl Received {
    fn take(&mut self, now: Instant, incoming: Incoming<'_>, seen: impl FnOnce(&RtpPacket<'_>)) {
        match incoming {
            Incoming::Rtp(packet) => {
                let Some(packet) = RtpPacket::parse(packet) else { return };
                if let Some(&[high, low]) = self.number.and_then(|id| packet.extension(id)) {
                    self.feedback.received(now, u16::from_be_bytes([high, low]));
                }
                self.packets += 1;
                self.video_packets += u64::from(packet.payload().len() > AUDIO_PAYLOAD);
                let header = packet.header();
                let known = self.streams.iter().position(|s| s.ssrc() == header.ssrc);
                let stream = known.unwrap_or_else(|| {
                    // Only jitter depends on the clock, and nobody reads it.
                    self.streams.push(ReceiverStats::new(header.ssrc, 90_000));
                    self.report_due.get_or_insert(now + REPORT_INTERVAL);
                    self.streams.len() - 1
                });
                self.streams[stream].received(now, &header, packet.payload().len());
                seen(&packet);
            }
            Incoming::Rtcp(packet) => {
                let asks = |part| matches!(part, Rtcp::Pli { .. } | Rtcp::Fir { .. });
                self.key_frame_wanted |= rtcp::parse(packet).any(asks);
            }
        }
    }
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}
