//! DTLS 1.2 over `dimpl`: an even retry rhythm, restarts, keying material.
use crate::identity::{Identity, fingerprint};
use crate::srtp::Profile;
use bytes::Bytes;
use dimpl::{Output, SrtpProfile};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trtc_types::{Code, Error, Result};

const FIRST_RETRY: Duration = Duration::from_millis(50);
/// Towards one that insists on its part, as FFmpeg's WHIP muxer does: it looks for datagrams every 50 ms, and one with GnuTLS
/// never returns from a flight that comes twice (seen with FFmpeg 8.1 in PyAV 18.1).
const FIRST_RETRY_PATIENT: Duration = Duration::from_millis(250);
/// dimpl doubles its retry interval without a limit; here it is capped by running its clock ahead.
const MAX_RETRY: Duration = Duration::from_millis(400);
/// Once dimpl's own interval has passed `QUICK` (some 16 retries, 6 s) the rhythm is slower. Together it is half a
/// minute: other stacks wait 1, 2, 4, 8 s between their tries, and most cannot follow a handshake that starts anew.
const SLOW_RETRY: Duration = Duration::from_secs(2);
const QUICK: Duration = Duration::from_secs(3600);
const RETRIES: usize = 27;
/// Longer than any retry interval (50 ms x 1.25 x 2^27 is 97 days): a timer beyond it is not a retry.
const IDLE: Duration = Duration::from_secs(365 * 86_400);
/// A client that is not through by then starts anew.
const CLIENT_DEADLINE: Duration = Duration::from_secs(20);
/// When the server's last flight is first repeated, and how often at twice the interval each.
const FIRST_REPEAT: Duration = Duration::from_millis(250);
const REPEATS: u32 = 5;
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
const MAX_RESTARTS: u32 = 64;
/// handshake_failure in plain text: the other side has to start anew.
const FATAL_ALERT: [u8; 15] = [21, 254, 253, 0, 0, 0, 0, 0, 0, 255, 255, 0, 2, 2, 40];
const MAX_QUEUE: usize = 1024;
const POLL_BUFFER: usize = 4096;

/// Settings of handshakes; building them tests the cryptographic library.
pub(crate) struct Configs {
    quick: Arc<dimpl::Config>,
    patient: Arc<dimpl::Config>,
}

impl Configs {
    pub fn new() -> Result<Self> {
        Ok(Self { quick: config(FIRST_RETRY)?, patient: config(FIRST_RETRY_PATIENT)? })
    }
}

/// Our part in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Server,
    Client,
    /// Towards one that offered to be the server.
    PatientClient,
    /// Towards one that offered to be the client and left no choice.
    PatientServer,
}

impl Part {
    pub fn is_client(self) -> bool {
        matches!(self, Self::Client | Self::PatientClient)
    }

    /// FFmpeg's WHIP muxer insists on its part.
    fn is_patient(self) -> bool {
        matches!(self, Self::PatientClient | Self::PatientServer)
    }
}

fn config(first_retry: Duration) -> Result<Arc<dimpl::Config>> {
    dimpl::Config::builder()
        .mtu(1150)
        .use_server_cookie(false)
        .flight_start_rto(first_retry)
        .flight_retries(RETRIES)
        .handshake_timeout(IDLE * 5)
        .build()
        .map(Arc::new)
        .map_err(|error| Error::new(Code::FAILED, format!("DTLS configuration: {error:?}")))
}

/// What a handshake led to.
#[derive(Debug)]
pub(crate) enum DtlsEvent {
    /// Done. The caller must compare the fingerprint before it uses anything.
    Connected { fingerprint: String, keys: Option<(Profile, Vec<u8>)> },
    /// Decrypted application data.
    Data(Bytes),
    /// close_notify
    Closed,
    /// No attempt succeeded.
    Failed(String),
}

/// One DTLS association; may start its handshake anew.
pub(crate) struct Dtls {
    identity: Arc<Identity>,
    inner: Box<dimpl::Dtls>,
    part: Part,
    state: State,
    /// How far dimpl's clock runs ahead.
    skew: Duration,
    next: Option<Instant>,
    attempt_since: Instant,
    restart_at: Option<Instant>,
    restarts: u32,
    /// Random of the ClientHello that the present attempt began with.
    hello: Option<[u8; 32]>,
    /// Something that only a finished client can send has arrived.
    confirmed: bool,
    last_flight: Option<LastFlight>,
    peer: String,
    keys: Option<(Profile, Vec<u8>)>,
    out: VecDeque<Bytes>,
    events: VecDeque<DtlsEvent>,
    pub errors: u64,
    pub dropped: u64,
}

