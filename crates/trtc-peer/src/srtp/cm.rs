//! AES128_CM_HMAC_SHA1_80 (RFC 3711 4.1.1 and 4.2): mandatory in WebRTC, and Chromium's choice as a DTLS server.
use super::kdf::{Label, derive};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

/// Length of the truncated HMAC.
pub(super) const TAG: usize = 10;
const ENCRYPTED: u32 = 1 << 31;

/// One direction.
pub(super) struct Cm {
    rtp: Keys,
    rtcp: Keys,
}

impl Cm {
    pub fn new(key: &[u8], salt: &[u8]) -> Option<Self> {
        Some(Self {
            rtp: Keys::new(key, salt, [Label::RtpKey, Label::RtpAuth, Label::RtpSalt])?,
            rtcp: Keys::new(key, salt, [Label::RtcpKey, Label::RtcpAuth, Label::RtcpSalt])?,
        })
    }

    pub fn seal_rtp(&self, packet: &mut Vec<u8>, header: usize, ssrc: u32, index: u64) -> Option<()> {
        self.rtp.crypt(ssrc, index, packet.get_mut(header..)?)?;
        let tag = self.rtp.tag(packet, &roll_over(index));
        packet.extend_from_slice(&tag.as_ref()[..TAG]);
        Some(())
    }

    pub fn open_rtp(&self, packet: &mut [u8], header: usize, ssrc: u32, index: u64) -> Option<usize> {
        let end = packet.len().checked_sub(TAG).filter(|end| *end >= header)?;
        let tag = self.rtp.tag(&packet[..end], &roll_over(index));
        verify_slices_are_equal(&tag.as_ref()[..TAG], &packet[end..]).ok()?;
        self.rtp.crypt(ssrc, index, &mut packet[header..end])?;
        Some(end)
    }

    pub fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32) -> Option<()> {
        self.rtcp.crypt(ssrc, u64::from(index), packet.get_mut(8..)?)?;
        packet.extend_from_slice(&(index | ENCRYPTED).to_be_bytes());
        let tag = self.rtcp.tag(packet, &[]);
        packet.extend_from_slice(&tag.as_ref()[..TAG]);
        Some(())
    }

    pub fn open_rtcp(&self, packet: &mut [u8], ssrc: u32) -> Option<usize> {
        let signed = packet.len().checked_sub(TAG).filter(|signed| *signed >= 12)?;
        let tag = self.rtcp.tag(&packet[..signed], &[]);
        verify_slices_are_equal(&tag.as_ref()[..TAG], &packet[signed..]).ok()?;
        let end = signed - 4;
        let trailer = u32::from_be_bytes(packet[end..signed].try_into().ok()?);
        if trailer & ENCRYPTED != 0 {
            self.rtcp.crypt(ssrc, u64::from(trailer & !ENCRYPTED), &mut packet[8..end])?;
        }
        Some(end)
    }
}

/// Only RTP signs the roll-over counter; SRTCP carries its index.
fn roll_over(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

struct Keys {
    cipher: EncryptingKey,
    auth: hmac::Key,
    salt: [u8; 14],
}

impl Keys {
    fn new(key: &[u8], salt: &[u8], [cipher, auth, session_salt]: [Label; 3]) -> Option<Self> {
        let cipher = UnboundCipherKey::new(&AES_128, &derive(key, salt, cipher, 16)?).ok()?;
        Some(Self {
            cipher: EncryptingKey::ctr(cipher).ok()?,
            auth: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &derive(key, salt, auth, 20)?),
            salt: derive(key, salt, session_salt, 14)?.try_into().ok()?,
        })
    }

    /// RFC 3711 4.1.1; the same operation both ways.
    fn crypt(&self, ssrc: u32, index: u64, data: &mut [u8]) -> Option<()> {
        let mut iv = [0u8; 16];
        iv[..14].copy_from_slice(&self.salt);
        iv[4..8].iter_mut().zip(ssrc.to_be_bytes()).for_each(|(byte, mask)| *byte ^= mask);
        iv[8..14].iter_mut().zip(&index.to_be_bytes()[2..]).for_each(|(byte, mask)| *byte ^= mask);
        self.cipher.less_safe_encrypt(data, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
        Some(())
    }

    fn tag(&self, signed: &[u8], more: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.auth);
        context.update(signed);
        context.update(more);
        context.sign()
    }
}
