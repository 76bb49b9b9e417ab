//! Who publishes what in a room, for pages that show it.
use crate::registry::{RoomName, Shared};
use crate::room::RoomInput;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::oneshot;
use trtc_proto::livekit::participant_info::Kind;
use trtc_proto::livekit::{ParticipantInfo, TrackInfo, TrackSource, TrackType};
use trtc_stream::whip::Refusal;

/// `GET /trtc/v1/streams`.
#[derive(Serialize)]
struct Streams<'a> {
    room: &'a str,
    streams: Vec<Stream>,
}

/// One participant with something to see or to hear, in the order of entry.
#[derive(Serialize)]
struct Stream {
    /// For `?userid=` of WHEP.
    identity: String,
    name: String,
    /// `ingress` for WHIP, `standard` for SDKs.
    kind: &'static str,
    joined_at_ms: i64,
    audio: Option<Media>,
    video: Option<Media>,
    /// With `?source=screen_share`.
    screen: Option<Media>,
}

#[derive(Serialize)]
struct Media {
    /// `video/VP8`, `audio/opus`, ...
    codec: String,
    muted: bool,
}

pub async fn of_room(shared: &Arc<Shared>, room: RoomName) -> Result<Response, Refusal> {
    let participants = match shared.open_room(&room) {
        Some(handle) => {
            let (reply, answer) = oneshot::channel();
            let asked = handle.send(RoomInput::Look(reply)).await;
            // A room that ends meanwhile is empty.
            if asked.is_ok() { answer.await.unwrap_or_default() } else { Vec::new() }
        }
        None => Vec::new(),
    };
    let mut streams: Vec<Stream> = participants.iter().filter_map(Stream::of).collect();
    streams.sort_by(|a, b| (a.joined_at_ms, &a.identity).cmp(&(b.joined_at_ms, &b.identity)));
    Ok(Json(Streams { room: &room.1, streams }).into_response())
}

impl Stream {
    fn of(participant: &ParticipantInfo) -> Option<Self> {
        let find = |kind: TrackType, screen: Option<bool>| {
            let fits = |t: &&TrackInfo| {
                t.r#type() == kind && screen.is_none_or(|screen| (t.source() == TrackSource::ScreenShare) == screen)
            };
            participant.tracks.iter().find(fits).map(|t| Media { codec: t.mime_type.clone(), muted: t.muted })
        };
        let stream = Self {
            identity: participant.identity.clone(),
            name: participant.name.clone(),
            kind: if participant.kind() == Kind::Ingress { "ingress" } else { "standard" },
            joined_at_ms: participant.joined_at_ms,
            audio: find(TrackType::Audio, None),
            video: find(TrackType::Video, Some(false)),
            screen: find(TrackType::Video, Some(true)),
        };
        (stream.audio.is_some() || stream.video.is_some() || stream.screen.is_some()).then_some(stream)
    }
}
