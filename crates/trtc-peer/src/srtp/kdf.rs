//! Key derivation of RFC 3711 4.3 with derivation rate 0.
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// The label of a derived key.
#[derive(Clone, Copy)]
pub(super) enum Label {
    RtpKey = 0,
    RtpAuth = 1,
    RtpSalt = 2,
    RtcpKey = 3,
    RtcpAuth = 4,
    RtcpSalt = 5,
}

/// `length` bytes for `label`. AES-CM as PRF is nothing but the key stream of AES-CTR from that start value.
pub(super) fn derive(key: &[u8], salt: &[u8], label: Label, length: usize) -> Option<Vec<u8>> {
    let mut iv = [0u8; 16];
    // a 96-bit salt stands left-justified in the 112 bits (RFC 7714 11)
    iv.get_mut(..salt.len().min(14))?.copy_from_slice(salt.get(..salt.len().min(14))?);
    iv[7] ^= label as u8;
    let algorithm = if key.len() == 16 { &AES_128 } else { &AES_256 };
    let cipher = EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    let mut out = vec![0; length];
    cipher.less_safe_encrypt(&mut out, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::tests::hex;
    use super::*;

    /// RFC 3711 B.3
    #[test]
    fn key_derivation_vectors() {
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        assert_eq!(derive(&key, &salt, Label::RtpKey, 16).unwrap(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(derive(&key, &salt, Label::RtpSalt, 14).unwrap(), hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(derive(&key, &salt, Label::RtpAuth, 20).unwrap(), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }
}
