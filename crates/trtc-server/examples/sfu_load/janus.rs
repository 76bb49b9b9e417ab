//! Janus: its streaming plugin takes plain RTP and offers it to whoever watches. All watchers are handles of one session on one
//! WebSocket (<https://janus.conf.meetecho.com/docs/rest.html>, <https://janus.conf.meetecho.com/docs/streaming.html>).
use crate::signalling::{Server, Signalling, Told};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};
use trtc_types::MediaKind;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// The stream of the configuration that the bench writes.
const MOUNTPOINT: u64 = 1;
/// Half of the session time-out that Janus has by default.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// One session with the server.
pub(crate) struct Janus {
    link: Rc<RefCell<Link>>,
    plain: BTreeMap<&'static str, SocketAddr>,
    next_keep_alive: Instant,
}

/// The WebSocket, and what came over it for which handle.
struct Link {
    socket: WebSocket<TcpStream>,
    session: u64,
    transactions: u64,
    offers: BTreeMap<u64, VecDeque<String>>,
}

/// A watcher.
struct Watcher {
    link: Rc<RefCell<Link>>,
    handle: u64,
}

impl Janus {
    /// Connects; `video` and `audio` are the ports of the mountpoint.
    pub(crate) fn connect(address: SocketAddr, video: SocketAddr, audio: SocketAddr) -> io::Result<Self> {
        let mut request = format!("ws://{address}/").into_client_request().map_err(io::Error::other)?;
        let protocol = "janus-protocol".parse().map_err(io::Error::other)?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (socket, _) = tungstenite::client(request, stream).map_err(|e| io::Error::other(e.to_string()))?;
        let mut link = Link { socket, session: 0, transactions: 0, offers: BTreeMap::new() };
        link.session = link.created(json!({ "janus": "create" }))?;
        Ok(Self {
            link: Rc::new(RefCell::new(link)),
            plain: BTreeMap::from([("camera", video), ("microphone", audio)]),
            next_keep_alive: Instant::now() + KEEP_ALIVE,
        })
    }
}

impl Server for Janus {
    fn publisher(&mut self) -> io::Result<Option<Box<dyn Signalling>>> {
        Ok(None)
    }

    fn subscriber(&mut self) -> io::Result<Box<dyn Signalling>> {
        let mut link = self.link.borrow_mut();
        let handle = link.created(json!({ "janus": "attach", "plugin": "janus.plugin.streaming" }))?;
        link.offers.insert(handle, VecDeque::new());
        link.say(json!({ "janus": "message", "handle_id": handle, "body": { "request": "watch", "id": MOUNTPOINT } }))?;
        Ok(Box::new(Watcher { link: self.link.clone(), handle }))
    }

    fn plain(&self, kind: MediaKind) -> Option<SocketAddr> {
        self.plain.get(crate::source::cid(kind)).copied()
    }

    fn tick(&mut self) -> io::Result<()> {
        let mut link = self.link.borrow_mut();
        if self.next_keep_alive <= Instant::now() {
            self.next_keep_alive += KEEP_ALIVE;
            link.say(json!({ "janus": "keepalive" }))?;
        }
        link.socket.get_ref().set_nonblocking(true)?;
        while let Some(message) = link.hear()? {
            link.sort(&message)?;
        }
        link.socket.get_ref().set_nonblocking(false)
    }
}

impl Link {
    fn say(&mut self, mut message: Value) -> io::Result<()> {
        self.transactions += 1;
        message["transaction"] = json!(self.transactions.to_string());
        if self.session != 0 {
            message["session_id"] = json!(self.session);
        }
        self.socket.send(Message::Text(message.to_string().into())).map_err(|e| io::Error::other(e.to_string()))
    }

    /// Asks for a session or a handle; its number.
    fn created(&mut self, request: Value) -> io::Result<u64> {
        self.say(request)?;
        let transaction = self.transactions.to_string();
        loop {
            let message = self.hear()?.ok_or_else(|| io::Error::other("janus did not answer"))?;
            if message["transaction"] == transaction {
                return message["data"]["id"].as_u64().ok_or_else(|| io::Error::other(message.to_string()));
            }
            self.sort(&message)?;
        }
    }

    fn hear(&mut self) -> io::Result<Option<Value>> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(Some(serde_json::from_str(&text)?)),
                Ok(_) => {}
                Err(tungstenite::Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(io::Error::other(e.to_string())),
            }
        }
    }

    fn sort(&mut self, message: &Value) -> io::Result<()> {
        if message["janus"] == "error" || message["plugindata"]["data"]["error"].is_string() {
            return Err(io::Error::other(message.to_string()));
        }
        if message["jsep"]["type"] == "offer"
            && let (Some(handle), Some(sdp)) = (message["sender"].as_u64(), message["jsep"]["sdp"].as_str())
        {
            self.offers.entry(handle).or_default().push_back(sdp.to_owned());
        }
        Ok(())
    }
}

impl Signalling for Watcher {
    fn poll(&mut self) -> io::Result<Option<Told>> {
        let mut link = self.link.borrow_mut();
        let offer = link.offers.get_mut(&self.handle).and_then(VecDeque::pop_front);
        Ok(offer.map(|sdp| Told::Offer { sdp, id: 0 }))
    }

    fn offer(&mut self, _: String) -> io::Result<()> {
        Err(io::Error::other("a watcher does not offer"))
    }

    fn answer(&mut self, sdp: String, _: u32) -> io::Result<()> {
        let mut link = self.link.borrow_mut();
        let jsep = json!({ "type": "answer", "sdp": sdp });
        link.say(json!({ "janus": "message", "handle_id": self.handle, "body": { "request": "start" }, "jsep": jsep }))
    }
}
