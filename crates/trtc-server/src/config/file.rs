//! The configuration file: TOML, every key with its default, and every refusal with the line, the field and what is allowed.
use super::value::{Seconds, Secret, count};
use super::{Application, ServerConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use trtc_net::batch::StreamLimits;

/// Shortest API secret in characters: HMAC-SHA256 wants a key as long as its hash (RFC 2104 section 3).
pub const API_SECRET_MIN: usize = 32;

/// The file as a value. Serialized it shows what is in force, without secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address for HTTP and media; `::` takes IPv4 and IPv6.
    pub bind: IpAddr,
    /// HTTP and WebSocket port; 0 picks a free one.
    pub port: u16,
    /// UDP port of media; 0 picks a free one.
    pub udp_port: u16,
    /// TCP port of media, for clients behind networks that block UDP; 0 picks a free one.
    pub tcp_port: u16,
    /// Take media over TCP at all.
    pub ice_tcp: bool,
    /// Addresses that clients are told to send media to; empty for those of this machine.
    pub public_ips: Vec<IpAddr>,
    /// Calls go on for so long after SIGTERM.
    pub drain_timeout_s: Seconds<0, 86_400>,
    /// API keys and secrets of access tokens, as of a LiveKit server.
    pub keys: BTreeMap<String, Secret>,
    /// What one server takes on.
    pub limits: Limits,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// TRTC applications; members with an access token of `keys` are in the rooms of the first one.
    pub applications: Vec<Application>,
    /// Log lines.
    pub log: LogSettings,
    /// Certificate and key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// STUN and TURN servers for clients.
    pub ice_servers: Vec<IceServerSettings>,
    /// Development keys are in use; never in a file.
    #[serde(skip)]
    pub dev: bool,
}

/// What one server takes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Rooms at the same time.
    #[serde(deserialize_with = "count::<_, 1, 1_000_000>")]
    pub rooms: usize,
    /// Members of one room.
    #[serde(deserialize_with = "count::<_, 1, 100_000>")]
    pub members_per_room: usize,
    /// HTTP and WebSocket connections.
    #[serde(deserialize_with = "count::<_, 1, 1_000_000>")]
    pub connections: usize,
    /// HTTP and WebSocket connections from one IP address.
    #[serde(deserialize_with = "count::<_, 1, 1_000_000>")]
    pub connections_per_address: usize,
    /// TCP connections with media.
    #[serde(deserialize_with = "count::<_, 1, 65_534>")]
    pub media_connections: usize,
    /// TCP connections with media from one IP address.
    #[serde(deserialize_with = "count::<_, 1, 65_534>")]
    pub media_connections_per_address: usize,
}

/// Log lines on standard error.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Text for people, JSON for machines.
    pub format: LogFormat,
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Seconds since the start, level, place, message.
    #[default]
    Text,
    /// One object a line: time, level, target, message.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What keeps the server from its work.
    Error,
    /// What somebody should look at.
    #[default]
    Warn,
    /// Who comes and goes.
    Info,
    /// Why a client was refused.
    Debug,
    /// Everything; never a secret.
    Trace,
}

/// Certificate and key of HTTPS, PEM. Read again when they change and on SIGHUP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate and those between it and the root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A STUN or TURN server, in the words of W3C's RTCIceServer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IceServerSettings {
    /// `stun:` (RFC 7064) or `turn:` and `turns:` (RFC 7065).
    pub urls: Vec<String>,
    /// TURN user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Secret>,
    /// In place of both: every member gets credentials that end, made with the secret that the TURN server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_secret: Option<Secret>,
    /// How long they last.
    #[serde(default = "one_day")]
    pub lifetime_s: Seconds<60, 2_592_000>,
}

fn one_day() -> Seconds<60, 2_592_000> {
    Duration::from_secs(86_400).into()
}

impl IceServerSettings {
    fn check(&self) -> Result<(), ConfigError> {
        let fail = |text: &str| Err(ConfigError::field(format!("ice_servers: {text}")));
        let of = |schemes: &[&str]| {
            let scheme =
                |url: &String| url.split_once(':').filter(|(_, host)| !host.is_empty()).map(|(s, _)| s.to_owned());
            self.urls.iter().filter_map(scheme).filter(|s| schemes.contains(&s.as_str())).count()
        };
        let (stun, turn) = (of(&["stun", "stuns"]), of(&["turn", "turns"]));
        if self.urls.is_empty() || stun + turn < self.urls.len() {
            return fail("urls must have at least one, and all of stun:HOST, stuns:HOST, turn:HOST or turns:HOST");
        }
        let fixed = (self.username.is_some(), self.credential.is_some());
        match (turn > 0, fixed, self.shared_secret.is_some()) {
            (false, (false, false), false) | (true, (true, true), false) | (true, (false, false), true) => Ok(()),
            (false, ..) => fail("only turn: and turns: have username, credential or shared_secret"),
            (true, ..) => fail("turn: and turns: must have username and credential, or shared_secret"),
        }
    }
}

