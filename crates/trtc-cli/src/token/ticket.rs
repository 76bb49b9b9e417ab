//! TRTC's two tickets.
use super::now_s;
use serde_json::json;
use trtc_proto::ticket::{self, Expected, Privileges, Ticket};
use trtc_sdk::types::{RoomId, UserId};
use trtc_server::ServerConfig;

/// Who, for which application, how long.
#[derive(clap::Args)]
struct Holder {
    /// User id, 1 to 256 bytes.
    #[arg(long)]
    user: String,
    /// Application.
    #[arg(long, default_value_t = ServerConfig::dev_application().0, value_parser = clap::value_parser!(u32).range(1..))]
    sdk_app_id: u32,
    /// Secret key of the application, used as text.
    #[arg(long, default_value = ServerConfig::dev_application().1, hide_default_value = true)]
    secret_key: String,
    /// Seconds that it is valid.
    #[arg(long, default_value_t = 86_400, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=315_360_000))]
    expire: u64,
}

/// Arguments of `trtc token usersig`.
#[derive(clap::Args)]
pub struct UserSig {
    #[command(flatten)]
    holder: Holder,
    /// Checks this UserSig instead of making one, and prints what it says.
    #[arg(long, value_name = "TICKET", allow_hyphen_values = true)]
    check: Option<String>,
}

/// Arguments of `trtc token privatemapkey`.
#[derive(clap::Args)]
pub struct PrivateMapKey {
    #[command(flatten)]
    holder: Holder,
    #[command(flatten)]
    room: Room,
    /// Sum of: 1 create, 2 enter, 4 send audio, 8 receive audio, 16 send video, 32 receive video, 64 send sub stream, 128
    /// receive sub streams.
    #[arg(long, default_value_t = 255, value_parser = clap::value_parser!(u32).range(0..=255))]
    privileges: u32,
    /// Checks this PrivateMapKey instead of making one, and prints what it says.
    #[arg(long, value_name = "TICKET", allow_hyphen_values = true)]
    check: Option<String>,
}

/// A room; 123 and "123" are different ones.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Room {
    /// String room, 1 to 64 bytes.
    #[arg(long)]
    room: Option<String>,
    /// Numeric room, 1 to 4294967294.
    #[arg(long)]
    room_id: Option<u32>,
}

impl Holder {
    fn ticket(&self) -> Result<Ticket, String> {
        let user = UserId::new(&self.user).map_err(|e| e.to_string())?;
        Ok(Ticket { user, sdk_app_id: self.sdk_app_id, issued_at_s: now_s(), expire_s: self.expire })
    }

    fn expected<'a>(&'a self, user: &'a UserId) -> Expected<'a> {
        Expected { user, sdk_app_id: self.sdk_app_id, secret_key: &self.secret_key, now_s: now_s() }
    }
}

impl UserSig {
    /// The ticket, or what the given one says.
    pub fn run(&self) -> Result<String, String> {
        let ticket = self.holder.ticket()?;
        let Some(text) = &self.check else { return Ok(ticket.sign_user_sig(&self.holder.secret_key)) };
        let ticket = ticket::verify_user_sig(text, &self.holder.expected(&ticket.user)).map_err(|e| e.to_string())?;
        let (user, issued, expires) = (ticket.user.as_str(), ticket.issued_at_s, ticket.expires_at_s());
        Ok(json!({ "userId": user, "sdkAppId": ticket.sdk_app_id, "issuedAt": issued, "expiresAt": expires })
            .to_string())
    }
}

impl PrivateMapKey {
    /// The ticket, or what the given one says.
    pub fn run(&self) -> Result<String, String> {
        let ticket = self.holder.ticket()?;
        let room = self.room.id()?;
        let Some(text) = &self.check else {
            let privileges = Privileges(self.privileges);
            return Ok(ticket.sign_private_map_key(&self.holder.secret_key, room, privileges));
        };
        let key =
            ticket::verify_private_map_key(text, &self.holder.expected(&ticket.user)).map_err(|e| e.to_string())?;
        if key.room != room {
            return Err(format!("ticket is for another room: {}", key.room.wire_name()));
        }
        let (user, room) = (key.account.as_str(), key.room.wire_name());
        let (app, expires, privileges) = (key.sdk_app_id, key.expires_at_s, key.privileges.0);
        Ok(json!({ "userId": user, "sdkAppId": app, "room": room, "expiresAt": expires, "privileges": privileges })
            .to_string())
    }
}

impl Room {
    fn id(&self) -> Result<RoomId, String> {
        match (&self.room, self.room_id) {
            (Some(text), _) => RoomId::text(text),
            (None, number) => RoomId::number(number.unwrap_or(0)),
        }
        .map_err(|e| e.to_string())
    }
}
