//! What must be known of an offer before a peer sees it.
use super::{Credentials, Refusal, Role};
use trtc_types::MediaKind;

/// Codecs that are passed on, by their SDP names in lower case.
const AUDIO: [&str; 1] = ["opus"];
const VIDEO: [&str; 4] = ["vp8", "h264", "vp9", "av1"];
/// Layers of a simulcast section that are announced.
const RIDS_MAX: usize = 3;

/// An offer that keeps the rules of RFC 9725 4.2 and 4.4, or of its WHEP counterpart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// One audio, one video, or both.
    pub tracks: Vec<OfferedTrack>,
    /// ICE credentials of the client.
    pub credentials: Credentials,
}

/// A media section that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedTrack {
    /// Audio or video.
    pub kind: MediaKind,
    /// Second token of `a=msid`; the section's name where there is none.
    pub track_id: String,
    /// Simulcast layers, in the order of the offer.
    pub rids: Vec<String>,
}

#[derive(Default)]
struct Section<'a> {
    kind: Option<MediaKind>,
    rejected: bool,
    mid: &'a str,
    msid_track: &'a str,
    direction: &'a str,
    codecs: Vec<String>,
    rids: Vec<String>,
}

impl Offer {
    /// Reads an offer of a client.
    ///
    /// # Errors
    /// 400 for what is no offer, 406 for media that is not supported, 422 for a direction that cannot be.
    pub fn parse(sdp: &str, role: Role) -> Result<Self, Refusal> {
        if !sdp.starts_with("v=0") {
            return Err(Refusal::new(400, "the body must be an SDP offer that begins with v=0"));
        }
        let (mut sections, mut credentials, mut fingerprint) =
            (Vec::<Section<'_>>::new(), Credentials::default(), false);
        for line in sdp.lines().map(str::trim_end) {
            if let Some(media) = line.strip_prefix("m=") {
                sections.push(Section::new(media));
                continue;
            }
            let Some(attribute) = line.strip_prefix("a=") else { continue };
            let (key, value) = attribute.split_once(':').unwrap_or((attribute, ""));
            match key {
                // Bundled sections share them: the first ones count.
                "ice-ufrag" if credentials.ufrag.is_empty() => value.clone_into(&mut credentials.ufrag),
                "ice-pwd" if credentials.password.is_empty() => value.clone_into(&mut credentials.password),
                "fingerprint" => fingerprint |= value.to_ascii_lowercase().starts_with("sha-256 "),
                _ => sections.last_mut().into_iter().for_each(|section| section.attribute(key, value)),
            }
        }
        credentials.check()?;
        if !fingerprint {
            return Err(Refusal::new(400, "the offer must have a sha-256 fingerprint"));
        }
        let used: Vec<Section<'_>> = sections.into_iter().filter(|s| s.kind.is_some() && !s.rejected).collect();
        let count = |kind| used.iter().filter(|s| s.kind == Some(kind)).count();
        if used.is_empty() || count(MediaKind::Audio) > 1 || count(MediaKind::Video) > 1 {
            return Err(Refusal::new(406, "the offer must have one audio section, one video section, or one of each"));
        }
        used.iter().try_for_each(|section| section.check(role))?;
        Ok(Self { tracks: used.into_iter().filter_map(Section::into_track).collect(), credentials })
    }
}

impl<'a> Section<'a> {
    fn new(line: &str) -> Self {
        let mut fields = line.split_ascii_whitespace();
        let kind = match fields.next() {
            Some("audio") => Some(MediaKind::Audio),
            Some("video") => Some(MediaKind::Video),
            _ => None,
        };
        // A bundled section may have port 0 and still be used (RFC 9143 6).
        Self { kind, rejected: fields.next() == Some("0"), direction: "sendrecv", ..Self::default() }
    }

