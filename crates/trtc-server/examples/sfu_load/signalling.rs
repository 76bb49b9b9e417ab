//! How clients and a server agree on connections: directly with a media thread of this process, or as the servers' own clients do.
use std::io;
use trtc_types::MediaKind;

/// The media of a room, in the order of its sections.
pub(crate) const KINDS: [MediaKind; 2] = [MediaKind::Video, MediaKind::Audio];

/// One connection's way to its server.
pub(crate) trait Signalling {
    /// What the server said next; `None`: nothing for now.
    fn poll(&mut self) -> io::Result<Option<Told>>;
    /// Our offer.
    fn offer(&mut self, sdp: String) -> io::Result<()>;
    /// Our answer to the server's offer of this number.
    fn answer(&mut self, sdp: String, id: u32) -> io::Result<()>;
}

/// What a server says.
pub(crate) enum Told {
    /// To be answered with this number.
    Offer { sdp: String, id: u32 },
    /// To our only offer.
    Answer { sdp: String },
    /// A candidate of the server.
    Candidate(String),
}

/// A server with one room.
pub(crate) trait Server {
    /// The publisher's way in; `None`: this server takes plain RTP, see [`Server::plain`].
    fn publisher(&mut self) -> io::Result<Option<Box<dyn Signalling>>>;
    /// The next subscriber's way in; it receives both tracks.
    fn subscriber(&mut self) -> io::Result<Box<dyn Signalling>>;
    /// Where plain RTP goes.
    fn plain(&self, _kind: MediaKind) -> Option<std::net::SocketAddr> {
        None
    }
    /// Keeps the server's sessions alive.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }
}
