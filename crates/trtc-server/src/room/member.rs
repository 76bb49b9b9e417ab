//! One member of a room, its tracks and what it subscribed to.
use super::Joiner;
use super::layers::Demand;
use super::line::Line;
use super::resume::{Health, RESUMES};
use super::rights::Listeners;
use super::vitals::Vitals;
use crate::auth::{self, Pass};
use crate::bucket::Bucket;
use std::collections::BTreeMap;
use std::time::Instant;
use trtc_proto::livekit::participant_info::{Kind, State};
use trtc_proto::livekit::{
    AddTrackRequest, DisconnectReason, ParticipantInfo, ParticipantPermission, SimulcastCodecInfo, TimedVersion,
    TrackInfo, TrackSource, TrackType, video_layer,
};

/// Bytes of updates about one member: far below what an outbox takes, so that one member cannot fill those of others.
pub(super) const UPDATES_DEPTH: u32 = 1 << 20;
const UPDATES_RATE: u32 = 1 << 16;

/// A member.
pub struct Member {
    pub sid: String,
    pub pass: Pass,
    pub auto_subscribe: bool,
    pub line: Line,
    pub health: Health,
    /// Resumes that it may ask for.
    pub resumes: Bucket,
    pub state: State,
    pub joined: Instant,
    pub token_at: Instant,
    pub told_data_rejected: Option<Instant>,
    /// Bytes of updates that others may be sent because of it.
    pub updates: Bucket,
    pub tracks: Vec<Track>,
    /// Track sid and whether it is wanted; tracks that are not in it follow `auto_subscribe`.
    pub wanted: BTreeMap<String, bool>,
    /// Whom it lets have its tracks.
    pub listeners: Listeners,
    /// How its connections are, and who knows.
    pub vitals: Vitals,
    /// It has, or had, the right to receive, and therefore a connection for it.
    pub receiving: bool,
    /// By track sid; tracks that are not in it follow `adaptive_stream`.
    pub settings: BTreeMap<String, Setting>,
    adaptive_stream: bool,
    version: u32,
    joined_unix_ms: i64,
    client_protocol: i32,
    /// Its signalling is ours (WHIP, WHEP): nobody can come back to it over a WebSocket.
    pub served: bool,
}

/// What a subscriber wants of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The highest simulcast layer, 0 is the smallest picture; `None`: nothing for now.
    pub layer: Option<u8>,
    /// Higher goes first on a narrow link; by the source where nobody says.
    pub priority: Option<u8>,
}

/// A track of a member.
pub struct Track {
    pub cid: String,
    pub info: TrackInfo,
    pub announced: Instant,
    /// Its media arrived, or it is muted and negotiated; until then others do not know of it.
    pub started: bool,
    /// Its publisher was told of the first subscriber.
    pub heard: bool,
    pub demand: Demand,
    /// Loudness of its speech in eighths, 0 while there is none.
    pub speech: u8,
}

impl Member {
    pub fn new(joiner: &Joiner, sid: String, now: Instant) -> Self {
        Self {
            sid,
            pass: joiner.pass.clone(),
            auto_subscribe: joiner.options.auto_subscribe,
            line: Line::new(joiner.wire.socket, joiner.outbox.clone()),
            health: Health::default(),
            resumes: Bucket::new(now, RESUMES.0, RESUMES.1),
            state: State::Joined,
            joined: now,
            token_at: now,
            told_data_rejected: None,
            updates: Bucket::new(now, UPDATES_DEPTH, UPDATES_RATE),
            tracks: Vec::new(),
            wanted: BTreeMap::new(),
            listeners: Listeners::default(),
            vitals: Vitals::default(),
            receiving: joiner.pass.grant.subscribes(),
            settings: BTreeMap::new(),
            adaptive_stream: joiner.options.adaptive_stream,
            version: 1,
            joined_unix_ms: i64::try_from(auth::unix_ms()).unwrap_or(i64::MAX),
            client_protocol: joiner.options.client_protocol,
            served: joiner.options.served,
        }
    }

    pub fn identity(&self) -> &str {
        &self.pass.identity
    }

    /// What others may know. Every change must be followed by [`Member::touch`], so that versions rise.
    pub fn info(&self) -> ParticipantInfo {
        let tracks: Vec<TrackInfo> = self.tracks.iter().filter(|t| t.started).map(|t| t.info.clone()).collect();
        ParticipantInfo {
            sid: self.sid.clone(),
            identity: self.pass.identity.clone(),
            state: self.state.into(),
            is_publisher: !tracks.is_empty(),
            tracks,
            metadata: self.pass.claims.metadata.clone(),
            joined_at: self.joined_unix_ms / 1000,
            joined_at_ms: self.joined_unix_ms,
            name: self.pass.claims.name.clone(),
            version: self.version,
            permission: Some(self.permission()),
            kind: kind(&self.pass.claims.kind).into(),
            attributes: self.pass.claims.attributes.clone(),
            client_protocol: self.client_protocol,
            ..ParticipantInfo::default()
        }
    }

    /// The last thing that others hear.
    pub fn farewell(&mut self, reason: DisconnectReason) -> ParticipantInfo {
        self.touch();
        self.state = State::Disconnected;
        ParticipantInfo { tracks: Vec::new(), disconnect_reason: reason.into(), ..self.info() }
    }

