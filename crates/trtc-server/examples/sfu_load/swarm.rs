//! The load: one publisher and its subscribers, all on one thread.
use crate::client::Client;
use crate::signalling::{KINDS, Server};
use crate::source::{AUDIO_PAYLOAD, STAMP_AT, Schedule, Source};
use mio::net::UdpSocket;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trtc_net::batch::{Receiver, SendQueue, bind};
use trtc_peer::{IceRole, Identity};
use trtc_rtp::rtcp;

/// Between two looks at every client. Nobody waits in `epoll`: to wake a thread of ours would cost the server's thread time that
/// clients on other machines do not cost.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// Between two looks at what the servers say beside the media.
const LISTEN_INTERVAL: Duration = Duration::from_millis(20);
/// One in so many subscribers has its latency measured: they stand for all places in the order of forwarding.
const PROBE_EVERY: usize = 10;
/// A source that is later than this would send everything it missed in one go.
const STALL: Duration = Duration::from_secs(1);
/// Nothing that is waited for takes longer, not even in an emulator.
const PATIENCE: Duration = Duration::from_secs(120);

/// All clients with their common buffers.
pub(crate) struct Swarm {
    server: Box<dyn Server>,
    /// Of the clients' sockets.
    address: IpAddr,
    receiver: Receiver,
    queue: SendQueue,
    identity: Arc<Identity>,
    publisher: Publisher,
    subscribers: Vec<Client>,
    source: Source,
    /// The source keeps its own time, counted from here, instead of waiting to be told.
    live_since: Option<Instant>,
    next_look: Instant,
    next_listen: Instant,
    scratch: Vec<u8>,
    /// Microseconds from a packet's sending to its arrival in a probe's socket.
    pub(crate) latencies: Vec<u32>,
}

/// Where the media comes from.
enum Publisher {
    Peer(Box<Client>),
    Plain(UdpSocket),
}

impl Publisher {
    fn socket(&self) -> &UdpSocket {
        match self {
            Self::Peer(client) => &client.socket,
            Self::Plain(socket) => socket,
        }
    }

    fn client(&mut self) -> Option<&mut Client> {
        match self {
            Self::Peer(client) => Some(client),
            Self::Plain(_) => None,
        }
    }
}

impl Swarm {
    /// The publisher enters and its two tracks start.
    pub(crate) fn publish(mut server: Box<dyn Server>, address: IpAddr, schedule: Schedule) -> io::Result<Self> {
        let identity = Arc::new(Identity::generate(unix_now().as_secs()).map_err(|e| io::Error::other(e.to_string()))?);
        let (publisher, source) = match server.publisher()? {
            Some(signalling) => {
                let mut client = Client::new(&identity, IceRole::Controlling, address, signalling, false)?;
                let source = Source::new(&mut client.peer, schedule);
                client.offer()?;
                (Publisher::Peer(Box::new(client)), source)
            }
            None => (Publisher::Plain(bind(SocketAddr::new(address, 0))?), Source::plain(schedule)),
        };
        let now = Instant::now();
        let mut swarm = Self {
            server,
            address,
            receiver: Receiver::new(),
            queue: SendQueue::new(),
            identity,
            publisher,
            subscribers: Vec::new(),
            source,
            live_since: None,
            next_look: now,
            next_listen: now,
            scratch: Vec::with_capacity(2048),
            latencies: Vec::new(),
        };
        swarm.until("the publisher's connection", |s| s.publisher.client().is_none_or(|client| client.connected))?;
        if let Publisher::Peer(client) = &swarm.publisher {
            swarm.source.negotiated(&client.peer);
        }
        Ok(swarm)
    }

    /// More subscribers enter, until there are so many; they receive both tracks.
    pub(crate) fn subscribe(&mut self, count: usize) -> io::Result<()> {
        for number in self.subscribers.len() + 1..=count {
            let probe = number % PROBE_EVERY == PROBE_EVERY / 2;
            let signalling = self.server.subscriber()?;
            let client = Client::new(&self.identity, IceRole::Controlled, self.address, signalling, probe)?;
            self.subscribers.push(client);
            // A source that keeps time does not stand still while others enter.
            self.turn()?;
        }
        self.until("the subscribers' connections", |s| s.subscribers.iter().all(|client| client.connected))
    }

    /// From now on the source keeps time, going on where it was; or it stops.
    pub(crate) fn set_live(&mut self, live: bool) {
        self.live_since = live.then(|| Instant::now() - self.source.schedule.due());
    }

