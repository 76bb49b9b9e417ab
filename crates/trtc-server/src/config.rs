//! How a server is set up.
mod file;
mod value;

pub use file::{
    API_SECRET_MIN, ConfigError, IceServerSettings, Limits, LogFormat, LogLevel, LogSettings, Settings, Timeouts,
    TlsFiles,
};
pub use value::{Seconds, Secret};

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use trtc_net::batch::StreamLimits;
use trtc_types::{Error, Result};

/// Everything a server needs to know.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where HTTP and WebSocket listen; port 0 picks a free one.
    pub bind_http: SocketAddr,
    /// Where media is received; port 0 picks a free one.
    pub udp: SocketAddr,
    /// Where TCP connections with media are taken, for clients behind networks that block UDP (RFC 6544); port 0 picks a free
    /// one, `None` takes none.
    pub tcp: Option<SocketAddr>,
    /// How many of them, and how long they may be silent.
    pub stream_limits: StreamLimits,
    /// Certificate and key: HTTPS and WSS in place of HTTP and WS.
    pub tls: Option<TlsFiles>,
    /// STUN and TURN servers that clients are told of.
    pub ice_servers: Vec<IceServerSettings>,
    /// HTTP and WebSocket connections at the same time.
    pub connections: usize,
    /// Those of one IP address (IPv6: one network of 64 bits); loopback is free, for proxies.
    pub connections_per_address: usize,
    /// Where clients are told to send media instead of the bound address: a public address in front of a NAT. Port 0 stands for
    /// the bound port; empty for the bound address.
    pub public_candidates: Vec<SocketAddr>,
    /// `iss` of accepted tokens.
    pub api_key: String,
    /// Signs and checks tokens; at least 32 characters.
    pub api_secret: String,
    /// Further keys and secrets of accepted tokens.
    pub other_keys: BTreeMap<String, String>,
    /// TRTC applications, by `sdk_app_id`. Members with a LiveKit token are in the rooms of the first one.
    pub applications: Vec<Application>,
    /// Development keys are in use.
    pub dev: bool,
    /// Rooms at the same time; a join that would make another one is answered 503.
    pub max_rooms: usize,
    /// Members of one room; a join beyond it is told to leave.
    pub max_members: usize,
    /// A joiner that has no connection by then is removed.
    pub join_timeout: Duration,
    /// A member that has lost its WebSocket and a connection is kept that long for the client to resume.
    pub resume_grace: Duration,
    /// A member that has lost its WebSocket only is kept that long.
    pub signal_timeout: Duration,
    /// An empty room is kept that long, so that members who come back find it.
    pub departure_timeout: Duration,
    /// A member gets a new token that often.
    pub token_refresh: Duration,
    /// A member that has not answered an offer by then is told to reconnect.
    pub answer_timeout: Duration,
    /// A WebSocket is closed that gave no sign of life for so long. Clients ping every 5 s and answer our pings.
    pub silence_timeout: Duration,
    /// A WebSocket is closed that took no byte of a message for so long.
    pub send_timeout: Duration,
    /// A connection is closed that sent no whole HTTP request head by then.
    pub request_timeout: Duration,
    /// Commands that may wait for the media thread; a member whose command finds no place is told to reconnect.
    pub media_queue: usize,
}

/// A TRTC application: rooms of its own, and the key that its tickets are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// 1..=4294967295.
    pub sdk_app_id: u32,
    /// Signs and checks UserSig and PrivateMapKey; at least 32 characters.
    pub secret_key: Secret,
    /// Nobody enters without a PrivateMapKey, and its bits are all that its holder may do. Default off: all may do all.
    #[serde(default)]
    pub advanced_permission_control: bool,
}

impl Application {
    /// An application without advanced permission control.
    #[must_use]
    pub fn new(sdk_app_id: u32, secret_key: &str) -> Self {
        Self { sdk_app_id, secret_key: secret_key.to_owned().into(), advanced_permission_control: false }
    }
}

