//! TCP and TLS connections. axum's own loop has no deadline for request heads, no limit of connections, and does not tell what
//! it refused.
use crate::metrics::Metrics;
use crate::registry::Shared;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use socket2::SockRef;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use trtc_net::batch::network_of;

/// Longest request head: a token of 60,000 bytes in the path or in a header, and all the rest.
const HEAD_MAX_BYTES: usize = 128 * 1024;

/// What the system keeps for a client that does not read (twice that on Linux); by itself it would be megabytes, out of sight
/// of the bounds of outboxes.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Serves until it is aborted; connections live on.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, router: Router, tls: Option<TlsAcceptor>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(shared.config.request_timeout).max_buf_size(HEAD_MAX_BYTES);
    let service = TowerToHyperService::new(router);
    let places = Arc::new(Places::new(shared.config.connections, shared.config.connections_per_address));
    loop {
        let (tcp, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                // Mostly no file descriptor is left; some come back soon.
                log::warn!("cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = places.take(from.ip()) else {
            Metrics::add(&shared.metrics.connections_refused);
            continue;
        };
        Metrics::add(&shared.metrics.connections);
        // Small messages must not wait for one another.
        let _ = tcp.set_nodelay(true);
        let _ = SockRef::from(&tcp).set_send_buffer_size(SEND_BUFFER_BYTES);
        let (http, service, shared, tls) = (http.clone(), service.clone(), shared.clone(), tls.clone());
        tokio::spawn(async move {
            let wire = match tls {
                None => Wire::Plain(tcp),
                Some(tls) => match timeout(shared.config.request_timeout, tls.accept(tcp)).await {
                    Ok(Ok(stream)) => Wire::Tls(Box::new(stream)),
                    _ => return Metrics::add(&shared.metrics.tls_failures),
                },
            };
            let stream = TokioIo::new(Placed { wire, _place: place });
            match http.serve_connection(stream, service).with_upgrades().await {
                Err(e) if e.is_timeout() => Metrics::add(&shared.metrics.http_timeouts),
                Err(e) if e.is_parse() => Metrics::add(&shared.metrics.bad_requests),
                Err(e) => log::debug!("HTTP connection ended: {e}"),
                Ok(()) => {}
            }
        });
    }
}

/// Connections that may still come.
struct Places {
    total: usize,
    per_address: usize,
    taken: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// One of them, given back when the connection ends.
struct Place {
    places: Arc<Places>,
    network: IpAddr,
}

impl Places {
    fn new(total: usize, per_address: usize) -> Self {
        Self { total, per_address, taken: Mutex::default() }
    }

    fn take(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let network = network_of(from);
        let (all, networks) = &mut *self.taken.lock();
        let here = networks.get(&network).copied().unwrap_or(0);
        // A proxy on this machine is many clients.
        if *all >= self.total || (here >= self.per_address && !network.is_loopback()) {
            return None;
        }
        *all += 1;
        networks.insert(network, here + 1);
        Some(Place { places: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (all, networks) = &mut *self.places.taken.lock();
        *all -= 1;
        if let Some(here) = networks.get_mut(&self.network) {
            *here -= 1;
            if *here == 0 {
                networks.remove(&self.network);
            }
        }
    }
}

/// A connection that knows its place, also after it became a WebSocket.
struct Placed {
    wire: Wire,
    _place: Place,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The same call on whatever the wire is.
macro_rules! on_wire {
    ($self:ident, $call:ident($($argument:expr),*)) => {
        match &mut $self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).$call($($argument),*),
            Wire::Tls(stream) => Pin::new(stream).$call($($argument),*),
        }
    };
}

impl AsyncRead for Placed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Placed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_wire!(self, poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_wire!(self, poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_come_back() {
        let places = Arc::new(Places::new(4, 2));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (a, b) = (places.take(ip("192.0.2.1")), places.take(ip("::ffff:192.0.2.1")));
        assert!(a.is_some() && b.is_some() && places.take(ip("192.0.2.1")).is_none(), "both ways to write it are one");
        drop(a);
        let again = places.take(ip("192.0.2.1"));
        assert!(again.is_some());
        // A host has a network of 64 bits to choose addresses from.
        let (c, d) = (places.take(ip("2001:db8::1")), places.take(ip("2001:db8::ffff:1")));
        assert!(c.is_some() && d.is_some() && places.take(ip("192.0.2.7")).is_none(), "four in all");
        drop((b, again, c, d));
        let local: Vec<_> = (0..4).map(|_| places.take(ip("127.0.0.1"))).collect();
        assert!(local.iter().all(Option::is_some));
        drop(local);
        assert!(places.taken.lock().1.is_empty());
    }
}
