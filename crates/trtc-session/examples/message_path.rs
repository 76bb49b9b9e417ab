//! A deterministic loop over the life of a custom command message, to be counted by callgrind: `send_command` of an anchor's
//! session, the encoded `DataPacket`, `data_received` of another member's session, `Event::Command`. Prints the number of
//! messages and a checksum of what arrived.
//!
//! `valgrind --tool=callgrind target/release/examples/message_path 11000`
use std::time::{Duration, Instant};
use trtc_proto::jwt;
use trtc_proto::livekit::{self as lk, signal_response::Message as Response};
use trtc_session::{Action, Event, Session, SessionConfig, Target};

/// 25 messages of 200 bytes a second: within both limits, so that none is ever refused.
const INTERVAL: Duration = Duration::from_millis(40);
const DATA: usize = 200;

fn main() {
    let messages: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000);
    // Only a starting point: all times below are virtual.
    #[allow(clippy::disallowed_methods)]
    let start = Instant::now();
    println!("messages={messages} checksum={:016x}", exchange(start, messages));
}

fn exchange(start: Instant, messages: u64) -> u64 {
    let (mut anchor, mut other) = (joined(start, "anchor"), joined(start, "other"));
    let mut now = start;
    let mut data = [0_u8; DATA];
    let mut checksum = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |value: u64| checksum = (checksum ^ value).wrapping_mul(0x0000_0100_0000_01b3);
    for n in 0..messages {
        now += INTERVAL;
        data.iter_mut().zip(n..).for_each(|(byte, value)| *byte = value as u8);
        let reliable = n % 2 == 0;
        anchor.send_command(now, 1 + (n % 10) as i32, &data, reliable, reliable).expect("within the limits");
        while let Some(action) = anchor.poll() {
            let Action::SendData { payload, reliable } = action else { continue };
            other.data_received(now, &payload, reliable);
        }
        let mut commands = 0;
        while let Some(action) = other.poll() {
            let Action::Event(Event::Command { from, cmd_id, seq, data }) = action else { continue };
            commands += 1;
            let text: u64 = from.as_str().bytes().chain(data).map(u64::from).sum();
            [text, cmd_id as u64, u64::from(seq)].into_iter().for_each(&mut add);
        }
        assert_eq!(commands, 1, "message {n} did not arrive once");
    }
    checksum
}

/// A session in a room, with its data channels open.
fn joined(now: Instant, identity: &str) -> Session {
    let claims = jwt::Claims { iss: "devkey".into(), sub: identity.into(), ..jwt::Claims::default() };
    let mut session = Session::new(SessionConfig {
        hide_audience: false,
        token: jwt::sign(&claims, "secret"),
        auto_subscribe_audio: true,
        auto_subscribe_video: true,
        sdk_version: "bench".into(),
    });
    session.connect(now);
    session.socket_opened(now);
    let permission = lk::ParticipantPermission {
        can_subscribe: true,
        can_publish: true,
        can_publish_data: true,
        ..lk::ParticipantPermission::default()
    };
    let participant = lk::ParticipantInfo {
        sid: format!("PA_{identity}"),
        identity: identity.into(),
        permission: Some(permission),
        ..lk::ParticipantInfo::default()
    };
    let join = lk::JoinResponse {
        room: Some(lk::Room { name: "room".into(), ..lk::Room::default() }),
        participant: Some(participant),
        subscriber_primary: true,
        ..lk::JoinResponse::default()
    };
    session.socket_message(now, &lk::SignalResponse::frame(Response::Join(join)));
    let offer = lk::SessionDescription { r#type: "offer".into(), sdp: "v=0".into(), id: 1, ..Default::default() };
    session.socket_message(now, &lk::SignalResponse::frame(Response::Offer(offer)));
    session.local_answer(now, "v=0".into(), 1);
    session.transport_connected(now, Target::Subscriber);
    session.transport_connected(now, Target::Publisher);
    ["_reliable", "_lossy"].into_iter().for_each(|label| session.data_channel_open(now, Target::Publisher, label));
    let mut told = false;
    while let Some(action) = session.poll() {
        told |= matches!(action, Action::Event(Event::Joined { .. }));
    }
    assert!(told, "{identity} is not in the room");
    session
}
