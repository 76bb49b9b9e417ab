//! `trtc serve`: the room server in one process.
use serde::Serialize;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use trtc_server::config::{LogFormat, LogLevel, Settings, TlsFiles};
use trtc_server::{Server, ServerConfig};

/// Exit code of a configuration that cannot be used: `EX_CONFIG` of sysexits.h. A supervisor need not try again.
const EX_CONFIG: u8 = 78;

/// Arguments of `trtc serve`. Flags go before the file.
#[derive(clap::Args)]
pub struct Arguments {
    /// Loopback and public development keys; needs no configuration.
    #[arg(long, conflicts_with = "config")]
    dev: bool,
    /// Configuration file (TOML); examples/deploy/trtc.toml explains every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for HTTP and media; `::` takes IPv4 and IPv6.
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// HTTP and WebSocket port; 0 picks a free one (and free media ports, unless they are given).
    #[arg(long)]
    port: Option<u16>,
    /// UDP port for media; 0 picks a free one.
    #[arg(long)]
    udp_port: Option<u16>,
    /// TCP port for media, for clients behind networks that block UDP; 0 picks a free one.
    #[arg(long)]
    tcp_port: Option<u16>,
    /// Address that clients are told to send media to, in place of those of this machine; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    public_ip: Vec<IpAddr>,
    /// Certificate of HTTPS and WSS, PEM with those between it and the root; read again when it changes and on SIGHUP.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Calls go on for so many seconds after SIGTERM.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    drain_timeout: Option<u64>,
    /// Form of the log lines on standard error.
    #[arg(long, value_parser = ["text", "json"])]
    log_format: Option<String>,
    /// Checks the configuration, prints what is in force without secrets, and exits.
    #[arg(long)]
    check_config: bool,
}

/// The one line on standard output, in this order. Keys are shown only where they are public.
#[derive(Serialize)]
struct Ready {
    event: &'static str,
    http: String,
    ws: String,
    udp: u16,
    tcp: Option<u16>,
    #[serde(flatten)]
    dev: Option<DevKeys>,
}

#[derive(Serialize)]
struct DevKeys {
    api_key: String,
    api_secret: String,
    sdk_app_id: u32,
    secret_key: String,
}

/// Serves until SIGINT or SIGTERM.
pub fn run(arguments: &Arguments) -> ExitCode {
    let (settings, config) = match configure(arguments) {
        Ok(configured) => configured,
        Err(message) => {
            eprintln!("trtc: {message}");
            return ExitCode::from(EX_CONFIG);
        }
    };
    if arguments.check_config {
        print!("{}", settings.show());
        return ExitCode::SUCCESS;
    }
    crate::logger::set(settings.log.format == LogFormat::Json, level(settings.log.level));
    raise_file_limit();
    let started = tokio::runtime::Runtime::new().map_err(|e| format!("cannot start the runtime: {e}"));
    match started.and_then(|runtime| runtime.block_on(serve(config, settings.drain_timeout_s.into()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("trtc: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The file, then the flags.
fn configure(arguments: &Arguments) -> Result<(Settings, ServerConfig), String> {
    let mut settings = match &arguments.config {
        Some(path) => Settings::read(path).map_err(|e| e.to_string())?,
        None if arguments.dev => Settings::dev(),
        None => return Err("needs --config FILE, or --dev for loopback and public development keys".to_owned()),
    };
    if let Some(bind) = arguments.bind {
        settings.bind = bind;
    }
    if let Some(port) = arguments.port {
        settings.port = port;
        if port == 0 {
            (settings.udp_port, settings.tcp_port) = (0, 0);
        }
    }
    if let Some(port) = arguments.udp_port {
        settings.udp_port = port;
    }
    if let Some(port) = arguments.tcp_port {
        settings.tcp_port = port;
    }
    if !arguments.public_ip.is_empty() {
        settings.public_ips.clone_from(&arguments.public_ip);
    }
    if let (Some(cert), Some(key)) = (arguments.cert.clone(), arguments.key.clone()) {
        settings.tls = Some(TlsFiles { cert, key });
    }
    if let Some(seconds) = arguments.drain_timeout {
        settings.drain_timeout_s = Duration::from_secs(seconds).into();
    }
    if let Some(format) = &arguments.log_format {
        settings.log.format = if format == "json" { LogFormat::Json } else { LogFormat::Text };
    }
    if settings.dev && !settings.bind.is_loopback() {
        return Err("--bind: must be a loopback address with --dev, whose keys are public".to_owned());
    }
    let config = settings.config().map_err(|e| e.to_string())?;
    Ok((settings, config))
}

async fn serve(config: ServerConfig, drain_timeout: Duration) -> Result<(), String> {
    let mut signals = Signals::new()?;
    let server = Server::start(config.clone()).await.map_err(|e| e.to_string())?;
    let s = if server.is_secure() { "s" } else { "" };
    let ready = Ready {
        event: "ready",
        http: format!("http{s}://{}", server.http_addr()),
        ws: format!("ws{s}://{}", server.http_addr()),
        udp: server.udp_port(),
        tcp: server.tcp_port(),
        dev: config.dev.then_some(DevKeys {
            api_key: config.api_key,
            api_secret: config.api_secret,
            sdk_app_id: ServerConfig::dev_application().0,
            secret_key: ServerConfig::dev_application().1.to_owned(),
        }),
    };
    let line = serde_json::to_string(&ready).map_err(|e| e.to_string())?;
    // A reader that is not interested may have closed its end.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
    let _ = std::io::stdout().flush();
    loop {
        match signals.next().await {
            Signal::Reload => server.reload_certificate().await,
            Signal::Stop => break,
            Signal::Drain => {
                log::info!("draining: calls go on for {} s at most", drain_timeout.as_secs());
                tokio::select! {
                    () = server.drain() => {}
                    () = tokio::time::sleep(drain_timeout) => {}
                    () = signals.until_stop() => {}
                }
                break;
            }
        }
    }
    log::info!("shutting down");
    server.shutdown().await;
    Ok(())
}

fn level(level: LogLevel) -> log::LevelFilter {
    match level {
        LogLevel::Off => log::LevelFilter::Off,
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warn => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
        LogLevel::Trace => log::LevelFilter::Trace,
    }
}

/// A member is a file or two. The soft limit of most systems is from the time of `select`.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(e) = setrlimit(Resource::Nofile, limit) {
        log::warn!("cannot raise the limit of open files: {e}");
    }
}

#[cfg(not(unix))]
fn raise_file_limit() {}

/// What an operator asks for.
enum Signal {
    /// SIGHUP.
    Reload,
    /// SIGTERM.
    Drain,
    /// SIGINT.
    Stop,
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self, String> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|e| format!("cannot listen for signals: {e}"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Drain,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// Somebody lost patience.
    async fn until_stop(&mut self) {
        while matches!(self.next().await, Signal::Reload) {}
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self, String> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        let _ = tokio::signal::ctrl_c().await;
        Signal::Stop
    }

    async fn until_stop(&mut self) {
        self.next().await;
    }
}
