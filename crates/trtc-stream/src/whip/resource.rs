//! A session as an HTTP resource: its entity tag names the ICE session, and a PATCH adds candidates or begins the next one.
use super::{Credentials, Fragment, Refusal};

/// A session's ICE state as its client sees it.
#[derive(Clone, Debug)]
pub struct Resource {
    offer: String,
    credentials: Credentials,
    restarts: u32,
}

/// What an accepted PATCH asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patch {
    /// More candidates of the client, for the present ICE session.
    Candidates(Vec<String>),
    /// A restart: answer this offer, then call [`Resource::restarted`] with it.
    Restart {
        /// The first offer with the new credentials and candidates.
        offer: String,
        /// The new credentials.
        credentials: Credentials,
    },
}

impl Resource {
    /// A session that was just made by an offer.
    #[must_use]
    pub fn new(offer: String, credentials: Credentials) -> Self {
        Self { offer, credentials, restarts: 0 }
    }

    /// The strong entity tag of the present ICE session, quoted.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"ice-{}\"", self.restarts)
    }

    /// What a PATCH with this `If-Match` and body means (RFC 9725 4.3).
    ///
    /// # Errors
    /// 428 without `If-Match`, 412 when it names another ICE session.
    pub fn patch(&self, if_match: Option<&str>, fragment: &Fragment) -> Result<Patch, Refusal> {
        let Some(if_match) = if_match else {
            return Err(Refusal::new(428, "PATCH needs If-Match: the ETag for candidates, * for an ICE restart"));
        };
        let tag = self.etag();
        // Strong comparison (RFC 9110 8.8.3.2): a weak tag never matches.
        if if_match.trim() != "*" && !if_match.split(',').any(|one| one.trim() == tag) {
            return Err(Refusal::new(412, format!("If-Match must be * or the present ETag {tag}")));
        }
        match fragment.credentials.as_ref().filter(|new| **new != self.credentials) {
            None => Ok(Patch::Candidates(fragment.candidates.clone())),
            Some(new) => {
                let offer = with_ice(&self.offer, new, &fragment.candidates);
                Ok(Patch::Restart { offer, credentials: new.clone() })
            }
        }
    }

    /// The restart was answered.
    pub fn restarted(&mut self, offer: String, credentials: Credentials) {
        self.offer = offer;
        self.credentials = credentials;
        self.restarts += 1;
    }
}

/// An offer with other ICE credentials and candidates; everything else holds on (RFC 9725 4.3.3).
fn with_ice(offer: &str, credentials: &Credentials, candidates: &[String]) -> String {
    let mut out = String::with_capacity(offer.len() + 64 * candidates.len());
    let mut sections = 0;
    for line in offer.lines().map(str::trim_end) {
        match line.split(':').next() {
            Some("a=ice-ufrag") => out.push_str(&format!("a=ice-ufrag:{}", credentials.ufrag)),
            Some("a=ice-pwd") => out.push_str(&format!("a=ice-pwd:{}", credentials.password)),
            Some("a=candidate") => continue,
            _ => out.push_str(line),
        }
        out.push_str("\r\n");
        sections += u32::from(line.starts_with("m="));
        if line.starts_with("a=mid:") && sections == 1 {
            candidates.iter().for_each(|candidate| out.push_str(&format!("a={candidate}\r\n")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::offer::tests::OFFER;
    use super::super::{Offer, Role};
    use super::*;

    fn resource() -> Resource {
        let offer = Offer::parse(OFFER, Role::Publish).unwrap();
        Resource::new(OFFER.to_owned(), offer.credentials)
    }

    fn fragment(text: &str) -> Fragment {
        Fragment::parse(text).unwrap()
    }

    const RESTART: &str = "a=ice-ufrag:ysXw\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\nm=audio 9 X 0\na=mid:0\na=candidate:7 1 udp 9 192.0.2.9 9 typ host\n";

    #[test]
    fn candidates_need_the_present_tag() {
        let resource = resource();
        let more = fragment("a=candidate:1 1 udp 1 192.0.2.1 5 typ host");
        let status = |tag: Option<&str>| resource.patch(tag, &more).map(|_| 204).unwrap_or_else(|r| r.status);
        assert_eq!(status(None), 428);
        assert_eq!(status(Some("\"other\"")), 412);
        assert_eq!(status(Some("W/\"ice-0\"")), 412);
        assert_eq!(status(Some("\"x\", \"ice-0\"")), 204);
        assert_eq!(status(Some("*")), 204);
        let same = fragment(
            "a=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\na=candidate:1 1 udp 1 192.0.2.1 5 typ host",
        );
        assert!(matches!(resource.patch(Some("\"ice-0\""), &same), Ok(Patch::Candidates(c)) if c.len() == 1));
    }

    #[test]
    fn a_restart_is_the_same_offer_with_other_credentials_and_a_new_tag() {
        let mut resource = resource();
        let Ok(Patch::Restart { offer, credentials }) = resource.patch(Some("*"), &fragment(RESTART)) else { panic!() };
        let parsed = Offer::parse(&offer, Role::Publish).unwrap();
        assert_eq!(parsed.credentials, credentials);
        assert!(!offer.contains("EsAw") && !offer.contains("candidate:1 "));
        assert_eq!(offer.matches("candidate:7 ").count(), 1);
        assert_eq!(offer.matches("m=").count(), 2);
        resource.restarted(offer, credentials);
        assert_eq!(resource.etag(), "\"ice-1\"");
        let late = fragment("a=candidate:1 1 udp 1 192.0.2.1 5 typ host");
        assert_eq!(resource.patch(Some("\"ice-0\""), &late).map_err(|r| r.status), Err(412), "of the old session");
        assert!(matches!(resource.patch(Some("*"), &fragment(RESTART)), Ok(Patch::Candidates(_))), "told twice");
    }
}