impl ServerConfig {
    /// The application with that id.
    #[must_use]
    pub fn application(&self, sdk_app_id: u32) -> Option<&Application> {
        self.applications.iter().find(|a| a.sdk_app_id == sdk_app_id)
    }

    /// The application of LiveKit tokens, which name none; 0 stands for none.
    #[must_use]
    pub fn default_app(&self) -> u32 {
        self.applications.first().map_or(0, |a| a.sdk_app_id)
    }

    /// Refuses keys that are no protection and applications that cannot be told apart.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`, naming field and range.
    pub(crate) fn check_keys(&self) -> Result<()> {
        if self.api_key.is_empty() || self.api_secret.len() < API_SECRET_MIN {
            return Err(Error::invalid("api_key must not be empty and api_secret must have at least 32 characters"));
        }
        let mut seen = BTreeSet::new();
        for Application { sdk_app_id, secret_key, .. } in &self.applications {
            if *sdk_app_id == 0 || !seen.insert(sdk_app_id) {
                let text = format!("applications: sdk_app_id must be 1..=4294967295 and there once, got {sdk_app_id}");
                return Err(Error::invalid(text));
            }
            if secret_key.reveal().len() < API_SECRET_MIN {
                let text = format!("applications: secret_key of {sdk_app_id} must have at least 32 characters");
                return Err(Error::invalid(text));
            }
        }
        Ok(())
    }

    /// Development keys on loopback. `http_port` and `udp_port` may be 0 for free ones.
    #[must_use]
    pub fn dev(http_port: u16, udp_port: u16) -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            bind_http: SocketAddr::new(loopback, http_port),
            udp: SocketAddr::new(loopback, udp_port),
            tcp: None,
            tls: None,
            ice_servers: Vec::new(),
            connections: 20_000,
            connections_per_address: 1_000,
            stream_limits: StreamLimits::default(),
            public_candidates: Vec::new(),
            api_key: DEV_API_KEY.to_owned(),
            api_secret: DEV_API_SECRET.to_owned(),
            other_keys: BTreeMap::new(),
            applications: vec![Application::new(DEV_SDK_APP_ID, DEV_SECRET_KEY)],
            dev: true,
            max_rooms: 10_000,
            max_members: 5_000,
            join_timeout: Duration::from_secs(60),
            // Connections are given up after 15 s; with LiveKit's server it is about 17 s and then 5 s.
            resume_grace: Duration::from_secs(7),
            signal_timeout: Duration::from_secs(60),
            departure_timeout: Duration::from_secs(20),
            token_refresh: Duration::from_secs(300),
            answer_timeout: Duration::from_secs(15),
            silence_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            media_queue: 4096,
        }
    }
}

/// The development API key.
pub const DEV_API_KEY: &str = "devkey";
/// The development secret; public, therefore only fit for loopback.
pub const DEV_API_SECRET: &str = "trtc-dev-K7vQ2mXc9RtLw4ZpB8nYd3Hs6Jf";
/// The development application.
pub const DEV_SDK_APP_ID: u32 = 1_400_000_001;
/// Its secret key; as public as the other.
pub const DEV_SECRET_KEY: &str = "5d41c0e97ab3f2864c1e9d7730ba58f6e2147c39d08b6fa591e3c7d24f8a6b05";

impl ServerConfig {
    /// The development key and secret, for tools that make tokens.
    #[must_use]
    pub fn dev_keys() -> (&'static str, &'static str) {
        (DEV_API_KEY, DEV_API_SECRET)
    }

    /// The secret of an accepted key.
    #[must_use]
    pub fn secret_of(&self, key: &str) -> Option<&str> {
        let other = || self.other_keys.get(key).map(String::as_str);
        if key == self.api_key { Some(&self.api_secret) } else { other() }
    }

    /// The development application and its secret key, for tools that make tickets.
    #[must_use]
    pub fn dev_application() -> (u32, &'static str) {
        (DEV_SDK_APP_ID, DEV_SECRET_KEY)
    }
}
