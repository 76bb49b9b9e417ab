//! Credentials for TURN servers that end by themselves (draft-uberti-behave-turn-rest-00; coturn's `use-auth-secret`).
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// User name and password: the end in Unix seconds, a colon and a name; and its HMAC-SHA1 under the secret that the TURN server
/// knows, in base64 (section 2.2 of the draft).
#[must_use]
pub fn credential(shared_secret: &str, ends_unix_s: u64, name: &str) -> (String, String) {
    let username = format!("{ends_unix_s}:{name}");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, shared_secret.as_bytes());
    let password = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
    (username, password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_that_of_other_tools() {
        // echo -n 1100:PA_x | openssl dgst -sha1 -hmac shared -binary | base64
        let (username, password) = credential("shared", 1100, "PA_x");
        assert_eq!((username.as_str(), password.as_str()), ("1100:PA_x", "8fGr7gmwL3UzGa12RrIiW7d9o7Y="));
    }
}
