//! A server, and the judge of acts.
use livekit_protocol as lk;
use lk::TrackSource;
use lk::signal_request::Message as Ask;
use lk::signal_response::Message as Tell;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use trtc_server::{Application, Server, ServerConfig};
use trtc_testkit::client::Client;
use trtc_testkit::media::Call;
use trtc_testkit::token;
use trtc_types::MediaKind;

pub const ROOM: &str = "r";
/// An application whose rooms are also those of LiveKit's tokens, and one that insists on PrivateMapKeys.
pub const APP: u32 = 1_400_000_001;
pub const STRICT_APP: u32 = 1_400_000_002;
pub const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
pub const STRICT_SECRET: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

/// What came of an act: what it did, or how it was refused.
pub type Outcome = Result<String, String>;

pub struct Rig {
    runtime: tokio::runtime::Runtime,
    server: Option<Server>,
    pub config: ServerConfig,
    pub at: SocketAddr,
    rows: Vec<[String; 4]>,
}

impl Rig {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let strict = Application { advanced_permission_control: true, ..Application::new(STRICT_APP, STRICT_SECRET) };
        let applications = vec![Application::new(APP, SECRET), strict];
        // Empty rooms end soon, so that the right to create one counts.
        let departure_timeout = Duration::from_millis(300);
        let config = ServerConfig { applications, departure_timeout, ..ServerConfig::dev(0, 0) };
        let server = runtime.block_on(Server::start(config.clone())).unwrap();
        Self { runtime, at: server.http_addr(), server: Some(server), config, rows: Vec::new() }
    }

    pub fn claims(&self, identity: &str, change: &Value) -> Value {
        token::changed(token::claims(&self.config.api_key, ROOM, identity), change)
    }

    pub fn token(&self, identity: &str, change: &Value) -> String {
        token::sign(&self.claims(identity, change), &self.config.api_secret)
    }

    pub fn join(&self, identity: &str, grant: Value) -> Client {
        Client::connect(self.at, &self.token(identity, &json!({ "video": grant })), "").unwrap().joined()
    }

    pub fn call(&self, identity: &str, grant: Value) -> Call {
        Call::connect(self.at, &self.token(identity, &json!({ "video": grant })))
    }

    /// Judges an act: the first outcome is with the right, the second without.
    pub fn act(&mut self, what: &str, with: Outcome, without: impl FnOnce(&Self) -> Outcome, refusal: &str) {
        let done = with.unwrap_or_else(|e| panic!("{what}: refused in spite of the right: {e}"));
        let start = Instant::now();
        let refused = without(self).expect_err(&format!("{what}: succeeds without the right"));
        assert!(refused.contains(refusal), "{what}: {refused:?} instead of {refusal:?}");
        let cost = format!("{:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        self.rows.push([what.to_owned(), done, refused, cost]);
    }

    pub fn finish(mut self) {
        println!("| tried | with the right | without | took |\n| --- | --- | --- | --- |");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
        self.runtime.block_on(self.server.take().unwrap().shutdown());
    }
}

/// Joins with a token and any query.
pub fn joins(rig: &Rig, token: &str, query: &str) -> Outcome {
    match Client::connect(rig.at, token, query) {
        Ok(client) => Ok(format!("joined as {}", client.joined().join.unwrap().participant.unwrap().identity)),
        Err((status, text)) => Err(format!("{status} {}", text.trim())),
    }
}

/// Whether a watcher gets a speaker's packets; it may `ask` for the track by its sid.
pub fn hears(rig: &Rig, speaker: &str, watcher: &str, source: TrackSource, ask: bool) -> Outcome {
    let mut speaker = Call::connect(rig.at, speaker);
    let (kind, r#type) = match source {
        TrackSource::Microphone => (MediaKind::Audio, lk::TrackType::Audio),
        _ => (MediaKind::Video, lk::TrackType::Video),
    };
    let (r#type, source) = (r#type.into(), source.into());
    speaker.client.send(Ask::AddTrack(lk::AddTrackRequest {
        cid: "mine".into(),
        r#type,
        source,
        ..Default::default()
    }));
    let section = speaker.add_section("mine", kind, 5);
    speaker.negotiate();
    let mut watcher = Call::connect(rig.at, watcher);
    let heard = |m: &Tell| if let Tell::TrackPublished(p) = m { p.track.as_ref().map(|t| t.sid.clone()) } else { None };
    let mut sequence = 0;
    let mut asked = false;
    let end = Instant::now() + Duration::from_secs(20);
    while watcher.subscriber.rtp.is_empty() && Instant::now() < end {
        speaker.send_rtp(section, 5, sequence);
        sequence += 1;
        speaker.turn();
        watcher.turn();
        if let Some(sid) = speaker.heard.iter().find_map(heard).filter(|_| !asked && ask && sequence > 20) {
            asked = true;
            let (track_sids, subscribe) = (vec![sid], true);
            watcher.client.send(Ask::Subscription(lk::UpdateSubscription {
                track_sids,
                subscribe,
                ..Default::default()
            }));
            watcher.settle();
        }
        if asked && sequence > 120 {
            break;
        }
    }
    match watcher.subscriber.rtp.len() {
        0 => Err("no packet comes".to_owned()),
        _ => Ok("hears".to_owned()),
    }
}