/// What the server said last. Nobody acknowledges it, and a client that missed it asks again only after its own timer
/// (1 s and more, few times); so it is repeated until the client shows that it has the keys. Not towards a client that insists
/// on its part: FFmpeg's reads from its socket without a limit, and so sends nothing, once DTLS comes after the handshake.
struct LastFlight {
    datagrams: Vec<Bytes>,
    at: Instant,
    repeats: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Handshake,
    Connected,
    Closed,
}

impl Dtls {
    pub fn new(identity: Arc<Identity>, now: Instant, part: Part) -> Self {
        let inner = start(&identity, now, part);
        let mut dtls = Self {
            identity,
            inner,
            part,
            state: State::Handshake,
            skew: Duration::ZERO,
            next: None,
            attempt_since: now,
            restart_at: None,
            restarts: 0,
            hello: None,
            confirmed: false,
            last_flight: None,
            peer: String::new(),
            keys: None,
            out: VecDeque::new(),
            events: VecDeque::new(),
            errors: 0,
            dropped: 0,
        };
        dtls.step(now);
        dtls
    }

    pub fn is_client(&self) -> bool {
        self.part.is_client()
    }

    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    pub fn restarts(&self) -> u64 {
        u64::from(self.restarts)
    }

    /// The other side uses the keys: it has finished, and its old ClientHello cannot start anything any more.
    pub fn confirm(&mut self) {
        self.confirmed = true;
        self.last_flight = None;
    }

    pub fn feed(&mut self, now: Instant, datagram: &[u8]) {
        if self.state == State::Closed || self.restart_at.is_some() {
            return;
        }
        if !self.is_client() && !self.confirmed {
            self.notice_new_client(now, datagram);
            if self.restarts > 0 && self.hello.is_none() && !is_client_hello(datagram) {
                // it goes on with a handshake that we have forgotten
                return self.emit(Bytes::from_static(&FATAL_ALERT));
            }
        }
        self.step(now);
        if self.state == State::Closed || self.restart_at.is_some() {
            return;
        }
        if let Err(error) = self.inner.handle_packet(datagram) {
            self.errors += 1;
            self.refused(now, &format!("{error:?}"));
        }
        self.drain(now);
    }

    /// Encrypts; the datagrams come out of [`Self::poll_send`].
    pub fn send(&mut self, now: Instant, data: &[u8]) {
        if self.state == State::Connected {
            if self.inner.send_application_data(data).is_err() {
                self.errors += 1;
            }
            self.drain(now);
        }
    }

    pub fn close(&mut self, now: Instant) {
        if self.state != State::Closed {
            let _ = self.inner.close();
            self.drain(now);
            self.state = State::Closed;
        }
    }

    pub fn timeout(&self) -> Option<Instant> {
        if self.state == State::Closed {
            return None;
        }
        let deadline = self.client_deadline().filter(|_| self.restart_at.is_none());
        let retry = self.next.filter(|_| self.restart_at.is_none());
        let repeat = self.last_flight.as_ref().map(|flight| flight.at);
        [self.restart_at, deadline, retry, repeat].into_iter().flatten().min()
    }

    pub fn tick(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        let late = self.client_deadline().is_some_and(|at| at <= now);
        if late || self.restart_at.is_some_and(|at| at <= now) {
            self.restart(now, "deadline");
        } else if self.restart_at.is_none() && self.next.is_some_and(|at| at <= now) {
            self.step(now);
        }
        if let Some(flight) = self.last_flight.take_if(|flight| flight.at <= now) {
            self.repeat(now, flight);
        }
    }

