//! The fuzz targets, one for each parser: a function of bytes that must return, whatever the bytes are. `fuzz/src/main.rs`
//! gives them to libFuzzer; `tests/fuzz_replay.rs` of the main workspace runs what was found once, without any tool.
mod bytes;
mod capi;
mod command;
mod config;
mod h264;
mod http;
mod ice_tcp;
mod opus;
mod packets;
mod sctp;
mod sdp;
mod server;
mod signalling;
mod tickets;
mod whip;

/// In requests of the `server` target this stands for the sid that the server gave to the member's newest track.
pub const MY_TRACK: &str = "TR_MINE0000000000";

/// A parser and how to reach it.
pub struct Target {
    /// Name of its folders in `corpus` and `regressions`, and of its dictionary.
    pub name: &'static str,
    /// Must return without a panic.
    pub run: fn(&[u8]),
    /// The parser's own files, whose regions are counted: prefixes of paths from the repository's root.
    pub sources: &'static [&'static str],
}

/// Every target.
pub const ALL: [Target; 14] = [
    Target {
        name: "signalling",
        run: signalling::run,
        sources: &[
            "crates/trtc-proto/src/livekit/",
            "crates/trtc-session/src/signal.rs",
            "crates/trtc-session/src/roster.rs",
            "crates/trtc-session/src/data.rs",
            "crates/trtc-session/src/candidate.rs",
        ],
    },
    Target { name: "sdp", run: sdp::run, sources: &["crates/trtc-peer/src/sdp/"] },
    Target {
        name: "packets",
        run: packets::run,
        sources: &[
            "crates/trtc-peer/src/stun.rs",
            "crates/trtc-peer/src/ice/",
            "crates/trtc-peer/src/peer/transport.rs",
            "crates/trtc-peer/src/srtp/",
            "crates/trtc-rtp/src/packet.rs",
            "crates/trtc-rtp/src/retransmission.rs",
            "crates/trtc-rtp/src/rtcp/",
        ],
    },
    Target {
        name: "sctp",
        run: sctp::run,
        sources: &["crates/trtc-peer/src/sctp.rs", "crates/trtc-peer/src/channels.rs"],
    },
    Target {
        name: "tickets",
        run: tickets::run,
        sources: &["crates/trtc-proto/src/ticket/", "crates/trtc-proto/src/jwt.rs"],
    },
    Target {
        name: "command",
        run: command::run,
        sources: &[
            "crates/trtc-proto/src/command.rs",
            "crates/trtc-sfu/src/data.rs",
            "crates/trtc-session/src/limiter.rs",
        ],
    },
    Target {
        name: "h264",
        run: h264::run,
        sources: &[
            "crates/trtc-bitstream/src/h264/",
            "crates/trtc-bitstream/src/bits.rs",
            "crates/trtc-rtp/src/h264.rs",
            "crates/trtc-rtp/src/video_receiver.rs",
        ],
    },
    Target { name: "opus", run: opus::run, sources: &["crates/trtc-bitstream/src/opus.rs"] },
    Target { name: "http", run: http::run, sources: &["crates/trtc-net/src/http.rs", "crates/trtc-net/src/url.rs"] },
    Target {
        name: "server",
        run: server::run,
        sources: &[
            "crates/trtc-server/src/auth.rs",
            "crates/trtc-server/src/http.rs",
            "crates/trtc-server/src/socket.rs",
            "crates/trtc-server/src/room/signal.rs",
            "crates/trtc-server/src/room/member.rs",
            "crates/trtc-server/src/room/messages.rs",
        ],
    },
    Target {
        name: "whip",
        run: whip::run,
        sources: &[
            "crates/trtc-stream/src/whip/fragment.rs",
            "crates/trtc-stream/src/whip/offer.rs",
            "crates/trtc-stream/src/whip/resource.rs",
            "crates/trtc-stream/src/whip/mod.rs",
        ],
    },
    Target {
        name: "config",
        run: config::run,
        sources: &["crates/trtc-server/src/config/", "crates/trtc-server/src/config.rs"],
    },
    Target { name: "ice_tcp", run: ice_tcp::run, sources: &["crates/trtc-net/src/batch/stream.rs"] },
    Target {
        name: "capi",
        run: capi::run,
        // Not `callbacks.rs`: nothing of a host is parsed there.
        sources: &[
            "src/capi/audio.rs",
            "src/capi/check.rs",
            "src/capi/cloud.rs",
            "src/capi/device.rs",
            "src/capi/error.rs",
            "src/capi/guard.rs",
            "src/capi/handle.rs",
            "src/capi/log.rs",
            "src/capi/message.rs",
            "src/capi/out.rs",
            "src/capi/params.rs",
            "src/capi/room.rs",
            "src/capi/sized.rs",
            "src/capi/source.rs",
            "src/capi/text.rs",
            "src/capi/video.rs",
        ],
    },
];
