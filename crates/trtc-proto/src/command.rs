//! Custom command messages on the wire: a user packet with topic `trtc.cmd.<1..=10>`, whose payload is a big-endian
//! sequence number (one counter per sender and command) followed by the data.

/// Start of every command topic.
pub const TOPIC_PREFIX: &str = "trtc.cmd.";
/// Most data bytes in one command (TRTC).
pub const DATA_MAX_BYTES: usize = 1000;

/// Topic and payload of a command. `cmd_id` is 1..=10; the caller checks it.
#[must_use]
pub fn encode(cmd_id: i32, seq: u32, data: &[u8]) -> (String, Vec<u8>) {
    let mut payload = Vec::with_capacity(4 + data.len());
    payload.extend_from_slice(&seq.to_be_bytes());
    payload.extend_from_slice(data);
    (format!("{TOPIC_PREFIX}{cmd_id}"), payload)
}

/// `(cmd_id, seq, data)` of a user packet, or `None` when it is no command.
#[must_use]
pub fn decode<'a>(topic: &str, payload: &'a [u8]) -> Option<(i32, u32, &'a [u8])> {
    let (seq, data) = payload.split_first_chunk::<4>()?;
    if data.len() > DATA_MAX_BYTES {
        return None;
    }
    Some((topic_id(topic)?, u32::from_be_bytes(*seq), data))
}

/// The command id of a topic. Only the canonical spelling counts: no sign, no leading zero.
#[must_use]
pub fn topic_id(topic: &str) -> Option<i32> {
    match topic.strip_prefix(TOPIC_PREFIX)?.as_bytes() {
        [digit @ b'1'..=b'9'] => Some(i32::from(digit - b'0')),
        b"10" => Some(10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for id in 1..=10 {
            let (topic, payload) = encode(id, 0x0102_0304, b"hi");
            assert_eq!(payload, [1, 2, 3, 4, b'h', b'i']);
            assert_eq!(decode(&topic, &payload), Some((id, 0x0102_0304, &b"hi"[..])));
        }
        let (topic, payload) = encode(1, u32::MAX, &[7; DATA_MAX_BYTES]);
        assert!(decode(&topic, &payload).is_some());
    }

    #[test]
    fn strangers_are_not_commands() {
        let payload = [0; 6];
        for topic in ["", "trtc.cmd.", "trtc.cmd.0", "trtc.cmd.11", "trtc.cmd.01", "trtc.cmd.+1", "trtc.cmd.1 ", "x"] {
            assert_eq!(decode(topic, &payload), None, "{topic}");
        }
        assert_eq!(decode("trtc.cmd.1", &[0; 3]), None);
        assert_eq!(decode("trtc.cmd.1", &[0; 5 + DATA_MAX_BYTES]), None);
    }
}
