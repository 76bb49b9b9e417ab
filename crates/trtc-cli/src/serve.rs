//! `trtc serve`: the room server in one process.
use serde::Serialize;
use std::io::Write as _;
use trtc_server::{Server, ServerConfig};

/// Arguments of `trtc serve`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Loopback and public development keys; for now the only mode.
    #[arg(long)]
    dev: bool,
    /// HTTP and WebSocket port; 0 picks a free one (and a free UDP port, unless one is given).
    #[arg(long, default_value_t = 7880)]
    port: u16,
    /// UDP port for media; 0 picks a free one.
    #[arg(long)]
    udp_port: Option<u16>,
}

const UDP_PORT: u16 = 7882;

/// The one line on standard output, in this order.
#[derive(Serialize)]
struct Ready {
    event: &'static str,
    http: String,
    ws: String,
    udp: u16,
    api_key: String,
    api_secret: String,
    sdk_app_id: u32,
    secret_key: String,
}

/// Serves until SIGINT or SIGTERM.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    if !arguments.dev {
        return Err("only `trtc serve --dev` exists so far: loopback with development keys".to_owned());
    }
    let udp_port = arguments.udp_port.unwrap_or(if arguments.port == 0 { 0 } else { UDP_PORT });
    let runtime = tokio::runtime::Runtime::new().map_err(|e| format!("cannot start the runtime: {e}"))?;
    runtime.block_on(serve(ServerConfig::dev(arguments.port, udp_port)))
}

async fn serve(config: ServerConfig) -> Result<(), String> {
    let stop = stop_signal()?;
    let server = Server::start(config.clone()).await.map_err(|e| e.to_string())?;
    let ready = Ready {
        event: "ready",
        http: format!("http://{}", server.http_addr()),
        ws: format!("ws://{}", server.http_addr()),
        udp: server.udp_port(),
        api_key: config.api_key,
        api_secret: config.api_secret,
        sdk_app_id: config.sdk_app_id,
        secret_key: config.secret_key,
    };
    let line = serde_json::to_string(&ready).map_err(|e| e.to_string())?;
    // A reader that is not interested may have closed its end.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
    let _ = std::io::stdout().flush();
    let name = stop.await;
    log::info!("{name}: shutting down");
    server.shutdown().await;
    Ok(())
}

#[cfg(unix)]
fn stop_signal() -> Result<impl Future<Output = &'static str>, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|e| format!("cannot listen for signals: {e}"));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> Result<impl Future<Output = &'static str>, String> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
        "Ctrl-C"
    })
}
