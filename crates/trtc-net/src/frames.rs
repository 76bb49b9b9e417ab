//! Datagrams on a TCP connection: frames of RFC 4571 and messages of TURN on the way in, a bounded buffer on the way out.
use crate::batch::DATAGRAM_MAX;
use std::io::{self, ErrorKind, Write};
use std::ops::Range;

/// Bytes that may wait for one reader; a second at 2 Mbit/s.
const OUTPUT_MAX: usize = 256 * 1024;
/// Asked of the kernel for its own send buffer: what waits there is late.
pub(crate) const KERNEL_OUTPUT: usize = 128 * 1024;
/// Bytes read from one connection before others have their turn.
pub(crate) const CHUNK: usize = 16 * 1024;
const LENGTH: usize = 2;
const STUN_HEADER: usize = 20;
const CHANNEL_HEADER: usize = 4;

/// The next whole frame from `at`: its range, empty ones included (RFC 4571 section 2: to be ignored). An error for a frame
/// longer than any datagram: another protocol, or an attack.
pub(crate) fn next_frame(bytes: &[u8], at: usize) -> Result<Option<Range<usize>>, ()> {
    let Some(length) = bytes.get(at..at + LENGTH) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    whole(bytes, at + LENGTH..at + LENGTH + length)
}

/// The next whole STUN message or channel data of a TURN server from `at`, padding included (RFC 8656 section 12.5).
pub(crate) fn next_turn(bytes: &[u8], at: usize) -> Result<Option<Range<usize>>, ()> {
    let Some(head) = bytes.get(at..at + CHANNEL_HEADER) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let length = match head[0] {
        0..=3 => STUN_HEADER + length,
        0x40..=0x4f => CHANNEL_HEADER + length.next_multiple_of(4),
        _ => return Err(()),
    };
    whole(bytes, at..at + length)
}

fn whole(bytes: &[u8], range: Range<usize>) -> Result<Option<Range<usize>>, ()> {
    if range.len() > DATAGRAM_MAX {
        return Err(());
    }
    Ok((range.end <= bytes.len()).then_some(range))
}

/// What waits for a reader.
#[derive(Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends a datagram behind its length. False: there is no room.
    pub fn push_frame(&mut self, datagram: &[u8]) -> bool {
        let length = u16::try_from(datagram.len()).unwrap_or(0);
        if length == 0 || self.bytes.len() + LENGTH + datagram.len() > OUTPUT_MAX {
            return false;
        }
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(datagram);
        true
    }

    /// Appends bytes as they are. False: there is no room.
    pub fn push(&mut self, message: &[u8]) -> bool {
        let room = self.bytes.len() + message.len() <= OUTPUT_MAX;
        if room {
            self.bytes.extend_from_slice(message);
        }
        room
    }

    /// Writes what the connection takes now.
    pub fn write(&mut self, to: &mut impl Write) -> io::Result<()> {
        while self.written < self.bytes.len() {
            match to.write(&self.bytes[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.bytes.drain(..std::mem::take(&mut self.written));
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
        self.written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(CHUNK);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_turn_server_are_cut_where_they_end() {
        let mut bytes = vec![1, 1, 0, 4];
        bytes.extend([0; 20]);
        bytes.extend([0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]);
        assert_eq!(next_turn(&bytes, 0), Ok(Some(0..24)));
        assert_eq!(next_turn(&bytes, 24), Ok(Some(24..36)));
        assert_eq!(next_turn(&bytes[..35], 24), Ok(None), "padding belongs to it on a stream");
        assert_eq!(next_turn(&bytes, 36), Ok(None));
        assert_eq!(next_turn(b"HTTP/1.1", 0), Err(()));
        assert_eq!(next_turn(&[0, 1, 0xff, 0xfc], 0), Err(()), "longer than any datagram");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut output = Output::default();
        let taken = (0..1000).take_while(|_| output.push_frame(&[7; 1000])).count();
        assert_eq!(taken, OUTPUT_MAX / 1002);
        assert!(!output.push(&[0; 1200]) && !output.push_frame(&[]));
        let mut written = Vec::new();
        output.write(&mut written).unwrap();
        assert!(written.len() == taken * 1002 && output.is_empty());
    }
}
