//! Data channels by name, and the establishment protocol DCEP (RFC 8832).

const OPEN: u8 = 3;
/// DATA_CHANNEL_ACK, the whole message.
pub(crate) const ACK: [u8; 1] = [2];
const UNORDERED: u8 = 0x80;
const OPEN_HEADER: usize = 12;
/// Channels per peer; LiveKit uses three.
pub(crate) const MAX_CHANNELS: usize = 64;

/// How a channel delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reliability {
    /// DCEP channel type: bit 7 unordered, 0 reliable, 1 limited retransmissions, 2 limited lifetime.
    pub kind: u8,
    /// Retransmissions or milliseconds.
    pub parameter: u32,
}

impl Reliability {
    pub fn new(ordered: bool, max_retransmits: Option<u32>) -> Self {
        let limited = u8::from(max_retransmits.is_some());
        Self { kind: limited | if ordered { 0 } else { UNORDERED }, parameter: max_retransmits.unwrap_or(0) }
    }

    pub fn unordered(self) -> bool {
        self.kind & UNORDERED != 0
    }

    pub fn limit(self) -> u8 {
        self.kind & !UNORDERED
    }
}

/// A channel, wanted or existing.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Stream id, once the association could give one.
    pub id: Option<u16>,
    pub label: String,
    pub reliability: Reliability,
    /// Both sides know it.
    pub open: bool,
}

/// A DCEP message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Dcep {
    Open { label: String, reliability: Reliability },
    Ack,
}

impl Dcep {
    pub fn parse(message: &[u8]) -> Option<Self> {
        match *message.first()? {
            2 => Some(Self::Ack),
            OPEN if message.len() >= OPEN_HEADER => {
                let parameter = u32::from_be_bytes(message[4..8].try_into().ok()?);
                let length = usize::from(u16::from_be_bytes([message[8], message[9]]));
                let label = message.get(OPEN_HEADER..OPEN_HEADER + length)?;
                let label = String::from_utf8_lossy(label).into_owned();
                Some(Self::Open { label, reliability: Reliability { kind: message[1], parameter } })
            }
            _ => None,
        }
    }

    pub fn open(label: &str, reliability: Reliability) -> Vec<u8> {
        let label = &label.as_bytes()[..label.len().min(usize::from(u16::MAX))];
        let mut message = vec![OPEN, reliability.kind, 0, 0];
        message.extend_from_slice(&reliability.parameter.to_be_bytes());
        message.extend_from_slice(&(label.len() as u16).to_be_bytes());
        message.extend_from_slice(&[0, 0]);
        message.extend_from_slice(label);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dcep_round_trip() {
        let reliability = Reliability::new(false, Some(0));
        assert_eq!((reliability.kind, reliability.limit(), reliability.unordered()), (0x81, 1, true));
        let message = Dcep::open("_lossy", reliability);
        assert_eq!(Dcep::parse(&message), Some(Dcep::Open { label: "_lossy".into(), reliability }));
        assert_eq!(Dcep::parse(&ACK), Some(Dcep::Ack));
        assert_eq!(Dcep::parse(&message[..message.len() - 1]), None);
        assert_eq!(Dcep::parse(&[]), None);
    }
}
