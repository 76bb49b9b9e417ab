//! Bodies of PATCH: SDP fragments of RFC 8840 9.
use super::{Credentials, Refusal};
use std::fmt::Write as _;

/// Candidates that one PATCH may bring.
const CANDIDATES_MAX: usize = 64;
const CANDIDATE_MAX_BYTES: usize = 512;

/// What a client tells by PATCH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// Which ICE session it is about, or the next one.
    pub credentials: Option<Credentials>,
    /// `candidate:...`
    pub candidates: Vec<String>,
    /// There will be no more.
    pub complete: bool,
}

impl Fragment {
    /// Reads the body of a PATCH.
    ///
    /// # Errors
    /// 400 for what is no fragment.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut fragment = Self::default();
        let (mut ufrag, mut password) = (None, None);
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            let bytes = line.as_bytes();
            if bytes.get(1) != Some(&b'=') || line.chars().any(char::is_control) {
                return Err(Refusal::new(400, "every line of an SDP fragment must have the form x=value"));
            }
            let Some(attribute) = line.strip_prefix("a=") else { continue };
            let (key, value) = attribute.split_once(':').unwrap_or((attribute, ""));
            match key {
                "ice-ufrag" => ufrag = ufrag.or(Some(value)),
                "ice-pwd" => password = password.or(Some(value)),
                "end-of-candidates" => fragment.complete = true,
                "candidate" if value.len() > CANDIDATE_MAX_BYTES || fragment.candidates.len() >= CANDIDATES_MAX => {
                    let text = format!("at most {CANDIDATES_MAX} candidates of at most {CANDIDATE_MAX_BYTES} bytes");
                    return Err(Refusal::new(400, text));
                }
                "candidate" => fragment.candidates.push(attribute.to_owned()),
                _ => {}
            }
        }
        fragment.credentials = match (ufrag, password) {
            (None, None) => None,
            (Some(ufrag), Some(password)) => {
                let credentials = Credentials { ufrag: ufrag.to_owned(), password: password.to_owned() };
                credentials.check()?;
                Some(credentials)
            }
            _ => return Err(Refusal::new(400, "ice-ufrag and ice-pwd must come together")),
        };
        if fragment == Self::default() {
            return Err(Refusal::new(400, "the fragment must have candidates or ICE credentials"));
        }
        Ok(fragment)
    }

    /// The ICE part of an answer as a fragment: what a client learns from a restart (RFC 9725 4.3.3).
    #[must_use]
    pub fn of_answer(answer: &str) -> String {
        let find = |prefix: &str| answer.lines().find(|line| line.starts_with(prefix));
        let mut out = String::with_capacity(512);
        let mut put = |line: Option<&str>| line.into_iter().for_each(|line| _ = write!(out, "{line}\r\n"));
        ["a=ice-lite", "a=ice-ufrag:", "a=ice-pwd:", "m=", "a=mid:"].into_iter().for_each(|prefix| put(find(prefix)));
        answer.lines().filter(|line| line.starts_with("a=candidate:")).for_each(|line| put(Some(line)));
        put(find("a=end-of-candidates"));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_9725_are_read() {
        let trickle = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n\
            a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\n\
            a=end-of-candidates\r\n";
        let read = Fragment::parse(trickle).unwrap();
        assert_eq!(read.candidates, ["candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host"]);
        assert!(read.complete && read.credentials.is_some());
        let restart = Fragment::parse("a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n").unwrap();
        assert_eq!(restart.credentials.unwrap().ufrag, "ysXw");
    }

    #[test]
    fn what_is_none_is_refused() {
        let many = "a=candidate:1 1 udp 1 192.0.2.1 5 typ host\n".repeat(65);
        let long = format!("a=candidate:{}", "x".repeat(600));
        for text in [
            "",
            "\r\n\r\n",
            "hello",
            "{\"a\":1}",
            "a=ice-ufrag:abcd",
            "a=ice-ufrag:a\na=ice-pwd:b",
            "m=audio",
            &many,
            &long,
        ] {
            assert_eq!(Fragment::parse(text).map_err(|r| r.status), Err(400), "{text:.40}");
        }
    }

    #[test]
    fn an_answer_gives_its_ice_part() {
        let answer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\na=ice-lite\r\na=group:BUNDLE 0\r\nm=audio 9 X 111\r\na=mid:0\r\n\
            a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=candidate:1 1 udp 2 192.0.2.1 5 typ host\r\n\
            a=end-of-candidates\r\na=rtpmap:111 opus/48000/2\r\nm=video 9 X 96\r\na=mid:1\r\n";
        let text = Fragment::of_answer(answer);
        assert!(text.starts_with("a=ice-lite\r\na=ice-ufrag:abcd\r\n") && text.ends_with("a=end-of-candidates\r\n"));
        assert_eq!(Fragment::parse(&text).unwrap().candidates.len(), 1);
        assert!(!text.contains("rtpmap") && text.matches("a=mid").count() == 1);
    }
}
