//! Encoded `SignalResponse`s that are made in more than one place.
use bytes::Bytes;
use trtc_proto::livekit::leave_request::Action;
use trtc_proto::livekit::request_response::{Reason, Request};
use trtc_proto::livekit::signal_response::Message;
use trtc_proto::livekit::{
    DisconnectReason, LeaveRequest, ParticipantInfo, ParticipantUpdate, RequestResponse, SignalResponse,
};

/// Longest request that comes back with its fate: an answer must not cost more than the question. Clients know theirs by its
/// `request_id`, or by a `cid` or `sid` that is short.
const ECHO_MAX_BYTES: usize = 4096;

/// Any response.
pub fn encode(message: Message) -> Bytes {
    Bytes::from(SignalResponse::frame(message))
}

/// Ends a membership.
pub fn leave(reason: DisconnectReason, action: Action) -> Bytes {
    encode(Message::Leave(LeaveRequest {
        can_reconnect: action != Action::Disconnect,
        reason: reason.into(),
        action: action.into(),
        regions: None,
    }))
}

/// Participants that changed.
pub fn update(participants: Vec<ParticipantInfo>) -> Bytes {
    encode(Message::Update(ParticipantUpdate { participants }))
}

/// The fate of a request, with the request itself unless it is long.
pub fn request_response(request_id: u32, reason: Reason, text: &str, request: Option<Request>) -> Bytes {
    encode(Message::RequestResponse(RequestResponse {
        request_id,
        reason: reason.into(),
        message: text.to_owned(),
        request: request.filter(|request| request.encoded_len() <= ECHO_MAX_BYTES),
    }))
}
