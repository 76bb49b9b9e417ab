//! AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714).
use super::kdf::{Label, derive};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const TAG: usize = 16;
const ENCRYPTED: u32 = 1 << 31;

/// One direction.
pub(super) struct Gcm {
    rtp: LessSafeKey,
    rtp_salt: [u8; 12],
    rtcp: LessSafeKey,
    rtcp_salt: [u8; 12],
}

impl Gcm {
    pub fn new(key: &[u8], salt: &[u8]) -> Option<Self> {
        let session_key = |label| load(&derive(key, salt, label, key.len())?);
        let session_salt = |label| derive(key, salt, label, 12)?.try_into().ok();
        Some(Self {
            rtp: session_key(Label::RtpKey)?,
            rtp_salt: session_salt(Label::RtpSalt)?,
            rtcp: session_key(Label::RtcpKey)?,
            rtcp_salt: session_salt(Label::RtcpSalt)?,
        })
    }

    /// With given session keys, for the test vectors.
    #[cfg(test)]
    pub fn with_session_keys(key: &[u8], salt: [u8; 12]) -> Option<Self> {
        Some(Self { rtp: load(key)?, rtp_salt: salt, rtcp: load(key)?, rtcp_salt: salt })
    }

    pub fn seal_rtp(&self, packet: &mut Vec<u8>, header: usize, ssrc: u32, index: u64) -> Option<()> {
        let (aad, payload) = packet.split_at_mut_checked(header)?;
        let nonce = rtp_nonce(&self.rtp_salt, ssrc, index);
        let tag = self.rtp.seal_in_place_separate_tag(nonce, Aad::from(&*aad), payload).ok()?;
        packet.extend_from_slice(tag.as_ref());
        Some(())
    }

    pub fn open_rtp(&self, packet: &mut [u8], header: usize, ssrc: u32, index: u64) -> Option<usize> {
        (packet.len() >= header + TAG).then_some(())?;
        let (aad, payload) = packet.split_at_mut(header);
        let nonce = rtp_nonce(&self.rtp_salt, ssrc, index);
        let plain = self.rtp.open_in_place(nonce, Aad::from(&*aad), payload).ok()?;
        Some(header + plain.len())
    }

    pub fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32) -> Option<()> {
        let trailer = (index | ENCRYPTED).to_be_bytes();
        let aad = rtcp_aad(packet, trailer);
        let nonce = rtcp_nonce(&self.rtcp_salt, ssrc, index);
        let tag = self.rtcp.seal_in_place_separate_tag(nonce, Aad::from(&aad), packet.get_mut(8..)?).ok()?;
        packet.extend_from_slice(tag.as_ref());
        packet.extend_from_slice(&trailer);
        Some(())
    }

    pub fn open_rtcp(&self, packet: &mut [u8], ssrc: u32) -> Option<usize> {
        let end = packet.len().checked_sub(4).filter(|end| *end >= 8 + TAG)?;
        let trailer: [u8; 4] = packet[end..].try_into().ok()?;
        let trailer_value = u32::from_be_bytes(trailer);
        // unencrypted SRTCP is legal but nobody sends it
        (trailer_value & ENCRYPTED != 0).then_some(())?;
        let aad = rtcp_aad(packet, trailer);
        let nonce = rtcp_nonce(&self.rtcp_salt, ssrc, trailer_value & !ENCRYPTED);
        let plain = self.rtcp.open_in_place(nonce, Aad::from(&aad), &mut packet[8..end]).ok()?;
        Some(8 + plain.len())
    }
}

fn load(key: &[u8]) -> Option<LessSafeKey> {
    let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
    Some(LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?))
}

/// RFC 7714 8.1: two zero octets, SSRC, 48-bit index; all XOR the salt.
fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[6..12], &index.to_be_bytes()[2..]);
    Nonce::assume_unique_for_key(nonce)
}

/// RFC 7714 9.1
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[8..12], &index.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Fixed header and SSRC of the packet, then the trailer.
fn rtcp_aad(packet: &[u8], trailer: [u8; 4]) -> [u8; 12] {
    let mut aad = [0; 12];
    aad[..8].copy_from_slice(&packet[..8]);
    aad[8..].copy_from_slice(&trailer);
    aad
}

fn xor(target: &mut [u8], mask: &[u8]) {
    target.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}
