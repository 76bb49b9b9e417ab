//! WHIP and WHEP without HTTP and without WebRTC: what an offer must be, what a PATCH means, which status refuses what,
//! and whom a viewer watches.
mod follow;
mod fragment;
mod offer;
mod resource;

pub use follow::{Change, Follow, Wish};
pub use fragment::Fragment;
pub use offer::{Offer, OfferedTrack};
pub use resource::{Patch, Resource};

/// The content type of offers and answers (RFC 9725 4.2).
pub const SDP: &str = "application/sdp";
/// The content type of PATCH bodies (RFC 8840 9).
pub const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Which way media flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// WHIP: the client sends.
    Publish,
    /// WHEP: the client receives.
    Watch,
}

/// Why a request is not done: an HTTP status and a sentence for its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Names what is wrong and what is allowed.
    pub text: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

/// ICE user name fragment and password of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub password: String,
}

impl Credentials {
    /// RFC 8839 5.4: 4 to 256 and 22 to 256 characters of the ice-char set.
    fn check(&self) -> Result<(), Refusal> {
        let clean = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
        let long = (4..=256).contains(&self.ufrag.len()) && (22..=256).contains(&self.password.len());
        if long && clean(&self.ufrag) && clean(&self.password) {
            return Ok(());
        }
        Err(Refusal::new(400, "ice-ufrag must have 4 to 256 and ice-pwd 22 to 256 letters, digits, + or /"))
    }
}

/// Whether a `Content-Type` names this media type, whatever its parameters.
#[must_use]
pub fn is_type(content_type: Option<&str>, wanted: &str) -> bool {
    content_type.is_some_and(|value| value.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(wanted))
}

/// Whether an `Accept` lets this media type through; absent means everything (RFC 9110 12.5.1).
#[must_use]
pub fn accepts(accept: Option<&str>, wanted: &str) -> bool {
    let Some(accept) = accept.filter(|value| !value.trim().is_empty()) else { return true };
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let refused = parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0f32)));
        let group = wanted.split('/').next().unwrap_or("");
        let matches = name == "*/*" || name.eq_ignore_ascii_case(wanted) || name.strip_suffix("/*") == Some(group);
        matches && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_compared_without_their_parameters() {
        assert!(is_type(Some("Application/SDP; charset=utf-8"), SDP));
        assert!(!is_type(Some("application/sdpx"), SDP) && !is_type(None, SDP));
        for allowed in [None, Some(""), Some("*/*"), Some("text/html, application/*;q=0.8"), Some("application/sdp")] {
            assert!(accepts(allowed, SDP), "{allowed:?}");
        }
        for refused in ["text/html", "application/json", "application/sdp;q=0", "text/*"] {
            assert!(!accepts(Some(refused), SDP), "{refused}");
        }
    }
}
