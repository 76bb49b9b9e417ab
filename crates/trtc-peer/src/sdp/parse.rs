//! A tolerant parser: unknown lines are skipped, limits are enforced.
use super::model::{Description, Direction, Kind, Section};
use crate::ice::Credentials;
use crate::types::CodecSpec;
use std::net::SocketAddr;
use trtc_types::{Error, Result, Way};

const MAX_TEXT: usize = 1 << 20;
const MAX_SECTIONS: usize = 1024;
const MAX_CODECS: usize = 128;
const MAX_EXTENSIONS: usize = 64;
const MAX_SSRCS: usize = 64;
const MAX_FEEDBACK: usize = 16;
const MAX_RIDS: usize = 8;
const MAX_FMTP_BYTES: usize = 1_024;
const MAX_CANDIDATES: usize = 64;

/// Parses a description of the other side.
///
/// # Errors
/// `INVALID_PARAMETER` with the reason.
pub(crate) fn parse(text: &str) -> Result<Description> {
    if text.len() > MAX_TEXT || !text.starts_with("v=0") {
        return Err(Error::invalid("SDP must begin with v=0 and have at most 1 MiB"));
    }
    let mut parser = Parser::default();
    for line in text.lines() {
        let line = line.trim_end();
        if line.chars().any(char::is_control) {
            continue;
        }
        if let Some(media) = line.strip_prefix("m=") {
            parser.media(media)?;
        } else if let Some(attribute) = line.strip_prefix("a=") {
            let (key, value) = attribute.split_once(':').unwrap_or((attribute, ""));
            parser.attribute(key, value);
        }
    }
    parser.finish()
}

/// `[a=]candidate:..` to its address for component 1: over UDP, or over TCP where it listens (RFC 6544). Others (mDNS names)
/// give `None`; hidden hosts turn up as peer reflexive.
pub(crate) fn parse_candidate(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let text = text.strip_prefix("a=").unwrap_or(text);
    let mut fields = text.strip_prefix("candidate:").unwrap_or(text).split_ascii_whitespace();
    let (_foundation, component, protocol) = (fields.next()?, fields.next()?, fields.next()?);
    let (_priority, ip, port) = (fields.next()?, fields.next()?, fields.next()?);
    if component != "1" || fields.next()? != "typ" {
        return None;
    }
    let way = match protocol.to_ascii_lowercase().as_str() {
        "udp" => Way::Udp,
        "tcp" if fields.any(|field| field == "tcptype") && fields.next() == Some("passive") => Way::Tcp,
        _ => return None,
    };
    let address = SocketAddr::new(ip.parse().ok()?, port.parse().ok()?);
    let usable = address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast();
    usable.then(|| way.to(address))
}

#[derive(Default)]
struct Parser {
    sections: Vec<Parsed>,
    session: Transport,
    ice_lite: bool,
    candidates: Vec<(Option<usize>, SocketAddr)>,
    max_message_size: Option<u32>,
}

struct Parsed {
    section: Section,
    formats: Vec<CodecSpec>,
    transport: Transport,
}

/// Transport attributes, at session or section level.
#[derive(Default)]
struct Transport {
    credentials: Credentials,
    fingerprint: String,
    setup: String,
}

impl Parser {
    fn media(&mut self, line: &str) -> Result<()> {
        let mut fields = line.split_ascii_whitespace();
        let kind = match fields.next() {
            Some("audio") => Kind::Audio,
            Some("video") => Kind::Video,
            Some("application") => Kind::Application,
            other => {
                return Err(Error::invalid(format!("SDP media must be audio, video or application, got {other:?}")));
            }
        };
        if self.sections.len() >= MAX_SECTIONS {
            return Err(Error::invalid(format!("SDP must have at most {MAX_SECTIONS} sections")));
        }
        let mut section = Section::new(kind, String::new());
        section.rejected = fields.next() == Some("0");
        section.direction = Direction::SENDRECV;
        let formats: Vec<&str> = fields.skip(1).take(MAX_CODECS).collect();
        section.first_format = formats.first().copied().unwrap_or("0").to_owned();
        let formats = formats.iter().filter_map(|format| format.parse().ok());
        let formats = formats.filter(|_| kind != Kind::Application).map(static_format).collect();
        self.sections.push(Parsed { section, formats, transport: Transport::default() });
        Ok(())
    }

