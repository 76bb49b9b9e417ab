//! Start and stop.
use crate::config::ServerConfig;
use crate::media::{Media, MediaConfig};
use crate::registry::Shared;
use crate::tls::{self, Tls};
use crate::{http, listen, metrics::Metrics};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use trtc_types::{Code, Error, Result};

/// A running server. Dropping it without [`Server::shutdown`] leaves its tasks to the runtime's end.
pub struct Server {
    shared: Arc<Shared>,
    http: SocketAddr,
    tls: Option<Arc<Tls>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Binds both sockets and starts serving on the current tokio runtime.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for unusable keys, `FAILED` when a port cannot be bound.
    pub async fn start(config: ServerConfig) -> Result<Self> {
        config.check_keys()?;
        let tls = config.tls.as_ref().map(Tls::load).transpose().map_err(Error::invalid)?;
        let bind = |what: &str, at: SocketAddr, e: std::io::Error| {
            Error::new(Code::FAILED, format!("cannot bind {what} {at}: {e}"))
        };
        let listener = TcpListener::bind(config.bind_http).await.map_err(|e| bind("HTTP", config.bind_http, e))?;
        let http = listener.local_addr().map_err(|e| bind("HTTP", config.bind_http, e))?;
        let public_candidates = config.public_candidates.clone();
        let media = Media::start(MediaConfig {
            public_candidates,
            tcp: config.tcp,
            stream_limits: config.stream_limits,
            answer_timeout: config.answer_timeout,
            commands_max: config.media_queue,
            ..MediaConfig::new(config.udp)
        })
        .map_err(|e| bind("media", config.udp, e))?;
        let shared = Shared::new(config, media);
        let router = http::router(shared.clone());
        let acceptor = tls.as_ref().map(Tls::acceptor).transpose().map_err(Error::invalid)?;
        let mut tasks = vec![tokio::spawn(listen::serve(listener, shared.clone(), router, acceptor))];
        tasks.extend(tls.clone().map(|tls| tokio::spawn(tls::watch(shared.clone(), tls))));
        Ok(Self { shared, http, tls, tasks })
    }

    /// Where HTTP and WebSocket listen.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// HTTPS and WSS are spoken there.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads the certificate again; a bad one is logged and not used. Without TLS nothing happens.
    pub async fn reload_certificate(&self) {
        if let Some(tls) = self.tls.clone() {
            let shared = self.shared.clone();
            let _ = tokio::task::spawn_blocking(move || tls::reload(&shared, &tls)).await;
        }
    }

    /// Refuses new members with 503 from now on, and returns when the last one has left. Calls go on, and who lost its
    /// connection may resume.
    pub async fn drain(&self) {
        self.shared.start_draining();
        while self.shared.member_count() > 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The UDP port of media.
    #[must_use]
    pub fn udp_port(&self) -> u16 {
        self.shared.media.udp_port()
    }

    /// The TCP port of media.
    #[must_use]
    pub fn tcp_port(&self) -> Option<u16> {
        self.shared.media.tcp_port()
    }

    /// Signalling counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Members in all rooms.
    #[must_use]
    pub fn member_count(&self) -> usize {
        self.shared.member_count()
    }

    /// Sends every member a leave that invites it to come back, closes the sockets (2 s at most) and stops media.
    pub async fn shutdown(self) {
        self.shared.close_rooms().await;
        for _ in 0..100 {
            if self.shared.socket_count() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        let media = self.shared.media.clone();
        let _ = tokio::task::spawn_blocking(move || media.stop()).await;
    }
}
