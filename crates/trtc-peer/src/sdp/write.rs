//! Writes our descriptions.
use super::model::{Kind, Section};
use crate::ice::Credentials;
use crate::types::CodecSpec;
use std::fmt::{self, Write};
use std::net::SocketAddr;

/// Type preference of host candidates (RFC 8445 5.1.2.2).
const UDP_HOST: u32 = 126;
/// Less than any of UDP (RFC 6544 4.2); the value of libwebrtc.
const TCP_HOST: u32 = 90;
const ACTIVE: &str = " tcptype active";

/// What a description says about the transport.
pub(crate) struct Head<'a> {
    pub session_id: u64,
    pub version: u64,
    pub ice_lite: bool,
    pub credentials: &'a Credentials,
    pub fingerprint: &'a str,
    pub setup: &'a str,
    pub candidates: &'a [SocketAddr],
    pub tcp_candidates: &'a [SocketAddr],
    pub active_tcp: bool,
    pub max_message_bytes: u32,
}

/// The whole text.
pub(crate) fn write<'a>(head: &Head<'_>, sections: impl Iterator<Item = &'a Section> + Clone) -> String {
    let mut out = String::with_capacity(4096);
    // writing into a String cannot fail
    let _ = try_write(&mut out, head, sections);
    out
}

fn try_write<'a>(
    out: &mut String,
    head: &Head<'_>,
    sections: impl Iterator<Item = &'a Section> + Clone,
) -> fmt::Result {
    write!(out, "v=0\r\no=- {} {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", head.session_id, head.version)?;
    if head.ice_lite {
        out.write_str("a=ice-lite\r\n")?;
    }
    out.write_str("a=group:BUNDLE")?;
    for section in sections.clone().filter(|section| !section.rejected) {
        write!(out, " {}", section.mid)?;
    }
    out.write_str("\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS *\r\n")?;
    for (at, section) in sections.enumerate() {
        write_media_line(out, section)?;
        write_transport(out, head, section, at == 0)?;
        match section.kind {
            Kind::Application => {
                write!(out, "a=sctp-port:5000\r\na=max-message-size:{}\r\n", head.max_message_bytes)?;
            }
            _ => write_media(out, section)?,
        }
    }
    Ok(())
}

fn write_media_line(out: &mut String, section: &Section) -> fmt::Result {
    let port = if section.rejected { 0 } else { 9 };
    if section.kind == Kind::Application {
        write!(out, "m=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\n")?;
    } else {
        write!(out, "m={} {port} UDP/TLS/RTP/SAVPF", section.kind.name())?;
        if section.codecs.is_empty() {
            write!(out, " {}", section.first_format)?;
        }
        for codec in &section.codecs {
            // What stands first is what the other side sends in.
            let (before, after) = match codec.red_payload_type {
                red if section.direction.receives => (red, None),
                red => (None, red),
            };
            let media = Some(codec.payload_type);
            for payload_type in [before, media, codec.rtx_payload_type, after].into_iter().flatten() {
                write!(out, " {payload_type}")?;
            }
        }
        out.write_str("\r\n")?;
    }
    out.write_str("c=IN IP4 0.0.0.0\r\n")
}

fn write_transport(out: &mut String, head: &Head<'_>, section: &Section, first: bool) -> fmt::Result {
    let Credentials { ufrag, password } = head.credentials;
    write!(out, "a=mid:{}\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n", section.mid)?;
    write!(out, "a=ice-options:trickle\r\na=fingerprint:sha-256 {}\r\na=setup:{}\r\n", head.fingerprint, head.setup)?;
    if first {
        let mut foundation = 0;
        let mut candidate = |address: &SocketAddr, preference: u32, protocol: &str, tail: &str| {
            foundation += 1;
            // RFC 8445 5.1.2: the first address is preferred
            let priority = (preference << 24) + ((65_535 - (foundation - 1) % 65_535) << 8) + 255;
            // RFC 6544 4.5: an active candidate has no port that anybody could use
            let port = if tail == ACTIVE { 9 } else { address.port() };
            let ip = address.ip();
            write!(out, "a=candidate:{foundation} 1 {protocol} {priority} {ip} {port} typ host{tail}\r\n")
        };
        head.candidates.iter().try_for_each(|address| candidate(address, UDP_HOST, "udp", ""))?;
        head.tcp_candidates.iter().try_for_each(|address| candidate(address, TCP_HOST, "tcp", " tcptype passive"))?;
        if head.active_tcp {
            head.candidates.iter().try_for_each(|address| candidate(address, TCP_HOST, "tcp", ACTIVE))?;
        }
        if !head.candidates.is_empty() {
            out.write_str("a=end-of-candidates\r\n")?;
        }
    }
    Ok(())
}