    fn attribute(&mut self, key: &str, value: &str) {
        let level = self.sections.len().checked_sub(1);
        let transport = match level {
            Some(at) => &mut self.sections[at].transport,
            None => &mut self.session,
        };
        match key {
            "ice-ufrag" => transport.credentials.ufrag = value.to_owned(),
            "ice-pwd" => transport.credentials.password = value.to_owned(),
            "setup" => transport.setup = value.to_owned(),
            "fingerprint" => {
                if let Some((algorithm, digest)) = value.split_once(' ')
                    && algorithm.eq_ignore_ascii_case("sha-256")
                {
                    transport.fingerprint = digest.trim().to_ascii_uppercase();
                }
            }
            "ice-lite" => self.ice_lite = true,
            "max-message-size" => self.max_message_size = value.parse().ok(),
            "candidate" => {
                if let Some(address) = parse_candidate(value)
                    && self.candidates.len() < MAX_CANDIDATES
                {
                    self.candidates.push((level, address));
                }
            }
            _ => {
                if let Some(at) = level {
                    self.sections[at].attribute(key, value);
                }
            }
        }
    }

    fn finish(mut self) -> Result<Description> {
        self.sections.iter_mut().for_each(Parsed::link_formats);
        // BUNDLE: the first section that is used has the transport
        let used = self.sections.iter().position(|parsed| !parsed.section.rejected);
        let first = used.map(|at| &self.sections[at].transport);
        let pick = |field: fn(&Transport) -> &str| {
            let own = first.map(field).filter(|text| !text.is_empty());
            own.unwrap_or(field(&self.session)).to_owned()
        };
        let credentials = Credentials {
            ufrag: pick(|transport| &transport.credentials.ufrag),
            password: pick(|transport| &transport.credentials.password),
        };
        let (fingerprint, setup) = (pick(|transport| &transport.fingerprint), pick(|transport| &transport.setup));
        if !(4..=256).contains(&credentials.ufrag.len()) || !(22..=256).contains(&credentials.password.len()) {
            return Err(Error::invalid("SDP must have ice-ufrag (4..=256 characters) and ice-pwd (22..=256)"));
        }
        if fingerprint.len() != 95 {
            return Err(Error::invalid("SDP must have a sha-256 fingerprint"));
        }
        let mut candidates = Vec::new();
        // sections without BUNDLE repeat the credentials, but with candidates of sockets that close
        let own = self.candidates.iter().any(|(level, _)| level.is_some() && *level == used);
        for (level, address) in self.candidates.iter().filter(|(level, _)| !own || level.is_none() || *level == used) {
            let ufrag = level.map_or("", |at| self.sections[at].transport.credentials.ufrag.as_str());
            if (ufrag.is_empty() || ufrag == credentials.ufrag) && !candidates.contains(address) {
                candidates.push(*address);
            }
        }
        let (ice_lite, max_message_size) = (self.ice_lite, self.max_message_size);
        let mut sections: Vec<Section> = self.sections.into_iter().map(|parsed| parsed.section).collect();
        name_sections(&mut sections)?;
        Ok(Description { credentials, fingerprint, setup, ice_lite, candidates, max_message_size, sections })
    }
}

impl Parsed {
    fn attribute(&mut self, key: &str, value: &str) {
        let section = &mut self.section;
        match key {
            "mid" => section.mid = value.to_owned(),
            // Its port is 0 and it is used all the same (RFC 9143 6).
            "bundle-only" => section.rejected = false,
            "msid" => {
                let mut ids = value.split_ascii_whitespace();
                section.msid = Some((ids.next().unwrap_or("-").to_owned(), ids.next().unwrap_or("").to_owned()));
            }
            "extmap" => {
                let Some((id, uri)) = value.split_once(' ') else { return };
                let id = id.split('/').next().and_then(|id| id.parse().ok()).filter(|id| (1..=14).contains(id));
                if let (Some(id), Some(uri)) = (id, uri.split(' ').next())
                    && section.extensions.len() < MAX_EXTENSIONS
                {
                    section.extensions.push((id, uri.to_owned()));
                }
            }
            "rid" => {
                let name = value.split(' ').next().unwrap_or("");
                let known = section.rids.iter().any(|rid| rid == name);
                if !known && section.rids.len() < MAX_RIDS && is_token(name) {
                    section.rids.push(name.to_owned());
                }
            }
            "simulcast" => self.order_rids(value),
            "ssrc" => {
                let ssrc = value.split(' ').next().and_then(|ssrc| ssrc.parse().ok());
                if let Some(ssrc) = ssrc.filter(|ssrc| !section.ssrcs.contains(ssrc))
                    && section.ssrcs.len() < MAX_SSRCS
                {
                    section.ssrcs.push(ssrc);
                }
            }
            "ssrc-group" => {
                let Some(group) = value.strip_prefix("FID ") else { return };
                let group: Vec<u32> = group.split(' ').filter_map(|ssrc| ssrc.parse().ok()).collect();
                if let [media, repair] = group[..]
                    && section.fid.len() < MAX_SSRCS
                {
                    section.fid.push((media, repair));
                }
            }
            "rtpmap" | "fmtp" | "rtcp-fb" => self.format_attribute(key, value),
            _ => {
                if let Some(direction) = Direction::from_name(key) {
                    section.direction = direction;
                }
            }
        }
    }

