//! Tickets, and the two requests that take them.
use super::TestServer;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trtc_proto::ticket::{Privileges, Ticket};
use trtc_server::{Application, ServerConfig};
use trtc_types::{RoomId, UserId};

pub const APP: u32 = 1_400_000_001;
pub const OTHER_APP: u32 = 1_400_000_002;
pub const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
pub const OTHER_KEY: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub struct Door<'a> {
    server: &'a TestServer,
}

impl<'a> Door<'a> {
    /// Two applications; empty rooms end soon.
    pub fn config() -> ServerConfig {
        let applications = vec![Application::new(APP, KEY), Application::new(OTHER_APP, OTHER_KEY)];
        let departure_timeout = Duration::from_secs(1);
        ServerConfig { applications, departure_timeout, ..ServerConfig::dev(0, 0) }
    }

    pub fn new(server: &'a TestServer) -> Self {
        Self { server }
    }

    pub fn ticket(&self, user: &str, sdk_app_id: u32, issued_at_s: u64, expire_s: u64) -> Ticket {
        Ticket { user: UserId::new(user).unwrap(), sdk_app_id, issued_at_s, expire_s }
    }

    pub fn user_sig(&self, user: &str, issued_at_s: u64, expire_s: u64) -> String {
        self.ticket(user, APP, issued_at_s, expire_s).sign_user_sig(KEY)
    }

    pub fn key(&self, user: &str, room: &RoomId, privileges: Privileges) -> String {
        self.ticket(user, APP, now_s(), 600).sign_private_map_key(KEY, room.clone(), privileges)
    }

    pub fn token_body(&self, user: &str, room: &RoomId) -> Value {
        self.token_body_of(APP, user, room)
    }

    pub fn token_body_of(&self, app: u32, user: &str, room: &RoomId) -> Value {
        let key = if app == APP { KEY } else { OTHER_KEY };
        let room = match room {
            RoomId::Number(number) => json!(number),
            RoomId::Text(text) => json!(&**text),
        };
        let sig = self.ticket(user, app, now_s(), 600).sign_user_sig(key);
        json!({ "sdkAppId": app, "userId": user, "userSig": sig, "room": room })
    }

    pub fn enter(&self, body: Value) -> (u16, Value) {
        self.server.post("/trtc/v1/token", body.to_string().as_bytes(), None)
    }

    /// A token, with a key when one is given.
    pub fn token(&self, user: &str, room: &RoomId, role: i32, key: Option<String>) -> String {
        let mut body = self.token_body(user, room);
        body["role"] = json!(role);
        if let Some(key) = key {
            body["privateMapKey"] = json!(key);
        }
        let (status, answer) = self.enter(body);
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    pub fn role(&self, token: &str, body: Value) -> (u16, Value) {
        self.server.post("/trtc/v1/role", body.to_string().as_bytes(), Some(token))
    }
}
