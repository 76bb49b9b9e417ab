//! Custom command messages and the limits on both sides.
use super::bytes::Bytes;
use std::time::{Duration, Instant};
use trtc_proto::Message as _;
use trtc_proto::command;
use trtc_proto::livekit::{DataPacket, data_packet::Value};
use trtc_session::{COMMANDS_MAX_BYTES, COMMANDS_MAX_COUNT, CommandLimiter};
use trtc_sfu::DataGate;

/// Packets of one sender, one after the other.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut now = Instant::now();
    let (mut gate, mut limiter) = (DataGate::new(now), CommandLimiter::default());
    let (start, mut admitted, mut window) = (now, 0usize, Vec::new());
    while !bytes.is_empty() {
        let kind = bytes.u8();
        let (topic, payload, sequence) = if kind.is_multiple_of(4) {
            match DataPacket::decode(bytes.chunk(2_000)) {
                Ok(DataPacket { value: Some(Value::User(user)), sequence, .. }) => {
                    (user.topic.unwrap_or_default(), user.payload, sequence)
                }
                _ => continue,
            }
        } else if kind % 4 == 1 {
            let topic = if kind & 8 == 0 { format!("trtc.cmd.{}", bytes.text(4)) } else { bytes.text(16) };
            (topic, bytes.chunk(1_100).to_vec(), u32::from(bytes.u8()))
        } else {
            let payload = vec![kind; usize::from(bytes.u16()) % 1_200];
            ("trtc.cmd.".to_owned() + &(1 + bytes.u8() % 10).to_string(), payload, 0)
        };
        if let Some((id, seq, data)) = command::decode(&topic, &payload) {
            assert!((1..=10).contains(&id) && data.len() <= command::DATA_MAX_BYTES);
            assert_eq!(command::encode(id, seq, data), (topic.clone(), payload.clone()));
            if limiter.admit(now, data.len()) {
                window.push((now, data.len()));
            }
            window.retain(|(at, _)| now - *at < Duration::from_secs(1));
            assert!(window.len() <= COMMANDS_MAX_COUNT);
            assert!(window.iter().map(|(_, n)| n).sum::<usize>() <= COMMANDS_MAX_BYTES);
        }
        match gate.admit(now, &topic, payload.len(), sequence) {
            Ok(()) => admitted += payload.len(),
            Err(refusal) => assert!(!refusal.reason().is_empty()),
        }
        now += Duration::from_millis(u64::from(bytes.u8()));
    }
    let seconds = (now - start).as_secs() as usize + 1;
    assert!(admitted <= (65_536 + 8_000) * (seconds + 2) + 16_000, "{admitted} bytes in {seconds} s");
}