    fn format_attribute(&mut self, key: &str, value: &str) {
        let Some((format, value)) = value.split_once(' ') else { return };
        let chosen: Vec<&mut CodecSpec> = match format.parse::<u8>() {
            Ok(format) => self.formats.iter_mut().filter(|codec| codec.payload_type == format).collect(),
            Err(_) if format == "*" && key == "rtcp-fb" => self.formats.iter_mut().collect(),
            Err(_) => return,
        };
        for codec in chosen {
            match key {
                "rtpmap" => {
                    let mut fields = value.split('/');
                    codec.name = fields.next().unwrap_or("").trim().to_ascii_lowercase();
                    codec.clock_rate = fields.next().and_then(|rate| rate.trim().parse().ok()).unwrap_or(0);
                    codec.channels = fields.next().and_then(|channels| channels.trim().parse().ok()).unwrap_or(1);
                }
                // A server passes it on to everybody.
                "fmtp" if value.len() <= MAX_FMTP_BYTES => codec.fmtp = value.to_owned(),
                "fmtp" => {}
                _ if codec.feedback.len() < MAX_FEEDBACK => codec.feedback.push(value.trim().to_owned()),
                _ => {}
            }
        }
    }

    /// `send q;h;f` or `send q,x;~h`: the layers in order, without alternatives and pauses.
    fn order_rids(&mut self, value: &str) {
        let Some(list) = value.split_ascii_whitespace().nth(1) else { return };
        let order: Vec<&str> = list
            .split(';')
            .filter_map(|layer| layer.split(',').next())
            .map(|rid| rid.trim_start_matches('~'))
            .collect();
        let rank = |rid: &String| order.iter().position(|known| known == rid).unwrap_or(usize::MAX);
        self.section.rids.sort_by_key(rank);
    }

    /// Hangs each RTX format on the codec that it repairs (RFC 4588 8.6), RED on the codec that it repeats (RFC 2198 5) and drops
    /// nameless formats.
    fn link_formats(&mut self) {
        let formats = std::mem::take(&mut self.formats);
        let (repairs, mut codecs): (Vec<_>, Vec<_>) = formats.into_iter().partition(|codec| codec.name == "rtx");
        codecs.retain(|codec| !codec.name.is_empty());
        for repair in repairs {
            let parameter = repair.fmtp.split(';').find_map(|field| field.trim().strip_prefix("apt="));
            let Some(repaired) = parameter.and_then(|format| format.trim().parse::<u8>().ok()) else { continue };
            if let Some(codec) = codecs.iter_mut().find(|codec| codec.payload_type == repaired) {
                codec.rtx_payload_type = Some(repair.payload_type);
            }
        }
        let of_sound = |codec: &CodecSpec| codec.name == "red" && codec.clock_rate != 90_000;
        let (wraps, mut codecs): (Vec<_>, Vec<_>) = codecs.into_iter().partition(of_sound);
        for wrap in wraps {
            let mut repeated = wrap.fmtp.split('/').map(|format| format.trim().parse::<u8>().ok());
            let Some(Some(first)) = repeated.next() else { continue };
            let codec = codecs.iter_mut().find(|codec| codec.payload_type == first);
            if let Some(codec) = codec.filter(|_| repeated.all(|format| format == Some(first))) {
                codec.red_payload_type = Some(wrap.payload_type);
            }
        }
        self.section.codecs = codecs;
    }
}

/// A format of the m-line; a few static ones need no rtpmap (RFC 3551).
fn static_format(payload_type: u8) -> CodecSpec {
    let name = match payload_type {
        0 => "pcmu",
        8 => "pcma",
        9 => "g722",
        _ => "",
    };
    let clock_rate = if name.is_empty() { 0 } else { 8000 };
    CodecSpec { name: name.to_owned(), payload_type, clock_rate, channels: 1, ..Default::default() }
}

/// Every section needs a name of its own; nameless ones get their index.
fn name_sections(sections: &mut [Section]) -> Result<()> {
    let mut names = std::collections::BTreeSet::new();
    for (at, section) in sections.iter_mut().enumerate() {
        if section.mid.is_empty() {
            section.mid = at.to_string();
        }
        if !is_token(&section.mid) || !names.insert(section.mid.clone()) {
            return Err(Error::invalid(format!("SDP mid {:?} must be an unused token", section.mid)));
        }
    }
    Ok(())
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic())
}
