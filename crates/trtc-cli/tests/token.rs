//! `trtc token`: what it makes it accepts, what it does not accept it names, and the vendor's tickets pass.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use serde_json::{Value, json};
use std::process::Command;
use trtc_proto::jwt::{self, Claims};
use trtc_server::ServerConfig;

/// The vendor's public demo key, and a UserSig of its generator, valid until May 2024 (as in `trtc-proto`'s tests).
const VENDOR: [&str; 4] =
    ["--sdk-app-id", "1400000000", "--secret-key", "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"];
const EXPIRED: &str = "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwhWZiflZpXlQqeKU7MSCgswUJStDEwMogMikVhRkFqUCxU1NTY3goiWZuSAxc1S1xZnpQJN9yhzNU-Q9y83Tg4vzirPLwqqcXAL8nZ1dkkr9nMtN3D3KQ5wNkjILtJ1MbJVqAa3HMfI_";

/// What is printed, or why not.
fn trtc(arguments: &[&[&str]]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_trtc")).arg("token").args(arguments.concat()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn says(outcome: Result<String, String>) -> Value {
    serde_json::from_str(&outcome.unwrap()).unwrap()
}

fn refused(outcome: Result<String, String>, why: &str) {
    let reason = outcome.expect_err(why);
    assert!(reason.contains(why), "{reason:?} instead of {why:?}");
}

#[test]
fn a_user_sig_passes_its_own_check_and_no_other() {
    let make = ["usersig", "--user", "alice", "--expire", "600"];
    let sig = trtc(&[&make]).unwrap();
    let check = ["--check", sig.as_str()];
    let said = says(trtc(&[&["usersig", "--user", "alice"], &check]));
    assert_eq!((&said["userId"], &said["sdkAppId"]), (&json!("alice"), &json!(1_400_000_001)));
    assert_eq!(said["expiresAt"].as_u64().unwrap() - said["issuedAt"].as_u64().unwrap(), 600);
    refused(trtc(&[&["usersig", "--user", "bob"], &check]), "another user");
    refused(trtc(&[&["usersig", "--user", "alice", "--sdk-app-id", "7"], &check]), "another sdk_app_id");
    refused(trtc(&[&["usersig", "--user", "alice", "--secret-key", "x"], &check]), "signature");
    refused(trtc(&[&["usersig", "--user", "alice", "--check", "no ticket"]]), "ticket");
    refused(trtc(&[&["usersig", "--user", "xiaojun"], &VENDOR, &["--check", EXPIRED]]), "expired");
    refused(trtc(&[&["usersig", "--user", ""]]), "user");
}

#[test]
fn a_private_map_key_is_for_one_user_in_one_room() {
    let key = trtc(&[&["privatemapkey", "--user", "alice", "--room-id", "123", "--privileges", "42"]]).unwrap();
    let check = |user: &str, room: [&str; 2]| trtc(&[&["privatemapkey", "--user", user], &room, &["--check", &key]]);
    let said = says(check("alice", ["--room-id", "123"]));
    assert_eq!((&said["userId"], &said["privileges"]), (&json!("alice"), &json!(42)));
    refused(check("alice", ["--room", "123"]), "another room");
    refused(check("bob", ["--room-id", "123"]), "another user");
    let sig = trtc(&[&["usersig", "--user", "alice"]]).unwrap();
    refused(trtc(&[&["privatemapkey", "--user", "alice", "--room", "r", "--check", &sig]]), "not a PrivateMapKey");
    refused(trtc(&[&["privatemapkey", "--user", "alice", "--room", "r", "--privileges", "256"]]), "0..=255");
}

#[test]
fn an_access_token_says_what_was_asked_for() {
    let make = ["jwt", "--room", "hello", "--identity", "bob", "--can-publish-sources", "camera,microphone"];
    let token = trtc(&[&make]).unwrap();
    let said = says(trtc(&[&["jwt", "--check", &token]]));
    assert_eq!((&said["sub"], &said["video"]["room"]), (&json!("bob"), &json!("hello")));
    assert_eq!(said["video"]["canPublishSources"], json!(["camera", "microphone"]));
    refused(trtc(&[&["jwt", "--check", &token, "--api-secret", "x"]]), "signature");
    refused(trtc(&[&["jwt", "--check", &token, "--api-key", "x"]]), "key");
    let old = Claims { iss: "devkey".into(), sub: "bob".into(), exp: Some(1_000), ..Claims::default() };
    let old = jwt::sign(&old, ServerConfig::dev_keys().1);
    refused(trtc(&[&["jwt", "--check", &old]]), "expired");
    refused(trtc(&[&["jwt", "--room", "r", "--identity", "b", "--can-publish-sources", "window"]]), "none of camera");
}