/// How long a server waits, in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// A joiner without a connection is removed.
    pub join_s: Seconds<1, 3600>,
    /// An empty room is kept.
    pub departure_s: Seconds<0, 86_400>,
    /// A client that says nothing is dropped.
    pub silence_s: Seconds<6, 3600>,
    /// A request head must be there.
    pub request_s: Seconds<1, 3600>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            port: 7880,
            udp_port: 7882,
            tcp_port: 7881,
            ice_tcp: true,
            public_ips: Vec::new(),
            keys: BTreeMap::new(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            applications: Vec::new(),
            drain_timeout_s: Duration::from_secs(30).into(),
            log: LogSettings::default(),
            tls: None,
            ice_servers: Vec::new(),
            dev: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let config = ServerConfig::dev(0, 0);
        Self {
            rooms: config.max_rooms,
            members_per_room: config.max_members,
            connections: config.connections,
            connections_per_address: config.connections_per_address,
            media_connections: config.stream_limits.connections,
            media_connections_per_address: config.stream_limits.per_address,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let config = ServerConfig::dev(0, 0);
        Self {
            join_s: config.join_timeout.into(),
            departure_s: config.departure_timeout.into(),
            silence_s: config.silence_timeout.into(),
            request_s: config.request_timeout.into(),
        }
    }
}

/// Why a configuration is refused: where, which field, what is allowed. Never a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// File and line, when there are any.
    place: String,
    message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.message)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    fn field(message: impl Into<String>) -> Self {
        Self { place: String::new(), message: message.into() }
    }
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence with the file, the line and the field.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::field(format!("cannot read {name}: {e}")))?;
        Self::parse(&text).map_err(|e| ConfigError { place: format!("{name}:{}", e.place), ..e })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A sentence with the line and the field.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|e| {
            let start = e.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let field = field_at(text, line).map(|field| format!("{}: ", tellable(&field))).unwrap_or_default();
            // Lines after the first would quote the file, which has secrets.
            let message = tellable(e.message().lines().next().unwrap_or_default());
            ConfigError { place: format!("{line}: "), message: format!("{field}{message}") }
        })
    }

    /// Development keys on loopback.
    #[must_use]
    pub fn dev() -> Self {
        let config = ServerConfig::dev(0, 0);
        let keys = BTreeMap::from([(config.api_key, Secret::from(config.api_secret))]);
        let applications = config.applications;
        Self { bind: Ipv4Addr::LOCALHOST.into(), keys, applications, dev: true, ..Self::default() }
    }

    /// What is in force, as a file without secrets.
    #[must_use]
    pub fn show(&self) -> String {
        toml::to_string(self).unwrap_or_else(|e| format!("# cannot be shown: {e}\n"))
    }

    /// The server that this describes.
    ///
    /// # Errors
    /// A sentence with the field, for values that do not fit each other.
    pub fn config(&self) -> Result<ServerConfig, ConfigError> {
        let mut keys = self.keys.iter();
        let Some((api_key, api_secret)) = keys.next() else {
            return Err(ConfigError::field("keys: must have at least one API key with its secret"));
        };
        for (key, secret) in &self.keys {
            if key.is_empty() || secret.reveal().len() < API_SECRET_MIN {
                let wanted = format!("must have a name and a secret of at least {API_SECRET_MIN} characters");
                return Err(ConfigError::field(format!("keys.{:?}: {wanted}", tellable(key))));
            }
        }
        self.ice_servers.iter().try_for_each(IceServerSettings::check)?;
        if let Some(ip) = self.public_ips.iter().find(|ip| ip.is_unspecified() || ip.is_multicast()) {
            return Err(ConfigError::field(format!("public_ips: {ip} is no address of a host")));
        }
        let base = ServerConfig::dev(0, 0);
        let config = ServerConfig {
            bind_http: SocketAddr::new(self.bind, self.port),
            udp: SocketAddr::new(self.bind, self.udp_port),
            tcp: self.ice_tcp.then_some(SocketAddr::new(self.bind, self.tcp_port)),
            stream_limits: StreamLimits {
                connections: self.limits.media_connections,
                per_address: self.limits.media_connections_per_address,
                ..base.stream_limits
            },
            tls: self.tls.clone(),
            ice_servers: self.ice_servers.clone(),
            connections: self.limits.connections,
            connections_per_address: self.limits.connections_per_address,
            public_candidates: self.public_ips.iter().map(|ip| SocketAddr::new(*ip, 0)).collect(),
            api_key: api_key.clone(),
            api_secret: api_secret.reveal().to_owned(),
            other_keys: keys.map(|(key, secret)| (key.clone(), secret.reveal().to_owned())).collect(),
            applications: self.applications.clone(),
            dev: self.dev,
            max_rooms: self.limits.rooms,
            max_members: self.limits.members_per_room,
            join_timeout: self.timeouts.join_s.into(),
            departure_timeout: self.timeouts.departure_s.into(),
            silence_timeout: self.timeouts.silence_s.into(),
            request_timeout: self.timeouts.request_s.into(),
            ..base
        };
        config.check_keys().map_err(|e| ConfigError::field(e.message))?;
        Ok(config)
    }
}