    /// A new version of the participant.
    pub fn touch(&mut self) {
        self.version = self.version.saturating_add(1);
    }

    pub fn permission(&self) -> ParticipantPermission {
        let grant = &self.pass.grant;
        ParticipantPermission {
            can_subscribe: grant.subscribes(),
            can_publish: grant.publishes(),
            can_publish_data: grant.publishes_data(),
            can_publish_sources: grant.can_publish_sources.iter().filter_map(|s| source(s)).map(i32::from).collect(),
            hidden: grant.hidden,
            can_update_metadata: grant.can_update_own_metadata.unwrap_or(false),
            ..ParticipantPermission::default()
        }
    }

    /// Announced or flowing.
    pub fn track(&mut self, sid: &str) -> Option<&mut Track> {
        self.tracks.iter_mut().find(|t| t.info.sid == sid)
    }

    /// What it wants of a track. A client that adapts starts small and says soon what it needs.
    pub fn setting(&self, sid: &str) -> Setting {
        let unsaid = Setting { layer: Some(if self.adaptive_stream { 0 } else { 2 }), priority: None };
        self.settings.get(sid).copied().unwrap_or(unsaid)
    }

    /// Whether this member should receive a track, as far as it decides that itself.
    pub fn wants(&self, sid: &str) -> bool {
        self.pass.grant.subscribes() && self.wanted.get(sid).copied().unwrap_or(self.auto_subscribe)
    }
}

impl Track {
    /// From the client's announcement.
    pub fn announced(request: &AddTrackRequest, sid: String, announced: Instant) -> Self {
        let audio = request.r#type() == TrackType::Audio;
        let stream =
            if request.stream.is_empty() { stream(request.source()).to_owned() } else { request.stream.clone() };
        let codec = |mime_type: String, cid: &str| SimulcastCodecInfo {
            mime_type,
            cid: cid.to_owned(),
            layers: request.layers.clone(),
            video_layer_mode: video_layer::Mode::OneSpatialLayerPerStream.into(),
            ..SimulcastCodecInfo::default()
        };
        // The first is the one that is sent; others are backups.
        let named = request.simulcast_codecs.iter().map(|c| codec(mime(audio, &c.codec), &c.cid));
        let codecs = if request.simulcast_codecs.is_empty() {
            vec![codec(String::new(), &request.cid)]
        } else {
            named.collect()
        };
        let info = TrackInfo {
            sid,
            r#type: request.r#type,
            name: request.name.clone(),
            muted: request.muted,
            width: if audio { 0 } else { request.width },
            height: if audio { 0 } else { request.height },
            simulcast: request.layers.len() > 1,
            disable_dtx: request.disable_dtx,
            source: request.source,
            layers: request.layers.clone(),
            codecs,
            stereo: request.stereo,
            disable_red: request.disable_red,
            encryption: request.encryption,
            stream,
            audio_features: request.audio_features.clone(),
            backup_codec_policy: request.backup_codec_policy,
            packet_trailer_features: request.packet_trailer_features.clone(),
            ..TrackInfo::default()
        };
        Self {
            cid: request.cid.clone(),
            info,
            announced,
            started: false,
            heard: false,
            demand: Demand::default(),
            speech: 0,
        }
    }

    /// Its media arrived.
    pub fn start(&mut self, codec_mime: &str) {
        self.started = true;
        self.info.mime_type = codec_mime.to_owned();
        if let Some(codec) = self.info.codecs.first_mut() {
            codec.mime_type = codec_mime.to_owned();
        }
        let unix_micro = i64::try_from(auth::unix_ms().saturating_mul(1000)).unwrap_or(i64::MAX);
        self.info.version = Some(TimedVersion { unix_micro, ticks: 0 });
    }
}

/// The announcement names a codec with or without its kind.
fn mime(audio: bool, codec: &str) -> String {
    match codec {
        "" => String::new(),
        full if full.contains('/') => full.to_owned(),
        name => format!("{}/{name}", if audio { "audio" } else { "video" }),
    }
}

/// A source by its name in a token.
fn source(name: &str) -> Option<TrackSource> {
    Some(match name {
        "camera" => TrackSource::Camera,
        "microphone" => TrackSource::Microphone,
        "screen_share" => TrackSource::ScreenShare,
        "screen_share_audio" => TrackSource::ScreenShareAudio,
        _ => return None,
    })
}

/// The name of a source in a token.
pub fn source_name(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Camera => "camera",
        TrackSource::Microphone => "microphone",
        TrackSource::ScreenShare => "screen_share",
        TrackSource::ScreenShareAudio => "screen_share_audio",
        TrackSource::Unknown => "unknown",
    }
}

fn stream(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Camera | TrackSource::Microphone => "camera",
        TrackSource::ScreenShare | TrackSource::ScreenShareAudio => "screen",
        TrackSource::Unknown => "unknown",
    }
}

fn kind(name: &str) -> Kind {
    match name {
        "ingress" => Kind::Ingress,
        "egress" => Kind::Egress,
        "sip" => Kind::Sip,
        "agent" => Kind::Agent,
        _ => Kind::Standard,
    }
}