    fn attribute(&mut self, key: &'a str, value: &'a str) {
        match key {
            "mid" => self.mid = value,
            "bundle-only" => self.rejected = false,
            "msid" => self.msid_track = value.split_ascii_whitespace().nth(1).unwrap_or(""),
            "sendonly" | "recvonly" | "sendrecv" | "inactive" => self.direction = key,
            "rtpmap" => {
                let name = value.split(' ').nth(1).and_then(|codec| codec.split('/').next()).unwrap_or("");
                self.codecs.push(name.to_ascii_lowercase());
            }
            "rid" => {
                let mut fields = value.split(' ');
                if let (Some(name), Some("send")) = (fields.next(), fields.next())
                    && self.rids.len() < RIDS_MAX
                {
                    self.rids.push(name.to_owned());
                }
            }
            _ => {}
        }
    }

    fn check(&self, role: Role) -> Result<(), Refusal> {
        let (known, kind): (&[&str], _) =
            if self.kind == Some(MediaKind::Audio) { (&AUDIO, "audio") } else { (&VIDEO, "video") };
        let (wanted, protocol) = match role {
            Role::Publish => ("sendonly", "WHIP"),
            Role::Watch => ("recvonly", "WHEP"),
        };
        if self.direction != wanted && self.direction != "sendrecv" {
            let text = format!("the {kind} section must be {wanted} for {protocol}, got {}", self.direction);
            return Err(Refusal::new(422, text));
        }
        if !self.codecs.iter().any(|codec| known.contains(&codec.as_str())) {
            return Err(Refusal::new(406, format!("the {kind} section must offer one of: {}", known.join(", "))));
        }
        Ok(())
    }

    fn into_track(self) -> Option<OfferedTrack> {
        let id = if self.msid_track.is_empty() { self.mid } else { self.msid_track };
        let kind = self.kind?;
        let track_id = if id.is_empty() { kind_name(kind).to_owned() } else { id.chars().take(128).collect() };
        Some(OfferedTrack { kind, track_id, rids: self.rids })
    }
}

fn kind_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::whip) const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n\
        a=sendonly\r\na=msid:- mic\r\na=rtpmap:111 opus/48000/2\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        a=bundle-only\r\na=mid:1\r\na=sendonly\r\na=rtpmap:96 VP8/90000\r\na=rid:h send\r\na=rid:q send\r\n";

    fn status(sdp: &str, role: Role) -> u16 {
        Offer::parse(sdp, role).map_or_else(|refusal| refusal.status, |_| 201)
    }

    #[test]
    fn an_offer_is_read() {
        let offer = Offer::parse(OFFER, Role::Publish).unwrap();
        assert_eq!(offer.credentials.ufrag, "EsAw");
        let ids: Vec<&str> = offer.tracks.iter().map(|t| t.track_id.as_str()).collect();
        assert_eq!(ids, ["mic", "1"], "a section without msid goes by its name");
        assert_eq!(offer.tracks[1].rids, ["h", "q"]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_status() {
        let offer = OFFER;
        assert_eq!(status(offer, Role::Watch), 422, "a viewer does not send");
        assert_eq!(status(&offer.replace("sendonly", "recvonly"), Role::Watch), 201);
        assert_eq!(status(&offer.replace("sendonly", "sendrecv"), Role::Watch), 201);
        assert_eq!(status(&offer.replace("sendonly", "recvonly"), Role::Publish), 422);
        assert_eq!(status(&offer.replace("sendonly", "inactive"), Role::Publish), 422);
        assert_eq!(status("", Role::Publish), 400);
        assert_eq!(status("{}", Role::Publish), 400);
        assert_eq!(status(&offer.replace("sha-256", "sha-1"), Role::Publish), 400);
        assert_eq!(status(&offer.replace("ice-pwd", "ice-x"), Role::Publish), 400);
        assert_eq!(status(&offer.replace("EsAw", "Es w"), Role::Publish), 400);
        assert_eq!(status(&offer.replace("m=audio", "m=video"), Role::Publish), 406, "two of a kind");
        assert_eq!(status(&offer.replace("VP8", "H265"), Role::Publish), 406);
        assert_eq!(status(&offer.replace("opus", "PCMU"), Role::Publish), 406);
        assert_eq!(status(offer.split("m=audio").next().unwrap(), Role::Publish), 400, "nothing offered");
    }
}
