//! Tickets and tokens: as text, and rightly signed around any content.
use super::bytes::Bytes;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::io::Write as _;
use trtc_proto::jwt::{self, Claims};
use trtc_proto::ticket::{Expected, Privileges, Ticket, verify_private_map_key, verify_user_sig};
use trtc_types::{RoomId, UserId};

/// The vendor's public demo key, application and user.
const KEY: &str = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
const APP: u32 = 1_400_000_000;
const USER: &str = "xiaojun";
const NOW_S: u64 = 1_700_000_000;

/// The first byte chooses.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.u8() % 6 {
        0 => check(&bytes.rest_text()),
        1 => check(&pack(bytes.rest())),
        2 => check(&signed(&mut bytes)),
        3 => tokens(&bytes.rest_text()),
        4 => {
            let head = if bytes.one_in(4) { bytes.chunk(40) } else { br#"{"alg":"HS256","typ":"JWT"}"# };
            let mut token = [URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(bytes.rest())].join(".");
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), token.as_bytes());
            token = [token, URL_SAFE_NO_PAD.encode(tag)].join(".");
            tokens(&token);
        }
        _ => ours(&mut bytes),
    }
}

fn check(text: &str) {
    let user = UserId::new(USER).expect("a good id");
    let expected = Expected { user: &user, sdk_app_id: APP, secret_key: KEY, now_s: NOW_S };
    let (sig, key) = (verify_user_sig(text, &expected), verify_private_map_key(text, &expected));
    assert!(sig.is_err() || key.is_err(), "one passes for the other");
    if let Err(error) = sig {
        assert!(!error.to_string().contains(KEY));
    }
}

fn pack(json: &[u8]) -> String {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(json).expect("memory");
    let text = STANDARD.encode(zlib.finish().expect("memory"));
    text.replace('+', "*").replace('/', "-").replace('=', "_")
}

/// Any fields under a right signature.
fn signed(bytes: &mut Bytes<'_>) -> String {
    let user = if bytes.one_in(4) { bytes.text(40) } else { USER.to_owned() };
    let app = if bytes.one_in(4) { u64::from(bytes.u32()) } else { u64::from(APP) };
    let issued = if bytes.one_in(2) { u64::from(bytes.u32()) << 32 } else { NOW_S - u64::from(bytes.u16()) };
    let expire = if bytes.one_in(4) { u64::MAX } else { u64::from(bytes.u32()) };
    let userbuf = (!bytes.one_in(4)).then(|| STANDARD.encode(bytes.rest()));
    let mut text = format!("TLS.identifier:{user}\nTLS.sdkappid:{app}\nTLS.time:{issued}\nTLS.expire:{expire}\n");
    if let Some(userbuf) = &userbuf {
        text.push_str(&format!("TLS.userbuf:{userbuf}\n"));
    }
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), text.as_bytes());
    let mut json = serde_json::json!({
        "TLS.ver": "2.0", "TLS.identifier": user, "TLS.sdkappid": app, "TLS.time": issued, "TLS.expire": expire,
        "TLS.sig": STANDARD.encode(tag),
    });
    if let Some(userbuf) = userbuf {
        json["TLS.userbuf"] = userbuf.into();
    }
    pack(json.to_string().as_bytes())
}

fn tokens(text: &str) {
    let lookup = |key: &str| (key == "devkey").then(|| "secret".to_owned());
    if let Ok(claims) = jwt::verify(text, &lookup, NOW_S) {
        let again = jwt::verify(&jwt::sign(&claims, "secret"), &lookup, NOW_S).expect("our own token");
        assert_eq!(again, claims);
        let video = claims.video.unwrap_or_default();
        let _ = (video.publishes(), video.publishes_source("camera"), video.subscribes(), video.publishes_data());
    }
    let _ = jwt::decode_unverified(text).map(|claims: Claims| claims.identity().len());
}

/// What we make passes, and every change of it does not.
fn ours(bytes: &mut Bytes<'_>) {
    let Ok(user) = UserId::new(&bytes.text(64)) else { return };
    let (issued_at_s, expire_s) = (NOW_S - u64::from(bytes.u16()), 100_000 + u64::from(bytes.u32()));
    let ticket = Ticket { user: user.clone(), sdk_app_id: APP, issued_at_s, expire_s };
    let expected = Expected { user: &user, sdk_app_id: APP, secret_key: KEY, now_s: NOW_S };
    let sig = ticket.sign_user_sig(KEY);
    assert_eq!(verify_user_sig(&sig, &expected), Ok(ticket.clone()));
    let room = if bytes.one_in(2) { RoomId::number(bytes.u32()) } else { RoomId::text(&bytes.text(64)) };
    let Ok(room) = room else { return };
    let privileges = Privileges(bytes.u32());
    let key = ticket.sign_private_map_key(KEY, room.clone(), privileges);
    let opened = verify_private_map_key(&key, &expected).expect("our own key");
    assert_eq!((opened.room, opened.privileges), (room, privileges));
    let mut changed = key.into_bytes();
    let at = usize::from(bytes.u16()) % changed.len();
    changed[at] ^= 1 + bytes.u8() % 127;
    if let Ok(text) = std::str::from_utf8(&changed) {
        // Some bits of Base64's last character and of zlib's head mean nothing; the content cannot change.
        assert!(
            verify_private_map_key(text, &expected).is_ok_and(|o| o.privileges == privileges)
                || verify_private_map_key(text, &expected).is_err()
        );
    }
}
