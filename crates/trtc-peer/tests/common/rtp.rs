//! RTP and RTCP by hand: media that looks like Opus and H.264, and what tests read from packets.
use super::Random;
use std::collections::BTreeMap;
use trtc_peer::SendParams;
use trtc_types::MediaKind;

/// Payload bytes of a packet of a fragmented frame.
const FRAGMENT: usize = 1100;
/// Close to the wrap, so that every longer stream passes it.
const FIRST_SEQUENCE: u16 = 65_530;

/// The media in one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub payload: Vec<u8>,
    pub marker: bool,
    pub timestamp: u32,
}

/// Frames of Opus (20 ms) or H.264 (33 ms, the first one a key frame) in packets.
pub fn pieces(kind: MediaKind, frames: u32, random: &mut Random) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for frame in 0..frames {
        let (timestamp, payloads) = match kind {
            MediaKind::Audio => (frame * 960, vec![opus_payload(random)]),
            MediaKind::Video => (frame * 3000, h264_payloads(frame == 0, random)),
        };
        let last = payloads.len() - 1;
        pieces.extend(payloads.into_iter().enumerate().map(|(at, payload)| Piece {
            payload,
            marker: kind == MediaKind::Video && at == last,
            timestamp,
        }));
    }
    pieces
}

/// Random bytes.
pub fn noise(length: usize, random: &mut Random) -> Vec<u8> {
    (0..length).map(|_| random.next() as u8).collect()
}

/// A 20 ms CELT frame by its first byte (RFC 6716 3.1).
fn opus_payload(random: &mut Random) -> Vec<u8> {
    let length = 20 + random.below(140);
    [vec![0xfc], noise(length, random)].concat()
}

/// RFC 6184: a key frame is STAP-A (parameter sets) and FU-A, other frames are single units or FU-A.
fn h264_payloads(key: bool, random: &mut Random) -> Vec<Vec<u8>> {
    let size = if key { 6000 } else { 200 + random.below(3000) };
    let unit = if key { 0x65 } else { 0x41 };
    let body = noise(size, random);
    let mut payloads = Vec::new();
    if key {
        let sets: [&[u8]; 2] = [&[0x67, 0x42, 0xe0, 0x1f, 0xda, 1, 2, 3], &[0x68, 0xce, 0x06, 0xe2]];
        let units = sets.iter().flat_map(|set| [&(set.len() as u16).to_be_bytes()[..], set].concat());
        payloads.push(std::iter::once(0x78).chain(units).collect());
    }
    if size < FRAGMENT {
        payloads.push([vec![unit], body].concat());
        return payloads;
    }
    let count = size.div_ceil(FRAGMENT);
    payloads.extend(body.chunks(FRAGMENT).enumerate().map(|(at, chunk)| {
        let edges = u8::from(at == 0) << 7 | u8::from(at + 1 == count) << 6;
        [&[unit & 0x60 | 28, unit & 0x1f | edges], chunk].concat()
    }));
    payloads
}

/// Makes the packets of one of our tracks.
pub struct Sender {
    pub params: SendParams,
    pub ssrc: u32,
    sequence: u16,
    repair_sequence: u16,
    sent: BTreeMap<u16, Vec<u8>>,
}

impl Sender {
    pub fn new(params: SendParams, ssrc: u32) -> Self {
        Self { params, ssrc, sequence: FIRST_SEQUENCE, repair_sequence: 0, sent: BTreeMap::new() }
    }

    /// The next packet, with the negotiated MID and transport-wide sequence number.
    pub fn packet(&mut self, piece: &Piece, transport_sequence: &mut u16) -> Vec<u8> {
        let mut extensions: Vec<(u8, Vec<u8>)> = Vec::new();
        extensions.extend(self.params.ext_mid.map(|id| (id, self.params.mid.clone().into_bytes())));
        if let Some(id) = self.params.ext_twcc {
            extensions.push((id, transport_sequence.to_be_bytes().to_vec()));
            *transport_sequence = transport_sequence.wrapping_add(1);
        }
        let mut packet = header(self.params.payload_type, piece.marker, self.sequence, piece.timestamp, self.ssrc);
        write_extensions(&mut packet, &extensions);
        packet.extend_from_slice(&piece.payload);
        self.sent.insert(self.sequence, packet.clone());
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }

