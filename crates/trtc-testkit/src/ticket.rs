//! UserSig and PrivateMapKey with any content, made by hand: JSON, HMAC-SHA256 over lines of it, zlib, and Base64 with other signs.
use crate::token::now_s;
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::ZlibEncoder};
use serde_json::{Value, json};
use std::io::Write as _;

/// What an honest UserSig says.
#[must_use]
pub fn fields(app: u32, user: &str) -> Value {
    json!({
        "TLS.ver": "2.0", "TLS.identifier": user, "TLS.sdkappid": app, "TLS.time": now_s(), "TLS.expire": 600,
    })
}

/// The same as a PrivateMapKey for a room, which is a number or a text.
#[must_use]
pub fn for_room(mut fields: Value, room: &Value, bits: u32) -> Value {
    let number = |name: &str| fields[name].as_u64().unwrap();
    let user = fields["TLS.identifier"].as_str().unwrap();
    let expires_at_s = number("TLS.time") + number("TLS.expire");
    let mut key = vec![u8::from(room.is_string())];
    key.extend((user.len() as u16).to_be_bytes());
    key.extend(user.bytes());
    for value in [number("TLS.sdkappid"), room.as_u64().unwrap_or(0), expires_at_s, bits.into(), 0] {
        key.extend((value as u32).to_be_bytes());
    }
    if let Some(room) = room.as_str() {
        key.extend((room.len() as u16).to_be_bytes());
        key.extend(room.bytes());
    }
    fields["TLS.userbuf"] = STANDARD.encode(key).into();
    fields
}

/// Signed and packed.
#[must_use]
pub fn seal(fields: &Value, secret: &str) -> String {
    let mut fields = fields.clone();
    fields["TLS.sig"] = signature(&fields, secret).into();
    pack(fields.to_string().as_bytes())
}

/// What `TLS.sig` has to be.
#[must_use]
pub fn signature(fields: &Value, secret: &str) -> String {
    let names = ["TLS.identifier", "TLS.sdkappid", "TLS.time", "TLS.expire", "TLS.userbuf"];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = |name: &str| fields.get(name).map(|value| format!("{name}:{}\n", text(value)));
    let signed: String = names.into_iter().filter_map(line).collect();
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes()))
}

/// Any bytes in the form of a ticket.
#[must_use]
pub fn pack(json: &[u8]) -> String {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(json).unwrap();
    STANDARD.encode(zlib.finish().unwrap()).replace('+', "*").replace('/', "-").replace('=', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generators' published demonstration key, with a frozen clock.
    #[test]
    fn tickets_are_those_of_the_vendors_generators() {
        let secret = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
        let mut sig = fields(1_400_000_000, "xiaojun");
        sig["TLS.time"] = 1_700_000_000.into();
        sig["TLS.expire"] = 15_552_000.into();
        assert_eq!(signature(&sig, secret), "LvA7d/Iw7gSsnskvVzBDPOCCDbuNCw4GHwTC0bip+B4=");
        let number = for_room(sig.clone(), &json!(10_000), 255);
        assert_eq!(number["TLS.userbuf"], "AAAHeGlhb2p1blNyTgAAACcQZkE/AAAAAP8AAAAA");
        let text = for_room(sig, &json!("adbjkl"), 255);
        assert_eq!(text["TLS.userbuf"], "AQAHeGlhb2p1blNyTgAAAAAAZkE/AAAAAP8AAAAAAAZhZGJqa2w=");
    }
}
