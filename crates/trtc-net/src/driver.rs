//! The process-wide `trtc-net` thread: the sockets and timers of all memberships. It starts with the first machine and ends after
//! the last; [`shutdown`] joins it, so that a library that holds it can be unloaded.
mod sockets;

use crate::batch::{BATCH, Receiver, SendQueue, mapped};
use crate::found::{Found, source_address};
use crate::lookup;
use crate::streams::Streams;
use crate::url::ServerUrl;
use crate::websocket::WebSocket;
use bytes::Bytes;
use mio::net::UdpSocket;
use mio::{Events, Poll, Token, Waker};
use parking_lot::{Condvar, Mutex};
use sockets::{drive_streams, drive_websocket, open_udp};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};
use trtc_types::Way;

/// UDP sockets of one machine: one per peer connection, because a server tells the two apart by source address.
pub const SOCKETS: usize = 2;

/// Something that lives on the net thread. It locks itself for the length of a call, and calls foreign code only unlocked.
pub trait Machine: Send + Sync {
    /// Takes what the network brought.
    fn input(&self, now: Instant, input: Input<'_>);
    /// Runs due timers, appends what is to be done, delivers events; returns the next timer.
    fn advance(&self, now: Instant, actions: &mut Vec<NetAction>) -> Option<Instant>;
    /// A call of this machine panicked; it will not be called again.
    fn crashed(&self);
}

/// What the network brought.
pub enum Input<'a> {
    /// Answer to [`NetAction::OpenUdp`]: the addresses that others can reach, by socket; or why there are none.
    UdpOpened(Result<[SocketAddr; SOCKETS], String>),
    /// Answer to [`NetAction::FindServer`].
    ServerFound {
        /// As asked.
        tag: u32,
        /// Where, with its way; none: there is no such name.
        address: Option<SocketAddr>,
    },
    /// The WebSocket is open; by now media leaves from this address.
    SocketOpened(IpAddr),
    /// The way to the WebSocket's server starts at another address than when it was opened.
    NetworkChanged,
    /// The WebSocket could not be opened.
    SocketFailed {
        /// HTTP status, if the server answered by HTTP.
        status: Option<u16>,
        /// HTTP body, or the reason.
        body: &'a str,
    },
    /// The WebSocket was open and is no more.
    SocketClosed,
    /// A WebSocket message.
    SocketMessage(&'a [u8]),
    /// So many datagrams were dropped on their way out since this was told last: a socket took no more, or a TCP connection (its 256 KiB
    /// waited already, or there is none).
    Dropped(u64),
    /// A datagram, to be changed in place.
    Datagram {
        /// Which socket it came to.
        socket: usize,
        /// Its source.
        from: SocketAddr,
        /// Its bytes.
        data: &'a mut [u8],
    },
}

/// What a machine wants done.
pub enum NetAction {
    /// Binds new UDP sockets on the way to the WebSocket's server; old ones are closed, and TCP connections of datagrams.
    OpenUdp,
    /// Sends a datagram; the address says on which [`Way`]. STUN opens the TCP connection that it needs.
    Send {
        /// From which socket.
        socket: usize,
        /// To whom.
        to: SocketAddr,
        /// Its bytes.
        data: Bytes,
    },
    /// Resolves the name of a server that datagrams will go to.
    FindServer {
        /// Comes back with the answer.
        tag: u32,
        /// Name or IP address; also the name that its certificate must bear.
        host: String,
        /// Port.
        port: u16,
        /// How it is reached.
        way: Way,
    },
    /// Opens a WebSocket in place of the present one.
    OpenWebSocket {
        /// The server.
        base: ServerUrl,
        /// Path and query, from `/`.
        path_and_query: String,
        /// Goes into `Authorization: Bearer`.
        token: String,
    },
    /// Closes the WebSocket; nothing more is heard of it.
    CloseWebSocket,
    /// Sends a binary message.
    SendWebSocket(Vec<u8>),
    /// The machine is finished: its sockets are closed and it is dropped.
    Closed,
}

/// Keeps nothing alive; wakes the machine after it was changed from another thread.
#[derive(Clone)]
pub struct Handle {
    id: u32,
    shared: Arc<Shared>,
}

impl Handle {
    /// Makes the net thread call [`Machine::advance`] soon.
    pub fn wake(&self) {
        let mut inbox = self.shared.inbox.lock();
        if !inbox.woken.contains(&self.id) {
            inbox.woken.push(self.id);
            if inbox.woken.len() == 1 {
                let _ = self.shared.waker.wake();
            }
        }
    }
}

/// Puts a machine onto the net thread, starting the thread when there is none.
///
/// # Errors
/// Those of thread creation and `epoll`.
pub fn register(machine: Arc<dyn Machine>) -> io::Result<Handle> {
    let mut global = GLOBAL.lock();
    if global.machines == 0
        && let Some(old) = global.running.take()
        && !old.is_current()
    {
        // Without machines the thread is on its way out: wait those microseconds rather than race with it.
        let _ = old.thread.join();
    }
    let shared = match &global.running {
        Some(running) => running.shared.clone(),
        None => {
            let running = Running::start()?;
            let shared = running.shared.clone();
            global.running = Some(running);
            shared
        }
    };
    global.machines += 1;
    global.last_id = global.last_id.wrapping_add(1) & (u32::MAX >> 4);
    let id = global.last_id;
    shared.inbox.lock().new.push((id, machine));
    let _ = shared.waker.wake();
    Ok(Handle { id, shared })
}

/// Waits until no machine is left and joins the thread, and those that look up names. `false` when some remain after `timeout`, or
/// on the net thread itself.
pub fn shutdown(timeout: Duration) -> bool {
    let mut global = GLOBAL.lock();
    if global.running.as_ref().is_some_and(Running::is_current) {
        return false;
    }
    let deadline = Instant::now() + timeout;
    while global.machines > 0 {
        if IDLE.wait_until(&mut global, deadline).timed_out() {
            return false;
        }
    }
    if let Some(running) = global.running.take() {
        let _ = running.thread.join();
    }
    drop(global);
    lookup::finish(deadline)
}

static GLOBAL: Mutex<Global> = Mutex::new(Global { running: None, machines: 0, last_id: 0 });
static IDLE: Condvar = Condvar::new();

struct Global {
    running: Option<Running>,
    machines: usize,
    last_id: u32,
}

struct Running {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    id: ThreadId,
}

impl Running {
    fn start() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let shared = Arc::new(Shared { waker, inbox: Mutex::default() });
        let mut driver = Driver {
            poll,
            shared: shared.clone(),
            slots: BTreeMap::new(),
            receiver: Receiver::new(),
            queues: std::array::from_fn(|_| SendQueue::new()),
            ending: false,
        };
        let thread = std::thread::Builder::new().name("trtc-net".into()).spawn(move || driver.run())?;
        let id = thread.thread().id();
        Ok(Self { shared, thread, id })
    }