fn write_media(out: &mut String, section: &Section) -> fmt::Result {
    write!(out, "a={}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n", section.direction.name())?;
    for (id, uri) in &section.extensions {
        write!(out, "a=extmap:{id} {uri}\r\n")?;
    }
    section.codecs.iter().try_for_each(|codec| write_codec(out, codec))?;
    if !section.rids.is_empty() && section.direction.sends != section.direction.receives {
        let direction = if section.direction.sends { "send" } else { "recv" };
        for rid in &section.rids {
            write!(out, "a=rid:{rid} {direction}\r\n")?;
        }
        write!(out, "a=simulcast:{direction} {}\r\n", section.rids.join(";"))?;
    }
    if section.direction.sends {
        write_streams(out, section)?;
    }
    Ok(())
}

fn write_codec(out: &mut String, codec: &CodecSpec) -> fmt::Result {
    let (format, rate) = (codec.payload_type, codec.clock_rate);
    write!(out, "a=rtpmap:{format} {}/{rate}", display_name(&codec.name))?;
    if codec.channels > 1 {
        write!(out, "/{}", codec.channels)?;
    }
    out.write_str("\r\n")?;
    if !codec.fmtp.is_empty() {
        write!(out, "a=fmtp:{format} {}\r\n", codec.fmtp)?;
    }
    for feedback in &codec.feedback {
        write!(out, "a=rtcp-fb:{format} {feedback}\r\n")?;
    }
    if let Some(repair) = codec.rtx_payload_type {
        write!(out, "a=rtpmap:{repair} rtx/{rate}\r\na=fmtp:{repair} apt={format}\r\n")?;
    }
    if let Some(red) = codec.red_payload_type {
        write!(out, "a=rtpmap:{red} red/{rate}/{}\r\na=fmtp:{red} {format}/{format}\r\n", codec.channels)?;
    }
    Ok(())
}

fn write_streams(out: &mut String, section: &Section) -> fmt::Result {
    let Some((stream, track)) = &section.msid else { return Ok(()) };
    let (stream, track) = (clean(stream), clean(track));
    write!(out, "a=msid:{stream} {track}\r\n")?;
    // the CNAME must name somebody even where the stream has no name
    let cname = if stream == "-" { &track } else { &stream };
    for (media, repair) in &section.fid {
        write!(out, "a=ssrc-group:FID {media} {repair}\r\n")?;
    }
    for ssrc in &section.ssrcs {
        write!(out, "a=ssrc:{ssrc} cname:{cname}\r\na=ssrc:{ssrc} msid:{stream} {track}\r\n")?;
    }
    Ok(())
}

/// Names are case-insensitive (RFC 8866 6.6), but peers compare them with care only sometimes.
fn display_name(name: &str) -> String {
    match name {
        "h264" | "h265" | "vp8" | "vp9" | "av1" | "pcmu" | "pcma" | "g722" => name.to_ascii_uppercase(),
        other => other.to_owned(),
    }
}

/// An id must not break its line.
fn clean(id: &str) -> String {
    let token: String = id.chars().map(|c| if c.is_control() || c.is_whitespace() { '_' } else { c }).collect();
    if token.is_empty() { "-".to_owned() } else { token }
}
