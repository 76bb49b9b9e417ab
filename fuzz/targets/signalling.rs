//! Signalling: every message both ways, and what the client does with what a server says.
use super::bytes::Bytes;
use std::time::{Duration, Instant};
use trtc_proto::Message;
use trtc_proto::jwt::{self, Claims};
use trtc_proto::livekit::{DataPacket, SignalRequest, SignalResponse};
use trtc_session::{Action, LocalTrack, Session, SessionConfig, Target, TrackSettings};
use trtc_types::{CodecKind, MediaKind, TrackSource};

/// The first byte chooses.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.u8() % 4 {
        0 => round_trip::<SignalRequest>(bytes.rest()),
        1 => round_trip::<SignalResponse>(bytes.rest()),
        2 => round_trip::<DataPacket>(bytes.rest()),
        _ => session(&mut bytes),
    }
}

/// What was understood is written so that it is understood again.
fn round_trip<M: Message + Default + PartialEq>(bytes: &[u8]) {
    let Ok(first) = M::decode(bytes) else { return };
    let written = first.encode_to_vec();
    let again = M::decode(&written[..]).expect("our own bytes");
    // NaN differs from itself; its bytes do not.
    assert_eq!(again.encode_to_vec(), written);
}

/// A server that says anything at any time, and a network that fails at any time.
fn session(bytes: &mut Bytes<'_>) {
    let token = jwt::sign(&Claims { iss: "devkey".into(), sub: "me".into(), ..Claims::default() }, "secret");
    let mut session = Session::new(SessionConfig {
        hide_audience: true,
        token,
        auto_subscribe_audio: true,
        auto_subscribe_video: bytes.one_in(2),
        sdk_version: "0.0.0".into(),
    });
    let mut now = Instant::now();
    session.connect(now);
    drain(&mut session, now);
    while !bytes.is_empty() {
        let target = |byte: u8| if byte.is_multiple_of(2) { Target::Publisher } else { Target::Subscriber };
        match bytes.u8() % 16 {
            0..=4 => session.socket_message(now, bytes.chunk(4096)),
            5 => session.socket_opened(now),
            6 => session.socket_failed(now, Some(bytes.u16()).filter(|s| *s != 0), &bytes.text(100)),
            7 => session.socket_closed(now),
            8 => session.transport_connected(now, target(bytes.u8())),
            9 => session.transport_failed(now, target(bytes.u8())),
            10 => session.data_received(now, bytes.chunk(4096), bytes.one_in(2)),
            11 => {
                let label = if bytes.one_in(2) { "_reliable" } else { "_lossy" };
                session.data_channel_open(now, target(bytes.u8()), label);
            }
            12 => {
                now += Duration::from_millis(u64::from(bytes.u16()));
                if session.timeout().is_some_and(|at| at <= now) {
                    session.tick(now);
                }
            }
            13 => {
                let _ = session.publish(now, track(&bytes.text(4)));
            }
            14 => {
                let _ = session.send_user_data(now, &bytes.text(8), bytes.chunk(16), true, &[]);
                let _ = session.send_command(now, 1, bytes.chunk(16), true, true);
            }
            _ => {
                let sid = bytes.text(16);
                session.subscribe(now, &sid, bytes.one_in(2));
                session.track_settings(
                    now,
                    &sid,
                    TrackSettings { width: 640, height: 360, ..TrackSettings::default() },
                );
                session.set_muted(now, &sid, true);
            }
        }
        drain(&mut session, now);
    }
    session.leave(now);
    drain(&mut session, now);
}

fn track(cid: &str) -> LocalTrack {
    LocalTrack {
        cid: cid.into(),
        kind: MediaKind::Audio,
        source: TrackSource::Microphone,
        name: String::new(),
        codec: CodecKind::Opus,
        width: 0,
        height: 0,
        muted: false,
        stereo: false,
        layers: Vec::new(),
    }
}

/// Transports that answer whatever they are given. One input causes a bounded number of actions.
fn drain(session: &mut Session, now: Instant) {
    let mut count = 0;
    while let Some(action) = session.poll() {
        count += 1;
        assert!(count < 20_000, "actions without end");
        match action {
            Action::AcceptOffer { id, .. } => session.local_answer(now, "v=0\r\n".into(), id),
            Action::CreateOffer { .. } => session.local_offer(now, "v=0\r\n".into()),
            _ => {}
        }
    }
}