    fn is_current(&self) -> bool {
        self.id == std::thread::current().id()
    }
}

struct Shared {
    waker: Arc<Waker>,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    new: Vec<(u32, Arc<dyn Machine>)>,
    woken: Vec<u32>,
    found: Vec<(u32, Found)>,
}

const WAKE: Token = Token(usize::MAX);
/// Tokens of a machine: its id times four, plus the index of the UDP socket, or one of these.
const STREAMS: usize = 2;
const WEBSOCKET: usize = 3;
/// How often the routing table is asked whether our address is still the same; no portable call tells it by itself.
const ROUTE_CHECK: Duration = Duration::from_secs(1);
/// Batches taken from one socket before others have their turn.
const BATCHES_PER_TURN: usize = 4;

struct Driver {
    poll: Poll,
    shared: Arc<Shared>,
    slots: BTreeMap<u32, Slot>,
    receiver: Receiver,
    queues: [SendQueue; SOCKETS],
    /// The last machine is gone; no lock of [`GLOBAL`] is taken from here on, so that it may be held while joining.
    ending: bool,
}

struct Slot {
    machine: Arc<dyn Machine>,
    udp: [Option<UdpSocket>; SOCKETS],
    /// Edge-triggered readiness that was not used up.
    readable: [bool; SOCKETS],
    streams: Streams,
    found: Vec<Found>,
    /// Datagrams that were dropped on their way out, until the machine is told.
    dropped: u64,
    websocket: Option<WebSocket>,
    websocket_ready: bool,
    /// Our address on the way to the WebSocket's server.
    local: IpAddr,
    /// The UDP sockets are of IPv6, and speak IPv4 too.
    v6: bool,
    /// The server of the open WebSocket, and when the way to it is looked at next.
    route: Option<(SocketAddr, Instant)>,
    dirty: bool,
    timeout: Option<Instant>,
}