    pub fn poll_send(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    fn client_deadline(&self) -> Option<Instant> {
        (self.is_client() && self.state == State::Handshake).then(|| self.attempt_since + CLIENT_DEADLINE)
    }

    fn step(&mut self, now: Instant) {
        if let Err(error) = self.inner.handle_timeout(now + self.skew) {
            self.refused(now, &format!("{error:?}"));
        }
        self.drain(now);
    }

    /// In a handshake every error is fatal to the attempt; afterwards it is only counted.
    fn refused(&mut self, now: Instant, reason: &str) {
        log::debug!("DTLS refused: {reason}");
        if self.state != State::Handshake {
            return;
        }
        if self.is_client() {
            self.restart_at = Some(now + PAUSE_AFTER_ERROR);
            self.next = None;
        } else {
            self.restart(now, reason);
        }
    }

    /// A client that started anew has a new random in its hello; dimpl's server would stay with the old one.
    fn notice_new_client(&mut self, now: Instant, datagram: &[u8]) {
        let Some(random) = hello_random(datagram) else { return };
        if self.hello.is_some_and(|known| known != random) {
            self.restart(now, "new ClientHello");
        }
        self.hello = Some(random);
    }

    fn restart(&mut self, now: Instant, reason: &str) {
        self.restarts += 1;
        self.restart_at = None;
        if self.restarts > MAX_RESTARTS {
            self.state = State::Closed;
            self.events.push_back(DtlsEvent::Failed(format!("DTLS: {reason}, attempt {}", self.restarts)));
            return;
        }
        self.inner = start(&self.identity, now, self.part);
        self.state = State::Handshake;
        self.skew = Duration::ZERO;
        self.attempt_since = now;
        self.hello = None;
        self.keys = None;
        self.last_flight = None;
        self.step(now);
    }

    fn repeat(&mut self, now: Instant, mut flight: LastFlight) {
        flight.datagrams.iter().cloned().for_each(|datagram| self.emit(datagram));
        flight.repeats += 1;
        flight.at = now + FIRST_REPEAT * (1 << flight.repeats);
        self.last_flight = Some(flight).filter(|flight| flight.repeats < REPEATS);
    }

    fn emit(&mut self, datagram: Bytes) {
        if self.out.len() < MAX_QUEUE {
            self.out.push_back(datagram);
        } else {
            self.dropped += 1;
        }
    }

    /// dimpl is consistent only after a full drain.
    fn drain(&mut self, now: Instant) {
        let mut buffer = [0u8; POLL_BUFFER];
        let mut large = Vec::new();
        let mut connected = false;
        let sent = self.out.len();
        loop {
            let buffer = if large.is_empty() { &mut buffer[..] } else { &mut large[..] };
            match self.inner.poll_output(buffer) {
                Output::Packet(packet) => self.emit(Bytes::copy_from_slice(packet)),
                Output::BufferTooSmall { needed } => large.resize(needed.max(POLL_BUFFER), 0),
                Output::Timeout(at) => {
                    self.plan(now, at);
                    break;
                }
                Output::Connected => connected = true,
                Output::PeerCert(der) => self.peer = fingerprint(der),
                Output::KeyingMaterial(keys, profile) => {
                    self.keys = known_profile(profile).map(|profile| (profile, keys.to_vec()));
                }
                Output::ApplicationData(data) => {
                    self.confirm();
                    self.events.push_back(DtlsEvent::Data(Bytes::copy_from_slice(data)));
                }
                Output::CloseNotify => {
                    self.state = State::Closed;
                    self.events.push_back(DtlsEvent::Closed);
                }
                _ => {}
            }
        }
        if connected && self.state == State::Handshake {
            self.state = State::Connected;
            self.next = None;
            if self.part == Part::Server && !self.confirmed {
                let datagrams = self.out.range(sent..).cloned().collect();
                self.last_flight = Some(LastFlight { datagrams, at: now + FIRST_REPEAT, repeats: 0 });
            }
            // in front of application data that came with the same datagram
            let fingerprint = self.peer.clone();
            self.events.push_front(DtlsEvent::Connected { fingerprint, keys: self.keys.take() });
        }
    }

    /// Plans the next retry by our rhythm instead of dimpl's.
    fn plan(&mut self, now: Instant, at: Instant) {
        let ahead = at.saturating_duration_since(now + self.skew);
        if self.state != State::Handshake || ahead > IDLE {
            self.next = None;
            return;
        }
        let interval = ahead.min(if ahead < QUICK { MAX_RETRY } else { SLOW_RETRY });
        self.skew += ahead - interval;
        self.next = Some(now + interval);
    }
}

fn start(identity: &Identity, now: Instant, part: Part) -> Box<dimpl::Dtls> {
    let config = if part.is_patient() { &identity.dtls.patient } else { &identity.dtls.quick };
    let mut dtls = dimpl::Dtls::new_12(config.clone(), identity.certificate.clone(), now);
    if part.is_client() {
        dtls.set_active(true);
    }
    Box::new(dtls)
}

fn known_profile(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::AeadAes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::AeadAes256Gcm),
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::Aes128CmSha1_80),
        #[allow(unreachable_patterns)]
        _ => None,
    }
}

/// Sizes of the headers of a record and of a handshake message (RFC 6347 4.1, 4.2.2).
const RECORD: usize = 13;
const HANDSHAKE: usize = 12;

/// Begins with a fragment of an unencrypted ClientHello.
fn is_client_hello(datagram: &[u8]) -> bool {
    datagram.first() == Some(&22) && datagram.get(3..5) == Some(&[0, 0]) && datagram.get(RECORD) == Some(&1)
}

/// The random of a ClientHello's first fragment.
fn hello_random(datagram: &[u8]) -> Option<[u8; 32]> {
    let is_first = datagram.get(RECORD + 6..RECORD + 9)? == [0, 0, 0];
    (is_client_hello(datagram) && is_first).then_some(())?;
    let at = RECORD + HANDSHAKE + 2;
    datagram.get(at..at + 32)?.try_into().ok()
}
