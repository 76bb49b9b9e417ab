//! WHIP and WHEP: tokens for other rooms or acts, and sessions of somebody else.
use crate::rig::{Outcome, Rig};
use serde_json::{Value, json};
use trtc_testkit::{http, media, token};

const SDP: (&str, &str) = ("Content-Type", "application/sdp");
const FRAGMENT: (&str, &str) = ("Content-Type", "application/trickle-ice-sdpfrag");
const RESTART: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";

pub fn told(answer: &http::Answer) -> Outcome {
    let text = format!("{} {}", answer.status, answer.body.lines().next().unwrap_or_default());
    if answer.status < 300 { Ok(answer.status.to_string()) } else { Err(text) }
}

/// An offer to send or to watch, over one of the two.
pub fn opens(rig: &Rig, path: &str, token: &str) -> http::Answer {
    let offer = media::offer();
    let offer = if path.starts_with("/whep") { offer.replace("a=sendonly", "a=recvonly") } else { offer };
    http::ask(rig.at, "POST", path, token, &[SDP], &offer)
}

#[test]
fn whip_and_whep() {
    let mut rig = Rig::new();
    let grant = |video: Value| json!({ "video": video });
    for (path, act, right) in [("/whip/r", "publish", "canPublish"), ("/whep/r", "watch", "canSubscribe")] {
        let good = |rig: &Rig| told(&opens(rig, path, &rig.token("mallory", &grant(json!({ right: true })))));
        let other = token::sign(&rig.claims("mallory", &json!({})), &"x".repeat(32));
        let cases = [
            ("without a token", String::new(), "401"),
            ("with another secret", other, "401"),
            ("with an expired token", rig.token("mallory", &json!({ "exp": 1_000 })), "expired"),
            ("with the token of another room", rig.token("mallory", &grant(json!({ "room": "s" }))), "another room"),
            ("without the right", rig.token("mallory", &grant(json!({ right: false }))), "403"),
        ];
        for (what, bad, refusal) in cases {
            let done = good(&rig);
            rig.act(&format!("{act} over {path} {what}"), done, |rig| told(&opens(rig, path, &bad)), refusal);
        }
    }
    let sources = |rig: &Rig, source: &str| {
        told(&opens(rig, "/whip/r", &rig.token("mallory", &grant(json!({ "canPublishSources": [source] })))))
    };
    let good = sources(&rig, "camera");
    rig.act("publish a camera over /whip with a microphone's right", good, |rig| sources(rig, "microphone"), "403");

    let watches = |rig: &Rig, room: &str| {
        let token = rig.token("mallory", &grant(json!({ "room": room })));
        told(&http::ask(rig.at, "GET", "/trtc/v1/streams?room=r", &token, &[], ""))
    };
    let good = watches(&rig, "r");
    rig.act("list the streams of another room", good, |rig| watches(rig, "s"), "another room");
    rig.finish();
}

#[test]
fn sessions_of_somebody_else() {
    let mut rig = Rig::new();
    let (alice, mallory) = (rig.token("alice", &json!({})), rig.token("mallory", &json!({})));
    // The same name in another room is somebody else.
    let namesake = rig.token("alice", &json!({ "video": { "room": "s" } }));
    for path in ["/whip/r", "/whep/r"] {
        let made = opens(&rig, path, &alice);
        assert_eq!(made.status, 201, "{}", made.body);
        let location = made.header("location").to_owned();
        let acts: [(&str, &str, &str); 3] = [
            ("add candidates to", "PATCH", "a=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n"),
            ("restart", "PATCH", RESTART),
            ("end", "DELETE", ""),
        ];
        for (what, method, body) in acts {
            let tries = |rig: &Rig, token: &str| {
                told(&http::ask(rig.at, method, &location, token, &[FRAGMENT, ("If-Match", "*")], body))
            };
            // Refused first: the session is still there for its owner then.
            let what = format!("{what} a session of {path}");
            let strangers = [
                ("of somebody else", mallory.as_str(), "belongs to somebody else"),
                ("of a namesake in another room", namesake.as_str(), "belongs to somebody else"),
                ("without a token", "", "401"),
            ];
            let refused = strangers.map(|(who, token, refusal)| (who, tries(&rig, token), refusal));
            let good = tries(&rig, &alice);
            for (who, outcome, refusal) in refused {
                rig.act(&format!("{what} {who}"), good.clone(), |_| outcome, refusal);
            }
        }
    }
    let guesses = |rig: &Rig, address: &str| told(&http::ask(rig.at, "DELETE", address, &alice, &[], ""));
    let location = opens(&rig, "/whip/r", &alice).header("location").to_owned();
    let good = guesses(&rig, &location);
    rig.act("end a session that was guessed", good, |rig| guesses(rig, "/whip/r/WI_0123456789ab"), "404");

    let many = |rig: &Rig, count: usize| {
        let token = rig.token("greedy", &json!({ "video": { "room": format!("{count} at a time") } }));
        (0..count).try_for_each(|_| told(&opens(rig, "/whep", &token)).map(drop))?;
        Ok(format!("{count} at a time"))
    };
    let good = many(&rig, 32);
    rig.act("open more than 32 sessions", good, |rig| many(rig, 33), "429");
    rig.finish();
}