impl Driver {
    fn run(&mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            self.take_inbox();
            let now = Instant::now();
            let ids: Vec<u32> = self.slots.iter().filter(|(_, slot)| slot.wants_turn(now)).map(|(id, _)| *id).collect();
            for id in ids {
                self.turn(id);
            }
            if self.ending {
                break;
            }
            let now = Instant::now();
            let wait = self.slots.values().filter_map(|slot| slot.next_turn(now)).min();
            match self.poll.poll(&mut events, wait.map(|at| at.saturating_duration_since(now))) {
                Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                    log::error!("trtc-net: {e}");
                    std::thread::sleep(Duration::from_millis(10));
                }
                _ => {}
            }
            for event in &events {
                self.note(event.token());
            }
        }
    }

    fn note(&mut self, token: Token) {
        if token == WAKE {
            // A resolver may have finished.
            self.slots.values_mut().for_each(|slot| slot.websocket_ready |= slot.websocket.is_some());
        } else if let Some(slot) = self.slots.get_mut(&((token.0 >> 2) as u32)) {
            match token.0 & 3 {
                WEBSOCKET => slot.websocket_ready = true,
                STREAMS => slot.streams.ready = true,
                index => slot.readable[index.min(SOCKETS - 1)] = true,
            }
        }
    }

    fn take_inbox(&mut self) {
        let Inbox { new, woken, found } = std::mem::take(&mut *self.shared.inbox.lock());
        for (id, machine) in new {
            self.slots.insert(id, Slot::new(machine));
        }
        for id in woken {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.dirty = true;
            }
        }
        for (id, found) in found {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.found.push(found);
                slot.dirty = true;
            }
        }
    }

    /// One machine's turn: its sockets, its timers, its wishes.
    fn turn(&mut self, id: u32) {
        let Some(mut slot) = self.slots.remove(&id) else { return };
        let dropped = self.dropped();
        let finished = catch_unwind(AssertUnwindSafe(|| self.guarded_turn(id, &mut slot))).unwrap_or_else(|_| {
            log::error!("trtc-net: a machine panicked and was closed");
            let _ = catch_unwind(AssertUnwindSafe(|| slot.machine.crashed()));
            true
        });
        if !finished {
            slot.dropped += self.dropped() - dropped + std::mem::take(&mut slot.streams.dropped);
            slot.dirty |= slot.dropped > 0;
            self.slots.insert(id, slot);
            return;
        }
        if let Some(mut websocket) = slot.websocket.take() {
            websocket.close(self.poll.registry());
        }
        slot.streams.close(self.poll.registry());
        // The host's sink may die with the machine: foreign code again.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
        let mut global = GLOBAL.lock();
        global.machines -= 1;
        self.ending = global.machines == 0;
        drop(global);
        IDLE.notify_all();
    }

    fn guarded_turn(&mut self, id: u32, slot: &mut Slot) -> bool {
        slot.dirty = false;
        slot.check_route(Instant::now());
        for index in 0..SOCKETS {
            self.receive(slot, index);
        }
        drive_streams(slot, self.poll.registry());
        for found in std::mem::take(&mut slot.found) {
            slot.found(found);
        }
        if slot.dropped > 0 {
            slot.machine.input(Instant::now(), Input::Dropped(std::mem::take(&mut slot.dropped)));
        }
        let websocket_due =
            slot.websocket.as_ref().and_then(WebSocket::deadline).is_some_and(|at| at <= Instant::now());
        slot.websocket_ready |= websocket_due;
        let mut actions = Vec::new();
        // Opening a socket answers at once, and the answer may cause the next action.
        for _ in 0..8 {
            if std::mem::take(&mut slot.websocket_ready) {
                drive_websocket(slot, self.poll.registry(), id);
            }
            slot.timeout = slot.machine.advance(Instant::now(), &mut actions);
            let mut again = false;
            let mut closed = false;
            for action in actions.drain(..) {
                closed |= matches!(action, NetAction::Closed);
                again |= self.act(id, slot, action);
            }
            self.flush(slot);
            if closed {
                if std::mem::take(&mut slot.websocket_ready) {
                    drive_websocket(slot, self.poll.registry(), id);
                }
                return true;
            }
            if !again {
                return false;
            }
        }
        slot.dirty = true;
        false
    }

    fn receive(&mut self, slot: &mut Slot, index: usize) {
        let Some(socket) = slot.udp[index].as_ref().filter(|_| slot.readable[index]) else {
            slot.readable[index] = false;
            return;
        };
        let machine = &slot.machine;
        for _ in 0..BATCHES_PER_TURN {
            let now = Instant::now();
            let taken = self
                .receiver
                .receive(socket, |from, _, data| machine.input(now, Input::Datagram { socket: index, from, data }));
            if taken.unwrap_or(0) < BATCH {
                slot.readable[index] = false;
                return;
            }
        }
    }

    /// Datagrams that no UDP socket took.
    fn dropped(&self) -> u64 {
        self.queues.iter().map(|queue| queue.counters.dropped).sum()
    }

    /// Lets go what was queued.
    fn flush(&mut self, slot: &mut Slot) {
        for (queue, udp) in self.queues.iter_mut().zip(&slot.udp) {
            udp.iter().for_each(|udp| queue.flush(udp));
        }
        drive_streams(slot, self.poll.registry());
    }

    /// Returns whether the machine must be asked again.
    fn act(&mut self, id: u32, slot: &mut Slot, action: NetAction) -> bool {
        let registry = self.poll.registry();
        match action {
            NetAction::Send { socket, to, data } if Way::of(to) != Way::Udp => {
                slot.streams.push(registry, Token((id as usize) << 2 | STREAMS), socket, to, &data);
                false
            }
            NetAction::Send { socket, to, data } => {
                if let Some((udp, queue)) =
                    slot.udp.get(socket).and_then(Option::as_ref).zip(self.queues.get_mut(socket))
                {
                    let to = if slot.v6 { mapped(to) } else { to };
                    queue.push(udp, to, |out| out.extend_from_slice(&data));
                }
                false
            }
            NetAction::OpenUdp => {
                // The farewells of the old peers belong to the old sockets.
                self.flush(slot);
                slot.streams.close(self.poll.registry());
                let opened = open_udp(slot, self.poll.registry(), id);
                slot.machine.input(Instant::now(), Input::UdpOpened(opened));
                true
            }
            NetAction::FindServer { tag, host, port, way } if host.parse::<IpAddr>().is_ok() => {
                slot.found(Found::look_up(tag, host, port, way));
                true
            }
            NetAction::FindServer { tag, host, port, way } => {
                let (shared, name) = (self.shared.clone(), host.clone());
                let started = lookup::start(move || {
                    let found = Found::look_up(tag, name, port, way);
                    shared.inbox.lock().found.push((id, found));
                    let _ = shared.waker.wake();
                });
                let refused = started.is_err();
                if refused {
                    slot.found(Found { tag, host, address: None });
                }
                refused
            }
            NetAction::OpenWebSocket { base, path_and_query, token } => {
                slot.route = None;
                if let Some(mut old) = slot.websocket.take() {
                    old.close(registry);
                }
                let (now, url) = (Instant::now(), base.websocket(&path_and_query));
                match WebSocket::open(&base, &url, &token, now, &self.shared.waker) {
                    Ok(websocket) => {
                        slot.websocket = Some(websocket);
                        slot.websocket_ready = true;
                    }
                    Err(reason) => slot.machine.input(now, Input::SocketFailed { status: None, body: &reason }),
                }
                true
            }
            NetAction::CloseWebSocket => {
                slot.route = None;
                if let Some(mut old) = slot.websocket.take() {
                    old.close(registry);
                }
                false
            }
            NetAction::SendWebSocket(message) => {
                if let Some(websocket) = &mut slot.websocket {
                    websocket.send(message);
                    slot.websocket_ready = true;
                }
                true
            }
            NetAction::Closed => false,
        }
    }
}

