//! TCP connections that a machine opens for its datagrams: active candidates of RFC 6544, and TURN over TCP. A connection is an
//! address with its [`Way`]; the first STUN message to it opens it, and another one opens it again after it broke.
use crate::frames::{CHUNK, KERNEL_OUTPUT, Output, next_frame, next_turn};
use crate::tls;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use trtc_types::way::{Way, plain};

/// Connections of one machine at the same time: a server chooses the candidates.
const STREAMS_MAX: usize = 16;

/// All connections of one machine.
#[derive(Default)]
pub(crate) struct Streams {
    open: Vec<Stream>,
    /// Names that certificates must bear, by the address that they were resolved to.
    names: Vec<(SocketAddr, String)>,
    scratch: Vec<u8>,
    /// Something may be read or written without waiting.
    pub ready: bool,
    /// Datagrams that found no connection, or no room on it.
    pub dropped: u64,
}

struct Stream {
    /// Index of the UDP socket that it stands beside.
    socket: usize,
    to: SocketAddr,
    wire: tls::Stream,
    connected: bool,
    input: Vec<u8>,
    output: Output,
}

impl Streams {
    /// The server at this address has that name.
    pub fn name(&mut self, address: SocketAddr, host: String) {
        if self.names.len() == STREAMS_MAX {
            self.names.remove(0);
        }
        self.names.push((address, host));
    }

    /// Queues a datagram. One that finds no connection is lost, unless it can open one.
    pub fn push(&mut self, registry: &Registry, token: Token, socket: usize, to: SocketAddr, datagram: &[u8]) {
        let known = self.open.iter().position(|stream| stream.socket == socket && stream.to == to);
        let is_stun = datagram.first().is_some_and(|first| *first < 4);
        if known.is_none() && (!is_stun || self.open.len() >= STREAMS_MAX) {
            self.dropped += 1;
            return;
        }
        let name = self.names.iter().rev().find(|(named, _)| *named == to).map(|(_, name)| name.as_str());
        let at = known.unwrap_or_else(|| match Stream::open(registry, token, socket, to, name) {
            Ok(stream) => {
                self.open.push(stream);
                self.open.len() - 1
            }
            Err(e) => {
                log::debug!("no TCP connection to {}: {e}", plain(to));
                usize::MAX
            }
        });
        // A full queue drops, as a full path does.
        let taken = self.open.get_mut(at).is_some_and(|stream| match Way::of(to) {
            Way::Tcp => stream.output.push_frame(datagram),
            _ => stream.output.push(datagram),
        });
        self.dropped += u64::from(!taken);
        self.ready |= taken;
    }

    /// Writes and reads what can be without waiting; `f` takes what came, with its socket and its sender.
    pub fn drive(&mut self, registry: &Registry, mut f: impl FnMut(usize, SocketAddr, &mut [u8])) {
        self.ready = false;
        let mut at = 0;
        while at < self.open.len() {
            match self.open[at].drive(&mut self.scratch, &mut f) {
                Ok(more) => {
                    self.ready |= more;
                    at += 1;
                }
                Err(e) => {
                    let mut stream = self.open.swap_remove(at);
                    log::debug!("the TCP connection to {} ended: {e}", plain(stream.to));
                    let _ = registry.deregister(stream.wire.tcp());
                }
            }
        }
    }

    /// Closes all.
    pub fn close(&mut self, registry: &Registry) {
        for mut stream in self.open.drain(..) {
            let _ = registry.deregister(stream.wire.tcp());
        }
    }
}

impl Stream {
    fn open(registry: &Registry, token: Token, socket: usize, to: SocketAddr, name: Option<&str>) -> io::Result<Self> {
        // Without a name there is nothing to check a certificate against.
        let name = if Way::of(to) == Way::TurnTls { Some(name.ok_or(ErrorKind::NotFound)?) } else { None };
        let mut tcp = TcpStream::connect(plain(to))?;
        registry.register(&mut tcp, token, Interest::READABLE | Interest::WRITABLE)?;
        let _ = tcp.set_nodelay(true);
        let _ = SockRef::from(&tcp).set_send_buffer_size(KERNEL_OUTPUT);
        let wire = match name {
            Some(name) => tls::Stream::secure(name, tcp)?,
            None => tls::Stream::Plain(tcp),
        };
        Ok(Self { socket, to, wire, connected: false, input: Vec::new(), output: Output::default() })
    }

    /// Returns whether more may be there to read.
    fn drive(&mut self, scratch: &mut Vec<u8>, f: &mut impl FnMut(usize, SocketAddr, &mut [u8])) -> io::Result<bool> {
        if !self.connected {
            if let Some(error) = self.wire.tcp().take_error()? {
                return Err(error);
            }
            match self.wire.peer_addr() {
                Ok(_) => self.connected = true,
                Err(e) if e.kind() == ErrorKind::NotConnected => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        let handshaking = self.wire.is_handshaking();
        self.write()?;
        scratch.clear();
        scratch.append(&mut self.input);
        let have = scratch.len();
        scratch.resize(have + CHUNK, 0);
        let taken = self.wire.read(&mut scratch[have..]);
        if handshaking && !self.wire.is_handshaking() {
            self.write()?;
        }
        let count = match taken {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::WouldBlock || e.kind() == ErrorKind::Interrupted => {
                self.input.extend_from_slice(&scratch[..have]);
                return Ok(e.kind() == ErrorKind::Interrupted);
            }
            Err(e) => return Err(e),
        };
        scratch.truncate(have + count);
        let next = if Way::of(self.to) == Way::Tcp { next_frame } else { next_turn };
        let mut used = 0;
        while let Some(frame) = next(scratch, used).map_err(|()| io::Error::from(ErrorKind::InvalidData))? {
            used = frame.end;
            if !frame.is_empty() {
                f(self.socket, self.to, &mut scratch[frame]);
            }
        }
        self.input.extend_from_slice(&scratch[used..]);
        Ok(true)
    }

    /// TLS may hold back what it was given.
    fn write(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.output.write(&mut self.wire)?;
        }
        match self.wire.flush() {
            Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
            _ => Ok(()),
        }
    }
}