/// Without words that are as long as a secret: one may stand in the wrong place. Names of fields are shorter.
fn tellable(text: &str) -> String {
    let between = |c: char| c.is_whitespace() || "`'\",.".contains(c);
    let tell = |word: &str| match word.trim_end_matches(between).len() {
        API_SECRET_MIN.. => "(long) ".to_owned(),
        _ => word.to_owned(),
    };
    text.split_inclusive(between).map(tell).collect()
}

/// The dotted name of what stands in a line: its table and its key.
fn field_at(text: &str, line: usize) -> Option<String> {
    let mut table = "";
    let mut key = None;
    for text in text.lines().take(line).map(str::trim) {
        if let Some(header) = text.strip_prefix('[').filter(|_| !text.contains('=')) {
            table = header.trim_start_matches('[').split(']').next().unwrap_or_default().trim();
            key = None;
        } else if let Some((name, _)) = text.split_once('=').filter(|_| !text.starts_with('#')) {
            key = Some(name.trim());
        }
    }
    match (table, key) {
        ("", key) => key.map(str::to_owned),
        (table, Some(key)) => Some(format!("{table}.{key}")),
        (table, None) => Some(table.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = "[keys]\nmine = 'a-secret-of-thirty-two-characters'\n";

    #[test]
    fn a_file_of_keys_is_enough() {
        let config = Settings::parse(KEYS).unwrap().config().unwrap();
        assert_eq!((config.api_key.as_str(), config.api_secret.len(), config.dev), ("mine", 33, false));
        assert_eq!(config.bind_http.to_string(), "0.0.0.0:7880");
        assert!(config.applications.is_empty());
        assert_eq!(config.max_rooms, ServerConfig::dev(0, 0).max_rooms);
    }

    #[test]
    fn values_arrive_where_they_belong() {
        let text = format!(
            "bind = '::1'\nport = 1\nudp_port = 2\npublic_ips = ['192.0.2.1']\n{KEYS}other = 'b-secret-of-thirty-two-characters'\n\
             [[applications]]\nsdk_app_id = 9\nsecret_key = 'c-secret-of-thirty-two-characters'\nadvanced_permission_control = true\n\
             [limits]\nrooms = 3\nmembers_per_room = 4\n[timeouts]\njoin_s = 5\ndeparture_s = 0\nsilence_s = 7\nrequest_s = 8\n"
        );
        let config = Settings::parse(&text).unwrap().config().unwrap();
        assert_eq!((config.bind_http.to_string(), config.udp.to_string()), ("[::1]:1".into(), "[::1]:2".into()));
        assert_eq!(config.public_candidates, [SocketAddr::from(([192, 0, 2, 1], 0))]);
        assert_eq!(config.other_keys.len(), 1);
        let app = config.application(9).unwrap();
        assert!(app.advanced_permission_control && app.secret_key.reveal().starts_with("c-secret"));
        assert_eq!((config.max_rooms, config.max_members), (3, 4));
        let seconds = [config.join_timeout, config.departure_timeout, config.silence_timeout, config.request_timeout];
        assert_eq!(seconds.map(|d| d.as_secs()), [5, 0, 7, 8]);
    }

    #[test]
    fn refusals_name_line_field_and_range() {
        let refused = |text: &str| Settings::parse(text).and_then(|s| s.config().map(|_| ())).unwrap_err().to_string();
        for (text, wanted) in [
            ("port = 70000", "1: port: "),
            ("\nport = 'x'", "2: port: "),
            ("prot = 1", "1: prot: unknown field `prot`, expected one of `bind`, `port`"),
            ("[limits]\n\n# x = 1\nrooms = 0", "4: limits.rooms: must be an integer from 1 to 1000000"),
            ("[limits]\nrooms = -1", "2: limits.rooms: must be an integer from 1 to 1000000"),
            ("[timeouts]\nsilence_s = 1", "2: timeouts.silence_s: must be an integer from 6 to 3600"),
            ("bind = 'everywhere'", "1: bind: invalid IP address syntax"),
            ("[keys]\nk = 5", "2: keys.k: must be a text"),
            ("[keys", "1: "),
            ("[[applications]]\nsdk_app_id = -1", "2: applications.sdk_app_id: "),
            (
                &format!("{KEYS}[[applications]]\nsdk_app_id = 0\nsecret_key = 'x'"),
                "applications: sdk_app_id must be 1",
            ),
            (
                &format!("{KEYS}[[applications]]\nsdk_app_id = 7\nsecret_key = 'x'"),
                "applications: secret_key of 7 must",
            ),
            ("", "keys: must have at least one API key"),
            ("[keys]\nk = 'short'", "keys.\"k\": must have a name and a secret of at least 32 characters"),
            ("drain_timeout_s = 'x'", "1: drain_timeout_s: must be an integer from 0 to 86400"),
            ("[log]\nformat = 'xml'", "2: log.format: unknown variant `xml`, expected `text` or `json`"),
            ("[tls]\ncert = 'x'", "1: tls: missing field `key`"),
            (
                "[[ice_servers]]\nurls = ['turn:a']\nlifetime_s = 1",
                "3: ice_servers.lifetime_s: must be an integer from 60",
            ),
            (&format!("{KEYS}[[ice_servers]]\nurls = ['turn:a']"), "ice_servers: turn: and turns: must have username"),
            (&format!("{KEYS}[[ice_servers]]\nurls = ['http:a']"), "ice_servers: urls must have at least one"),
            (&format!("{KEYS}[[ice_servers]]\nurls = ['stun:a']\nusername = 'u'"), "ice_servers: only turn:"),
            (&format!("public_ips = ['0.0.0.0']\n{KEYS}"), "public_ips: 0.0.0.0 is no address of a host"),
        ] {
            let saw = refused(text);
            assert!(saw.starts_with(wanted), "{text:?}: {saw}");
        }
        assert!(Settings::read(Path::new("/nowhere/x.toml")).unwrap_err().to_string().starts_with("cannot read /now"));
    }

    #[test]
    fn secrets_are_never_shown() {
        let settings = Settings::parse(KEYS).unwrap();
        let shown = settings.show();
        assert!(shown.contains("mine = ") && shown.contains("port = 7880"), "{shown}");
        assert!(!shown.contains("a-secret") && !format!("{settings:?}").contains("a-secret"));
        let broken = Settings::parse("[keys]\nmine = 'a-secret-of-thirty-two-characters' x").unwrap_err().to_string();
        assert!(broken.starts_with("2: keys.mine: ") && !broken.contains("a-secret"), "{broken}");
        // Where a name belongs.
        for text in ["[keys]a-secret-of-thirty-two-characters = 1", "a-secret-of-thirty-two-characters = 'x'"] {
            let broken = Settings::parse(text).unwrap_err().to_string();
            assert!(broken.contains("(long)") && !broken.contains("a-secret"), "{broken}");
        }
        let swapped = Settings::parse("[keys]\na-secret-of-thirty-two-characters = 'mine'").unwrap();
        let broken = swapped.config().unwrap_err().to_string();
        assert!(broken.contains("32 characters") && !broken.contains("a-secret"), "{broken}");
    }

    #[test]
    fn the_example_is_read() {
        let example = include_str!("../../../../examples/deploy/trtc.toml");
        let settings = Settings::parse(example).unwrap();
        settings.config().unwrap();
        // What is commented out is an example too.
        let all: String = example.lines().map(|l| format!("{}\n", l.strip_prefix("#: ").unwrap_or(l))).collect();
        Settings::parse(&all).and_then(|s| s.config().map(|_| ())).unwrap();
    }
}