    /// Repeats a packet under the retransmission SSRC (RFC 4588).
    pub fn repair(&mut self, sequence: u16, ssrc: u32) -> Option<Vec<u8>> {
        let lost = view(self.sent.get(&sequence)?);
        let mut packet = header(self.params.rtx_payload_type?, lost.marker, self.repair_sequence, lost.timestamp, ssrc);
        self.repair_sequence += 1;
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(lost.payload);
        Some(packet)
    }
}

fn header(payload_type: u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type | u8::from(marker) << 7];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet
}

/// One-byte form (RFC 8285 4.2).
fn write_extensions(packet: &mut Vec<u8>, extensions: &[(u8, Vec<u8>)]) {
    if extensions.is_empty() {
        return;
    }
    let mut block = Vec::new();
    for (id, value) in extensions {
        block.push(id << 4 | (value.len() as u8 - 1));
        block.extend_from_slice(value);
    }
    block.resize(block.len().next_multiple_of(4), 0);
    packet[0] |= 0x10;
    packet.extend_from_slice(&[0xbe, 0xde, 0, (block.len() / 4) as u8]);
    packet.extend_from_slice(&block);
}

/// A plain RTP packet taken apart.
pub struct View<'a> {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub extensions: Vec<(u8, &'a [u8])>,
    pub payload: &'a [u8],
}

impl View<'_> {
    pub fn extension(&self, id: u8) -> Option<&[u8]> {
        self.extensions.iter().find(|(known, _)| *known == id).map(|(_, value)| *value)
    }

    pub fn piece(&self) -> Piece {
        Piece { payload: self.payload.to_vec(), marker: self.marker, timestamp: self.timestamp }
    }
}

/// Takes a well-formed packet with one-byte extensions apart.
pub fn view(packet: &[u8]) -> View<'_> {
    let mut at = 12 + 4 * usize::from(packet[0] & 15);
    let mut extensions = Vec::new();
    if packet[0] & 0x10 != 0 {
        assert_eq!(packet[at..at + 2], [0xbe, 0xde], "one-byte extensions");
        let end = at + 4 + 4 * usize::from(word(packet, at + 2));
        at += 4;
        while at < end {
            let (id, length) = (packet[at] >> 4, usize::from(packet[at] & 15) + 1);
            at += 1;
            if id != 0 {
                extensions.push((id, &packet[at..at + length]));
                at += length;
            }
        }
    }
    let padding = if packet[0] & 0x20 != 0 { usize::from(packet[packet.len() - 1]) } else { 0 };
    View {
        payload_type: packet[1] & 0x7f,
        marker: packet[1] & 0x80 != 0,
        sequence: word(packet, 2),
        timestamp: long(packet, 4),
        ssrc: long(packet, 8),
        extensions,
        payload: &packet[at..packet.len() - padding],
    }
}

/// One part of a compound RTCP packet.
#[derive(Debug)]
pub struct Report {
    /// Packet type: 200 SR, 201 RR, 202 SDES, 203 BYE, 205 transport feedback, 206 payload feedback.
    pub kind: u8,
    /// Feedback format or count of blocks.
    pub format: u8,
    /// Everything behind the common header.
    pub body: Vec<u8>,
}

impl Report {
    pub fn sender(&self) -> u32 {
        long(&self.body, 0)
    }

    /// What feedback is about.
    pub fn about(&self) -> u32 {
        long(&self.body, 4)
    }

    /// How many transport-wide sequence numbers feedback covers.
    pub fn transport_count(&self) -> u16 {
        word(&self.body, 10)
    }

    /// Sequence numbers of a generic NACK.
    pub fn missing(&self) -> Vec<u16> {
        let entries = self.body[8..].chunks_exact(4).flat_map(|entry| {
            let (first, mask) = (word(entry, 0), word(entry, 2));
            let more = (0..16).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| first.wrapping_add(bit + 1));
            std::iter::once(first).chain(more)
        });
        entries.collect()
    }
}

/// The parts of a compound packet.
pub fn reports(compound: &[u8]) -> Vec<Report> {
    let mut reports = Vec::new();
    let mut rest = compound;
    while rest.len() >= 4 {
        let (part, behind) = rest.split_at(4 + 4 * usize::from(word(rest, 2)));
        reports.push(Report { kind: part[1], format: part[0] & 0x1f, body: part[4..].to_vec() });
        rest = behind;
    }
    reports
}

/// A picture loss indication.
pub fn picture_loss(sender: u32, about: u32) -> Vec<u8> {
    [&[0x81, 206, 0, 2], &sender.to_be_bytes()[..], &about.to_be_bytes()].concat()
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
