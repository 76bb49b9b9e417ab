//! A room server in this process.
use trtc_proto::jwt::{Claims, VideoGrant, sign};
use trtc_server::{Server, ServerConfig};

/// On free ports, with its runtime; stopped when dropped.
pub struct TestServer {
    runtime: tokio::runtime::Runtime,
    server: Option<Server>,
    pub url: String,
}

impl TestServer {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(ServerConfig::dev(0, 0))).unwrap();
        Self { url: format!("ws://{}", server.http_addr()), server: Some(server), runtime }
    }

    pub fn token(&self, room: &str, user: &str) -> String {
        let (key, secret) = ServerConfig::dev_keys();
        let video = VideoGrant { room_join: true, room: room.into(), ..VideoGrant::default() };
        sign(&Claims { iss: key.into(), sub: user.into(), video: Some(video), ..Claims::default() }, secret)
    }

    /// Members in all rooms.
    pub fn members(&self) -> usize {
        self.server.as_ref().unwrap().member_count()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}