    /// Sends and receives for a while.
    pub(crate) fn run_for(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }

    /// Sends one frame with the sound that belongs to it; whatever the time, it goes out at once.
    pub(crate) fn send_frame(&mut self) -> io::Result<()> {
        let frame = self.source.schedule.frame();
        while self.source.schedule.frame() == frame {
            self.queue_next()?;
        }
        self.flush();
        Ok(())
    }

    /// The next frame becomes a key frame.
    pub(crate) fn request_key_frame(&mut self) {
        self.source.schedule.key_frame_wanted = true;
    }

    /// RTP packets that the publisher sent so far.
    pub(crate) fn sent(&mut self) -> u64 {
        self.source.reports().iter().map(|report| report.packets()).sum()
    }

    /// RTP packets that the subscribers received so far.
    pub(crate) fn received(&self) -> u64 {
        self.subscribers.iter().map(|client| client.media.packets).sum()
    }

    /// Has every subscriber received both tracks?
    pub(crate) fn everybody_receives(&self) -> bool {
        self.subscribers
            .iter()
            .all(|client| client.media.packets > client.media.video_packets && client.media.video_packets > 0)
    }

    /// Turns until something is true.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{what} did not come")));
            }
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut wake = self.next_look;
        if let Some(start) = self.live_since {
            wake = wake.min(start + self.source.schedule.due());
        }
        std::thread::sleep(wake.saturating_duration_since(Instant::now()));
        if let Some(start) = self.live_since {
            let late = Instant::now().saturating_duration_since(start + self.source.schedule.due());
            if late > STALL {
                return Err(io::Error::other(format!(
                    "the load stood still for {late:?}: what it measures says nothing"
                )));
            }
            while start + self.source.schedule.due() <= Instant::now() {
                self.queue_next()?;
            }
            self.flush();
        }
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK_INTERVAL;
            self.look(now)?;
        }
        Ok(())
    }

    fn look(&mut self, now: Instant) -> io::Result<()> {
        let listens = now >= self.next_listen;
        if listens {
            self.next_listen = now + LISTEN_INTERVAL;
            self.server.tick()?;
        }
        let Self { publisher, subscribers, receiver, queue, latencies, source, .. } = self;
        for client in publisher.client().into_iter().chain(subscribers) {
            client.drain(receiver, |arrived, packet| {
                let payload = packet.payload();
                if let Some(Ok(stamp)) = payload.get(STAMP_AT..STAMP_AT + 8).map(TryInto::try_into)
                    && payload.len() > AUDIO_PAYLOAD
                {
                    let sent = Duration::from_nanos(u64::from_be_bytes(stamp));
                    latencies.push(arrived.saturating_sub(sent).as_micros() as u32);
                }
            })?;
            if listens {
                client.listen(now)?;
            }
            client.look(now, queue)?;
        }
        if let Some(client) = publisher.client() {
            source.schedule.key_frame_wanted |= std::mem::take(&mut client.media.key_frame_wanted);
        }
        self.send_reports(now);
        Ok(())
    }

    fn queue_next(&mut self) -> io::Result<()> {
        let (now, stamp) = (Instant::now(), unix_now().as_nanos() as u64);
        let Self { source, publisher, server, scratch, queue, .. } = self;
        let kind = source.next(now, stamp, scratch);
        let to = match publisher {
            Publisher::Peer(client) => kind.and_then(|_| client.peer.seal_rtp(scratch)),
            Publisher::Plain(_) => kind.and_then(|kind| server.plain(kind)),
        };
        let to = to.ok_or_else(|| io::Error::other("the publisher cannot send"))?;
        queue.push(publisher.socket(), to, |buffer| buffer.extend_from_slice(scratch));
        Ok(())
    }

    fn send_reports(&mut self, now: Instant) {
        let unix = unix_now();
        for at in 0..KINDS.len() {
            let due = self.source.reports()[at].poll_report(now, rtcp::ntp_from_unix(unix));
            let (Some(info), Some(client)) = (due, self.publisher.client()) else { continue };
            self.scratch.clear();
            rtcp::sender_report(&mut self.scratch, &info, &[]);
            if let Some(to) = client.peer.seal_rtcp(&mut self.scratch) {
                self.queue.push(&client.socket, to, |buffer| buffer.extend_from_slice(&self.scratch));
            }
        }
        self.flush();
    }

    /// What is due goes out in one call, as `trtc-member` does it.
    fn flush(&mut self) {
        self.queue.flush(self.publisher.socket());
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
