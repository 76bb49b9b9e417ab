//! `trtc token`: LiveKit access tokens and TRTC tickets, made and checked.
mod ticket;

use clap::ArgAction::Set;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};
use trtc_proto::jwt::{self, Claims, VideoGrant};
use trtc_server::ServerConfig;

/// Arguments of `trtc token`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(clap::Subcommand)]
enum Kind {
    /// A LiveKit access token: who, where, with which rights.
    Jwt(Box<Jwt>),
    /// A TRTC UserSig: who.
    Usersig(ticket::UserSig),
    /// A TRTC PrivateMapKey: who may do what in which room.
    Privatemapkey(ticket::PrivateMapKey),
}

#[derive(clap::Args)]
struct Jwt {
    /// Checks this token instead of making one, and prints what it says.
    #[arg(long, value_name = "TOKEN")]
    check: Option<String>,
    /// API key.
    #[arg(long, default_value = ServerConfig::dev_keys().0)]
    api_key: String,
    /// API secret.
    #[arg(long, default_value = ServerConfig::dev_keys().1, hide_default_value = true)]
    api_secret: String,
    /// Room to join.
    #[arg(long, required_unless_present = "check", default_value = "")]
    room: String,
    /// Identity of the member.
    #[arg(long, required_unless_present = "check", default_value = "")]
    identity: String,
    /// Display name.
    #[arg(long, default_value = "")]
    name: String,
    /// Metadata of the member.
    #[arg(long, default_value = "")]
    metadata: String,
    /// May publish tracks.
    #[arg(long, action = Set, default_value_t = true, value_name = "BOOL")]
    can_publish: bool,
    /// May receive tracks.
    #[arg(long, action = Set, default_value_t = true, value_name = "BOOL")]
    can_subscribe: bool,
    /// May send data.
    #[arg(long, action = Set, default_value_t = true, value_name = "BOOL")]
    can_publish_data: bool,
    /// Only these sources: camera, microphone, screen_share, screen_share_audio; several with commas.
    #[arg(long, value_delimiter = ',', value_name = "SOURCES")]
    can_publish_sources: Vec<String>,
    /// May change its own name, metadata and attributes.
    #[arg(long, action = Set, default_value_t = true, value_name = "BOOL")]
    can_update_own_metadata: bool,
    /// Others do not see the member.
    #[arg(long)]
    hidden: bool,
    /// Seconds until the token expires.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    ttl: u64,
}

/// Prints a token or ticket, or what one says.
///
/// # Errors
/// Why it cannot be made, or is not good.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let text = match &arguments.kind {
        Kind::Jwt(jwt) => jwt.run()?,
        Kind::Usersig(ticket) => ticket.run()?,
        Kind::Privatemapkey(ticket) => ticket.run()?,
    };
    writeln!(std::io::stdout().lock(), "{text}").map_err(|e| format!("cannot write: {e}"))
}

impl Jwt {
    fn run(&self) -> Result<String, String> {
        let Some(token) = &self.check else {
            return Ok(jwt::sign(&claims(self, now_s())?, &self.api_secret));
        };
        let secret = |key: &str| (key == self.api_key).then(|| self.api_secret.clone());
        let claims = jwt::verify(token, &secret, now_s()).map_err(|e| e.to_string())?;
        serde_json::to_string(&claims).map_err(|e| e.to_string())
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A token for a server with the public development keys: everything allowed, for one hour.
pub fn development(room: &str, identity: &str) -> String {
    let now = now_s();
    let (key, secret) = ServerConfig::dev_keys();
    let grant = VideoGrant {
        room_join: true,
        room: room.to_owned(),
        can_update_own_metadata: Some(true),
        ..VideoGrant::default()
    };
    let claims = Claims {
        iss: key.to_owned(),
        sub: identity.to_owned(),
        nbf: Some(now),
        exp: Some(now.saturating_add(3600)),
        video: Some(grant),
        ..Claims::default()
    };
    jwt::sign(&claims, secret)
}

fn claims(arguments: &Jwt, now_unix_s: u64) -> Result<Claims, String> {
    for (what, text) in [("--room", &arguments.room), ("--identity", &arguments.identity)] {
        if text.is_empty() || text.len() > 256 {
            return Err(format!("{what} must be 1..=256 bytes"));
        }
    }
    const SOURCES: [&str; 4] = ["camera", "microphone", "screen_share", "screen_share_audio"];
    if let Some(unknown) = arguments.can_publish_sources.iter().find(|s| !SOURCES.contains(&s.as_str())) {
        return Err(format!("--can-publish-sources: {unknown:?} is none of {}", SOURCES.join(", ")));
    }
    Ok(Claims {
        iss: arguments.api_key.clone(),
        sub: arguments.identity.clone(),
        nbf: Some(now_unix_s),
        exp: Some(now_unix_s.saturating_add(arguments.ttl)),
        name: arguments.name.clone(),
        metadata: arguments.metadata.clone(),
        video: Some(VideoGrant {
            room_join: true,
            room: arguments.room.clone(),
            can_publish: Some(arguments.can_publish),
            can_subscribe: Some(arguments.can_subscribe),
            can_publish_data: Some(arguments.can_publish_data),
            can_publish_sources: arguments.can_publish_sources.clone(),
            can_update_own_metadata: Some(arguments.can_update_own_metadata),
            hidden: arguments.hidden,
            ..VideoGrant::default()
        }),
        ..Claims::default()
    })
}