impl Slot {
    fn new(machine: Arc<dyn Machine>) -> Self {
        Self {
            machine,
            udp: [const { None }; SOCKETS],
            readable: [false; SOCKETS],
            streams: Streams::default(),
            found: Vec::new(),
            dropped: 0,
            websocket: None,
            websocket_ready: false,
            local: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            v6: false,
            route: None,
            dirty: true,
            timeout: None,
        }
    }

    fn wants_turn(&self, now: Instant) -> bool {
        self.next_turn(now).is_some_and(|at| at <= now)
    }

    fn next_turn(&self, now: Instant) -> Option<Instant> {
        if self.dirty || self.websocket_ready || self.streams.ready || self.readable.contains(&true) {
            return Some(now);
        }
        let websocket = self.websocket.as_ref().and_then(WebSocket::deadline);
        [self.timeout, websocket, self.route.map(|(_, at)| at)].into_iter().flatten().min()
    }

    fn found(&mut self, Found { tag, host, address }: Found) {
        if let Some(address) = address {
            self.streams.name(address, host);
        }
        self.machine.input(Instant::now(), Input::ServerFound { tag, address });
    }

    /// No route at all is no other route: the network may come back as it was.
    fn check_route(&mut self, now: Instant) {
        let Some((server, at)) = self.route.filter(|(_, at)| *at <= now) else { return };
        if source_address(server).is_some_and(|ip| ip != self.local) {
            self.route = None;
            self.machine.input(now, Input::NetworkChanged);
        } else {
            self.route = Some((server, at.max(now) + ROUTE_CHECK));
        }
    }
}
