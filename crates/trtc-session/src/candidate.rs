//! Trickled candidates: the JSON of `RTCIceCandidateInit`.
use trtc_proto::livekit::TrickleRequest;

/// The candidate line of a trickle message; `None` for the end of candidates and for garbage.
pub(crate) fn parse(trickle: &TrickleRequest) -> Option<String> {
    let init: serde_json::Value = serde_json::from_str(&trickle.candidate_init).ok()?;
    let line = init.get("candidate")?.as_str()?;
    (!line.is_empty()).then(|| line.to_owned())
}

/// All three fields are always there: the official Rust client insists.
pub(crate) fn init(candidate: &str, mid: &str, index: u32) -> String {
    let line = candidate.strip_prefix("a=").unwrap_or(candidate);
    serde_json::json!({ "candidate": line, "sdpMid": mid, "sdpMLineIndex": index }).to_string()
}
