//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): a room by plain HTTP. A WHIP client is a room member of kind ingress
//! whose signalling the server speaks; a WHEP viewer is a hidden member that gets one audio and one video stream.
//!
//! | | |
//! | --- | --- |
//! | `POST /whip[/{room}]` | publish; the room is that of the token when the path names none |
//! | `POST /whep[/{room}]` | watch; `?userid=` only this participant, `?source=screen_share` the screen |
//! | `PATCH`, `DELETE` on the `Location` | candidates or an ICE restart, the end |
//! | `GET /trtc/v1/streams?room=` | who publishes what, as JSON |
//!
//! Each with `Authorization: Bearer` and a token of the room.
mod http;
mod session;
mod sessions;
mod streams;

pub use http::routes;
pub use sessions::Sessions;
