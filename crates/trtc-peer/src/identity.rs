//! The self-signed certificate of a process and what every handshake shares.
use crate::dtls;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use dimpl::DtlsCertificate;
use trtc_types::{Code, Error, Result};

const DAY_S: u64 = 86_400;

/// A P-256 key with its self-signed certificate. One per process is enough; 2 ms to make.
pub struct Identity {
    fingerprint: String,
    pub(crate) certificate: DtlsCertificate,
    pub(crate) dtls: dtls::Configs,
    pub(crate) sctp: crate::sctp::Shared,
}

impl Identity {
    /// A new key; the certificate is valid from yesterday for a year.
    ///
    /// # Errors
    /// `FAILED` when the cryptographic library refuses.
    pub fn generate(unix_now_s: u64) -> Result<Self> {
        let certificate =
            self_signed(unix_now_s).ok_or_else(|| Error::new(Code::FAILED, "cannot make a certificate"))?;
        Ok(Self {
            fingerprint: fingerprint(&certificate.certificate),
            certificate,
            dtls: dtls::Configs::new()?,
            sctp: crate::sctp::Shared::new(),
        })
    }

    /// SHA-256 of the certificate as in `a=fingerprint`.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// `AB:CD:..` of a DER certificate.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let bytes: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// X.509 v3 (RFC 5280), ECDSA with SHA-256, subject and issuer `CN=webrtc`.
fn self_signed(unix_now_s: u64) -> Option<DtlsCertificate> {
    const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).ok()?;
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).ok()?;
    let algorithm = der(SEQUENCE, &[&der(OID, &[ECDSA_SHA256])]);
    let attribute = der(SEQUENCE, &[&der(OID, &[COMMON_NAME]), &der(UTF8, &[b"webrtc"])]);
    let name = der(SEQUENCE, &[&der(SET, &[&attribute])]);
    let key_algorithm = der(SEQUENCE, &[&der(OID, &[EC_PUBLIC_KEY]), &der(OID, &[P256])]);
    let public_key = der(SEQUENCE, &[&key_algorithm, &der(BIT_STRING, &[&[0], key.public_key().as_ref()])]);
    let mut serial: [u8; 12] = rand::random();
    serial[0] = serial[0] & 0x7f | 0x40; // positive and of full length
    let today = unix_now_s / DAY_S;
    let validity = der(SEQUENCE, &[&utc_time(today.saturating_sub(1)), &utc_time(today + 365)]);
    let version_3 = der(0xa0, &[&der(INTEGER, &[&[2]])]);
    let body =
        der(SEQUENCE, &[&version_3, &der(INTEGER, &[&serial]), &algorithm, &name, &validity, &name, &public_key]);
    let signature = key.sign(&random, &body).ok()?;
    let certificate = der(SEQUENCE, &[&body, &algorithm, &der(BIT_STRING, &[&[0], signature.as_ref()])]);
    Some(DtlsCertificate { certificate, private_key: pkcs8.as_ref().to_vec() })
}

const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const OID: u8 = 6;
const UTF8: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// Tag, length, concatenated value.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match length {
        0..128 => out.push(length as u8),
        128..256 => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// Midnight of a day since 1970 (civil-from-days).
fn utc_time(days: u64) -> Vec<u8> {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    der(UTC_TIME, &[format!("{:02}{month:02}{day:02}000000Z", year % 100).as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(&utc_time(0)[2..], b"700101000000Z");
        assert_eq!(&utc_time(20_788)[2..], b"261201000000Z");
        assert_eq!(&utc_time(19_782)[2..], b"240229000000Z");
    }

    #[test]
    fn certificates_differ_and_have_a_fingerprint() {
        let (a, b) = (Identity::generate(1_795_000_000).unwrap(), Identity::generate(1_795_000_000).unwrap());
        assert_eq!(a.fingerprint().len(), 95);
        assert_ne!(a.fingerprint(), b.fingerprint());
    }
}
