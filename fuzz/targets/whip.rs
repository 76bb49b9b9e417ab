//! WHIP and WHEP: an offer, then PATCH bodies behind their `If-Match` lines, all separated by NUL.
use trtc_stream::whip::{Fragment, Offer, Patch, Resource, Role, SDP, accepts, is_type};

/// A session's life.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\0');
    let offer = parts.next().unwrap_or_default();
    let mut resources: Vec<Resource> = Vec::new();
    for role in [Role::Publish, Role::Watch] {
        match Offer::parse(offer, role) {
            Ok(read) => resources.push(Resource::new(offer.to_owned(), read.credentials)),
            Err(refusal) => assert!((400..500).contains(&refusal.status) && !refusal.text.is_empty()),
        }
    }
    for part in parts.take(8) {
        let (head, body) = part.split_once('\n').unwrap_or(("", part));
        let _ = (is_type(Some(head), SDP), accepts(Some(head), SDP));
        let fragment = match Fragment::parse(body) {
            Ok(fragment) => fragment,
            Err(refusal) => {
                assert_eq!(refusal.status, 400);
                continue;
            }
        };
        for resource in &mut resources {
            let if_match = match head.trim() {
                "" => None,
                "=" => Some(resource.etag()),
                other => Some(other.to_owned()),
            };
            match resource.patch(if_match.as_deref(), &fragment) {
                Ok(Patch::Restart { offer, credentials }) => {
                    assert!(Fragment::parse(&Fragment::of_answer(&offer)).is_ok_and(|f| f.credentials.is_some()));
                    resource.restarted(offer, credentials);
                }
                Ok(Patch::Candidates(candidates)) => assert!(candidates.len() <= 64),
                Err(refusal) => assert!([412, 428].contains(&refusal.status)),
            }
        }
    }
}
