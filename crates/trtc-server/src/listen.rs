//! HTTP connections. axum's own loop has no deadline for request heads and does not tell what it refused.
use crate::metrics::Metrics;
use crate::registry::Shared;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Longest request head: a token of 60,000 bytes in the path or in a header, and all the rest.
const HEAD_MAX_BYTES: usize = 128 * 1024;

/// Serves until it is aborted; connections live on.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(shared.config.request_timeout).max_buf_size(HEAD_MAX_BYTES);
    let service = TowerToHyperService::new(router);
    loop {
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(e) => {
                // Mostly no file descriptor is left; some come back soon.
                log::warn!("cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Small messages must not wait for one another.
        let _ = tcp.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(tcp), service.clone()).with_upgrades();
        let shared = shared.clone();
        tokio::spawn(async move {
            match connection.await {
                Err(e) if e.is_timeout() => Metrics::add(&shared.metrics.http_timeouts),
                Err(e) if e.is_parse() => Metrics::add(&shared.metrics.bad_requests),
                Err(e) => log::debug!("HTTP connection ended: {e}"),
                Ok(()) => {}
            }
        });
    }
}
