//! Session descriptions, as a server and as a client, first ones and later ones (separated by NUL).
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use trtc_peer::{Config, IceRole, Identity, Peer, SendTrack};
use trtc_types::{CodecKind, MediaKind};

/// A certificate costs more than the rest of a run.
pub fn identity() -> Arc<Identity> {
    static IDENTITY: OnceLock<Arc<Identity>> = OnceLock::new();
    IDENTITY.get_or_init(|| Arc::new(Identity::generate(1_795_000_000).expect("a certificate"))).clone()
}

fn peer(server: bool, configured: u8) -> Peer {
    let config = Config {
        ice: if server { IceRole::Lite } else { IceRole::Controlled },
        local_candidates: vec![SocketAddr::from(([127, 0, 0, 1], 40_000))],
        accept_any_codec: server,
        answer_rids: server,
        transport_cc: configured & 1 == 0,
        remb: configured & 2 == 0,
        ..Config::default()
    };
    Peer::new(Arc::new(config), identity())
}

/// The first byte chooses the part that is played.
pub fn run(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    let now = Instant::now();
    let mut ours = peer(choice & 4 == 0, choice);
    let mut other = peer(choice & 4 != 0, 0);
    for (round, part) in text.split('\0').take(8).enumerate() {
        if (choice >> 3) & 1 == 1 && round == 0 {
            ours.add_send(track(MediaKind::Video, 9));
            ours.create_channel(now, "_reliable", true, None);
        }
        if choice & 16 != 0 {
            let _ = ours.create_offer();
            let _ = ours.accept_answer(now, part);
        } else if let Ok(answer) = ours.accept_offer(now, part) {
            // What we write we can read.
            assert!(other.accept_offer(now, &answer).is_ok() || !answer.is_empty());
        }
        for line in part.lines().filter(|line| line.contains("candidate:")).take(4) {
            ours.trickle(now, line);
        }
        let offer = ours.create_offer();
        // One whose sections are all rejected has nothing to carry the transport's lines, and is of no use to anybody.
        let live = |line: &str| line.starts_with("m=") && line.split(' ').nth(1) != Some("0");
        assert!(
            !offer.lines().any(live) || other.accept_offer(now, &offer).is_ok(),
            "our own offer is refused: {offer}"
        );
        let _ = (ours.receive_sections(), ours.poll_event(), ours.poll_send());
    }
}

pub fn track(kind: MediaKind, ssrc: u32) -> SendTrack {
    SendTrack {
        kind,
        codec: if kind == MediaKind::Audio { CodecKind::Opus } else { CodecKind::H264 },
        codec_spec: None,
        stream_id: "stream".into(),
        track_id: format!("track{ssrc}"),
        ssrc,
        rtx_ssrc: (kind == MediaKind::Video).then_some(ssrc + 1),
    }
}
