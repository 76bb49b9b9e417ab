//! Access tokens with any content.
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[must_use]
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The claims of an honest member.
#[must_use]
pub fn claims(api_key: &str, room: &str, identity: &str) -> Value {
    json!({
        "iss": api_key, "sub": identity, "nbf": now_s(), "exp": now_s() + 600,
        "video": { "roomJoin": true, "room": room },
    })
}

/// The same with other values: `change` is merged into it, object by object; null removes.
#[must_use]
pub fn changed(mut claims: Value, change: &Value) -> Value {
    for (name, value) in change.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            Value::Object(_) if claims[name].is_object() => claims[name] = changed(claims[name].take(), value),
            _ => claims[name] = value.clone(),
        }
    }
    claims
}

/// Signed with HS256.
#[must_use]
pub fn sign(claims: &Value, secret: &str) -> String {
    sign_as(&json!({ "alg": "HS256", "typ": "JWT" }), claims, secret)
}

/// Under any header.
#[must_use]
pub fn sign_as(header: &Value, claims: &Value, secret: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}
