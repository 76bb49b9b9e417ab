//! The load: one publisher and its subscribers, all on one thread.
use crate::client::Client;
use crate::source::{AUDIO_PAYLOAD, STAMP_AT, Schedule, Source, cid, sid};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trtc_net::batch::{Receiver, SendQueue};
use trtc_peer::Identity;
use trtc_rtp::rtcp;
use trtc_server::media::{Media, MediaCommand, MemberKey};
use trtc_types::MediaKind;

const PUBLISHER: MemberKey = 0;
const KINDS: [MediaKind; 2] = [MediaKind::Video, MediaKind::Audio];
/// Between two looks at every client. Nobody waits in `epoll`: to wake a thread of ours would cost the server's thread time that
/// clients on other machines do not cost.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// One in so many subscribers has its latency measured: they stand for all places in the order of forwarding.
const PROBE_EVERY: MemberKey = 10;
/// A source that is later than this would send everything it missed in one go.
const STALL: Duration = Duration::from_secs(1);
/// Nothing that is waited for takes longer, not even in an emulator.
const PATIENCE: Duration = Duration::from_secs(120);

/// All clients with their common buffers.
pub(crate) struct Swarm {
    media: Media,
    receiver: Receiver,
    queue: SendQueue,
    identity: Arc<Identity>,
    /// The publisher, then the subscribers.
    clients: Vec<Client>,
    source: Source,
    /// The source keeps its own time, counted from here, instead of waiting to be told.
    live_since: Option<Instant>,
    server: SocketAddr,
    next_look: Instant,
    scratch: Vec<u8>,
    /// Microseconds from a packet's sending to its arrival in a probe's socket.
    pub(crate) latencies: Vec<u32>,
}

impl Swarm {
    /// The publisher enters and its two tracks start.
    pub(crate) fn publish(media: &Media, schedule: Schedule) -> io::Result<Self> {
        let identity = Arc::new(Identity::generate(unix_now().as_secs()).map_err(|e| io::Error::other(e.to_string()))?);
        let mut publisher = Client::new(media, &identity, PUBLISHER, false)?;
        let source = Source::new(&mut publisher.peer, schedule);
        for kind in KINDS {
            let (cid, sid) = (cid(kind).to_owned(), sid(kind).to_owned());
            send(media, MediaCommand::ExpectTrack { member: PUBLISHER, cid, sid, kind, muted: false, codec: None })?;
        }
        let sdp = publisher.peer.create_offer();
        send(media, MediaCommand::Offer { member: PUBLISHER, sdp, id: 1 })?;
        let now = Instant::now();
        let mut swarm = Self {
            media: media.clone(),
            receiver: Receiver::new(),
            queue: SendQueue::new(),
            identity,
            clients: vec![publisher],
            source,
            live_since: None,
            server: SocketAddr::from(([127, 0, 0, 1], media.udp_port())),
            next_look: now,
            scratch: Vec::with_capacity(2048),
            latencies: Vec::new(),
        };
        swarm.until("the publisher's connection", |s| s.clients[0].connected)?;
        swarm.source.negotiated(&swarm.clients[0].peer);
        Ok(swarm)
    }

    /// More subscribers enter, until there are so many; they receive both tracks.
    pub(crate) fn subscribe(&mut self, count: usize) -> io::Result<()> {
        for member in self.clients.len() as MemberKey..=count as MemberKey {
            let probe = member % PROBE_EVERY == PROBE_EVERY / 2;
            self.clients.push(Client::new(&self.media, &self.identity, member, probe)?);
            for kind in KINDS {
                let (sid, publisher_sid) = (sid(kind).to_owned(), format!("PA_{PUBLISHER}"));
                send(&self.media, MediaCommand::Subscribe { member, sid, publisher_sid, on: true })?;
            }
            send(&self.media, MediaCommand::StartSubscriber { member })?;
        }
        let (counters, all) = (self.media.counters(), count as u64 + 1);
        self.until("the subscribers' connections", |s| {
            let ours = s.clients.iter().all(|c| c.connected);
            ours && counters.peers_connected.load(std::sync::atomic::Ordering::Relaxed) == all
        })
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
        self.clients[1..].iter().map(|c| c.media.packets).sum()
    }

    /// Has every subscriber received something?
    pub(crate) fn everybody_receives(&self) -> bool {
        self.clients[1..].iter().all(|c| c.media.packets > 0)
    }

    /// Turns until something is true.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            if Instant::now() > deadline {
                let counters = self.media.counters();
                return Err(io::Error::other(format!("{what} did not come: {counters:?}")));
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
        let Self { clients, receiver, queue, latencies, media, .. } = self;
        for client in clients {
            client.drain(receiver, |arrived, packet| {
                let payload = packet.payload();
                if let Some(Ok(stamp)) = payload.get(STAMP_AT..STAMP_AT + 8).map(TryInto::try_into)
                    && payload.len() > AUDIO_PAYLOAD
                {
                    let sent = Duration::from_nanos(u64::from_be_bytes(stamp));
                    latencies.push(arrived.saturating_sub(sent).as_micros() as u32);
                }
            })?;
            client.look(now, media, queue)?;
        }
        let wanted = std::mem::take(&mut self.clients[0].media.key_frame_wanted);
        self.source.schedule.key_frame_wanted |= wanted;
        self.send_reports(now);
        Ok(())
    }

    fn queue_next(&mut self) -> io::Result<()> {
        let (now, stamp) = (Instant::now(), unix_now().as_nanos() as u64);
        let Self { source, clients, scratch, queue, server, .. } = self;
        let publisher = &mut clients[0];
        if !source.next(&mut publisher.peer, now, stamp, scratch) {
            return Err(io::Error::other("the publisher cannot send"));
        }
        queue.push(&publisher.socket, *server, |buffer| buffer.extend_from_slice(scratch));
        Ok(())
    }

    fn send_reports(&mut self, now: Instant) {
        let unix = unix_now();
        for at in 0..KINDS.len() {
            let due = self.source.reports()[at].poll_report(now, rtcp::ntp_from_unix(unix));
            let Some(info) = due else { continue };
            self.scratch.clear();
            rtcp::sender_report(&mut self.scratch, &info, &[]);
            let Self { clients, scratch, queue, server, .. } = self;
            if clients[0].peer.seal_rtcp(scratch).is_some() {
                queue.push(&clients[0].socket, *server, |buffer| buffer.extend_from_slice(scratch));
            }
        }
        self.flush();
    }

    /// What is due goes out in one call, as `trtc-member` does it.
    fn flush(&mut self) {
        self.queue.flush(&self.clients[0].socket);
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn send(media: &Media, command: MediaCommand) -> io::Result<()> {
    media.send(command).map_err(io::Error::other)
}
