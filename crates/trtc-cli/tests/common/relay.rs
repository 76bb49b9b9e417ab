//! A bad path: a UDP relay in front of a server that loses, reorders and delays datagrams in both directions.
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What happens to datagrams of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    pub loss_percent: f64,
    /// Every so many datagrams one is overtaken by the three behind it; 0 for never.
    pub overtaken_every: u64,
    pub delay: Duration,
    /// The delay wanders between `delay` and `delay + jitter`, without reordering.
    pub jitter: Duration,
}

/// How much later than wanted the relay itself may be: a run beyond it says nothing about the call.
pub const LATENESS_MAX: Duration = Duration::from_millis(5);
const OVERTAKERS: u64 = 3;
/// A datagram that nobody overtakes goes on after this time.
const OVERTAKEN_WAIT: Duration = Duration::from_millis(30);
const DATAGRAM_MAX: usize = 2048;

/// Runs until dropped.
pub struct Relay {
    stop: Arc<AtomicBool>,
    figures: Arc<Figures>,
    threads: Vec<JoinHandle<()>>,
}

/// What the relay did.
#[derive(Debug, Default)]
pub struct Figures {
    pub passed: AtomicU64,
    pub lost: AtomicU64,
    pub overtaken: AtomicU64,
    /// Datagrams that left more than [`LATENESS_MAX`] after their time.
    pub late: AtomicU64,
}

struct Datagram {
    arrived: Instant,
    /// The client that it comes from or goes to.
    client: SocketAddr,
    to_server: bool,
    bytes: Vec<u8>,
}

impl Relay {
    /// Datagrams of clients go to `server` from one socket per client.
    pub fn start(listen: UdpSocket, server: SocketAddr, path: Path, seed: u64) -> Self {
        let (stop, figures) = (Arc::new(AtomicBool::new(false)), Arc::new(Figures::default()));
        let (to_scheduler, arrivals) = channel();
        let listen = Arc::new(listen);
        listen.set_read_timeout(Some(Duration::from_millis(50))).expect("timeout");
        let receive = {
            let (listen, stop) = (listen.clone(), stop.clone());
            let to_scheduler = to_scheduler.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; DATAGRAM_MAX];
                while !stop.load(Ordering::Relaxed) {
                    let Ok((len, client)) = listen.recv_from(&mut buffer) else { continue };
                    let bytes = buffer[..len].to_vec();
                    let _ = to_scheduler.send(Datagram { arrived: Instant::now(), client, to_server: true, bytes });
                }
            })
        };
        let schedule = {
            let (stop, figures) = (stop.clone(), figures.clone());
            std::thread::spawn(move || {
                Scheduler::new(listen, server, path, seed, figures).run(&arrivals, &to_scheduler, &stop)
            })
        };
        Self { stop, figures, threads: vec![receive, schedule] }
    }

    pub fn figures(&self) -> &Figures {
        &self.figures
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One direction of one client.
#[derive(Default)]
struct Lane {
    count: u64,
    wander_us: i64,
    last_due: Option<Instant>,
    /// The overtaken datagram, and how many have passed it.
    held: Option<(Datagram, u64)>,
}

struct Scheduler {
    listen: Arc<UdpSocket>,
    server: SocketAddr,
    path: Path,
    random: u64,
    figures: Arc<Figures>,
    upstream: HashMap<SocketAddr, Arc<UdpSocket>>,
    lanes: HashMap<(SocketAddr, bool), Lane>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    waiting: HashMap<u64, Datagram>,
    order: u64,
}

impl Scheduler {
    fn new(listen: Arc<UdpSocket>, server: SocketAddr, path: Path, seed: u64, figures: Arc<Figures>) -> Self {
        Self {
            listen,
            server,
            path,
            random: seed | 1,
            figures,
            upstream: HashMap::new(),
            lanes: HashMap::new(),
            queue: BinaryHeap::new(),
            waiting: HashMap::new(),
            order: 0,
        }
    }

    fn run(mut self, arrivals: &Receiver<Datagram>, arrive: &Sender<Datagram>, stop: &Arc<AtomicBool>) {
        let mut readers = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let until_due = self
                .queue
                .peek()
                .map_or(Duration::from_millis(50), |next| next.0.0.saturating_duration_since(Instant::now()));
            match arrivals.recv_timeout(until_due) {
                Ok(datagram) => {
                    if !self.upstream.contains_key(&datagram.client) {
                        readers.push(self.open_upstream(datagram.client, arrive.clone(), stop.clone()));
                    }
                    self.arrived(datagram);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.send_due();
        }
        readers.into_iter().for_each(|reader: JoinHandle<()>| drop(reader.join()));
    }

    fn open_upstream(&mut self, client: SocketAddr, arrive: Sender<Datagram>, stop: Arc<AtomicBool>) -> JoinHandle<()> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a socket for the client"));
        socket.connect(self.server).expect("server");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("timeout");
        self.upstream.insert(client, socket.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; DATAGRAM_MAX];
            while !stop.load(Ordering::Relaxed) {
                let Ok(len) = socket.recv(&mut buffer) else { continue };
                let bytes = buffer[..len].to_vec();
                let _ = arrive.send(Datagram { arrived: Instant::now(), client, to_server: false, bytes });
            }
        })
    }

    fn arrived(&mut self, datagram: Datagram) {
        if self.chance(self.path.loss_percent) {
            self.figures.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let key = (datagram.client, datagram.to_server);
        let lane = self.lanes.entry(key).or_default();
        lane.count += 1;
        let hold = self.path.overtaken_every > 0 && lane.count.is_multiple_of(self.path.overtaken_every);
        if hold && lane.held.is_none() {
            lane.held = Some((datagram, 0));
            self.figures.overtaken.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.schedule(key, datagram);
        let lane = self.lanes.entry(key).or_default();
        let Some((held, passed)) = &mut lane.held else { return };
        *passed += 1;
        if *passed >= OVERTAKERS || held.arrived.elapsed() > OVERTAKEN_WAIT {
            let Some((mut held, _)) = lane.held.take() else { return };
            // It leaves now; its time of arrival counts for the relay's own lateness only.
            held.arrived = Instant::now();
            self.schedule(key, held);
        }
    }

    fn schedule(&mut self, key: (SocketAddr, bool), datagram: Datagram) {
        let step = self.below(4001) as i64 - 2000;
        let jitter_us = self.path.jitter.as_micros() as i64;
        let lane = self.lanes.entry(key).or_default();
        lane.wander_us = (lane.wander_us + step).clamp(0, jitter_us);
        let due = datagram.arrived + self.path.delay + Duration::from_micros(lane.wander_us as u64);
        let due = lane.last_due.map_or(due, |last| due.max(last));
        lane.last_due = Some(due);
        self.order += 1;
        self.queue.push(Reverse((due, self.order)));
        self.waiting.insert(self.order, datagram);
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((due, order))) = self.queue.peek()
            && due <= now
        {
            self.queue.pop();
            let Some(datagram) = self.waiting.remove(&order) else { continue };
            let sent = match datagram.to_server {
                true => self.upstream.get(&datagram.client).map(|socket| socket.send(&datagram.bytes)),
                false => Some(self.listen.send_to(&datagram.bytes, datagram.client)),
            };
            if matches!(sent, Some(Ok(_))) {
                self.figures.passed.fetch_add(1, Ordering::Relaxed);
            }
            if now - due > LATENESS_MAX {
                self.figures.late.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn chance(&mut self, percent: f64) -> bool {
        (self.below(1_000_000) as f64) < percent * 10_000.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % limit
    }
}
