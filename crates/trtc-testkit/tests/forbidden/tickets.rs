//! UserSig, PrivateMapKey and the role: who comes in, what its bits allow, and what a change of role may not do.
use crate::doors::{opens, told};
use crate::rig::{APP, Outcome, Rig, SECRET, STRICT_APP, STRICT_SECRET, hears};
use livekit_protocol as lk;
use lk::signal_request::Message as Ask;
use lk::signal_response::Message as Tell;
use lk::{TrackSource, TrackType};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use trtc_testkit::client::{Client, refusal};
use trtc_testkit::{PATIENCE, http, ticket, token};

const ALL: u32 = 255;

/// Says what a refusal says, without the JSON around it.
fn answer(said: &http::Answer) -> Result<Value, String> {
    let body: Value = serde_json::from_str(&said.body).unwrap();
    let text = || format!("{} {} {}", said.status, body["code"], body["message"].as_str().unwrap_or_default());
    if said.status == 200 { Ok(body) } else { Err(text()) }
}

/// A token for a user of the application that leaves permissions alone; `change` is merged into the body.
fn let_in(rig: &Rig, user: &str, change: &Value) -> Result<Value, String> {
    let sig = ticket::seal(&ticket::fields(APP, user), SECRET);
    let body = json!({ "sdkAppId": APP, "userId": user, "userSig": sig, "room": "r" });
    let body = token::changed(body, change).to_string();
    answer(&http::ask(rig.at, "POST", "/trtc/v1/token", "", &[("Content-Type", "application/json")], &body))
}

/// The same for the one that does not, with a key.
fn let_in_strictly(rig: &Rig, user: &str, key: &str, change: &Value) -> Result<Value, String> {
    let sig = ticket::seal(&ticket::fields(STRICT_APP, user), STRICT_SECRET);
    let body = json!({ "sdkAppId": STRICT_APP, "userSig": sig, "privateMapKey": key });
    let_in(rig, user, &token::changed(body, change))
}

fn key(user: &str, room: &Value, bits: u32) -> String {
    ticket::seal(&ticket::for_room(ticket::fields(STRICT_APP, user), room, bits), STRICT_SECRET)
}

fn token_of(body: &Value) -> String {
    body["token"].as_str().unwrap().to_owned()
}

/// A token of the strict application for a role and bits.
fn with_bits(rig: &Rig, user: &str, role: i32, bits: u32) -> String {
    token_of(&let_in_strictly(rig, user, &key(user, &json!("r"), bits), &json!({ "role": role })).unwrap())
}

/// Enters with what `/trtc/v1/token` gave.
fn enters(rig: &Rig, body: Result<Value, String>) -> Outcome {
    let client = Client::connect(rig.at, &token_of(&body?), "").map_err(|(status, text)| format!("{status} {text}"))?;
    let join = client.joined().join.unwrap();
    let (me, room) = (join.participant.unwrap(), join.room.unwrap());
    Ok(format!("{} enters {}", me.identity, room.name))
}

#[test]
fn entering_with_a_user_sig() {
    let mut rig = Rig::new();
    let with = |rig: &Rig, sig: &str| enters(rig, let_in(rig, "ann", &json!({ "userSig": sig })));
    let ann = || ticket::fields(APP, "ann");
    let sealed = |change: Value| ticket::seal(&token::changed(ann(), &change), SECRET);
    let mut swapped = ticket::fields(APP, "bob");
    swapped["TLS.sig"] = ticket::signature(&swapped, SECRET).into();
    swapped["TLS.identifier"] = "ann".into();
    let now = token::now_s();
    let cases = [
        ("signed with another key", ticket::seal(&ann(), STRICT_SECRET), "signature"),
        ("of another user", sealed(json!({ "TLS.identifier": "bob" })), "another user"),
        ("of another user, renamed", ticket::pack(swapped.to_string().as_bytes()), "signature"),
        ("of another application", sealed(json!({ "TLS.sdkappid": STRICT_APP })), "another sdk_app_id"),
        ("that is expired", sealed(json!({ "TLS.time": now - 700 })), "expired"),
        ("of tomorrow", sealed(json!({ "TLS.time": now + 86_400 })), "not valid yet"),
        ("that is a PrivateMapKey", ticket::seal(&ticket::for_room(ann(), &json!("r"), ALL), SECRET), "not a UserSig"),
        ("without a signature", ticket::pack(ann().to_string().as_bytes()), "malformed"),
        ("that inflates to 2 MB", ticket::pack(&vec![b' '; 2_000_000]), "too long"),
        ("of 5,000 bytes", "e".repeat(5_000), "4096"),
        ("that is none", "garbage".to_owned(), "malformed"),
        ("that is missing", String::new(), "userSig is required"),
    ];
    for (what, bad, refusal) in cases {
        let good = with(&rig, &sealed(json!({})));
        rig.act(&format!("enter with a UserSig {what}"), good, |rig| with(rig, &bad), refusal);
    }
    let good = with(&rig, &sealed(json!({})));
    let unknown = |rig: &Rig| enters(rig, let_in(rig, "ann", &json!({ "sdkAppId": 7 })));
    rig.act("enter an application that is not there", good, unknown, "not an application");
    rig.finish();
}

#[test]
fn entering_with_a_private_map_key() {
    let mut rig = Rig::new();
    let with = |rig: &Rig, key: &str| enters(rig, let_in_strictly(rig, "ann", key, &json!({})));
    let fields = |change: Value| token::changed(ticket::fields(STRICT_APP, "ann"), &change);
    let sealed = |fields: Value| ticket::seal(&ticket::for_room(fields, &json!("r"), ALL), STRICT_SECRET);
    let good_key = key("ann", &json!("r"), ALL);
    // Bob's rights under Ann's name: the container is hers and well signed.
    let mut of_bob = fields(json!({}));
    of_bob["TLS.userbuf"] =
        ticket::for_room(ticket::fields(STRICT_APP, "bob"), &json!("r"), ALL)["TLS.userbuf"].clone();
    let cases = [
        ("that is missing", String::new(), "privateMapKey is required"),
        ("of another user", key("bob", &json!("r"), ALL), "another user"),
        ("with the rights of another user", ticket::seal(&of_bob, STRICT_SECRET), "belongs to another user"),
        ("for another room", key("ann", &json!("s"), ALL), "another room"),
        ("for a room whose number is unlike its name", key("ann", &json!(7), ALL), "another room"),
        ("that is expired", sealed(fields(json!({ "TLS.time": token::now_s() - 700 }))), "expired"),
        ("of another application", sealed(fields(json!({ "TLS.sdkappid": APP }))), "another sdk_app_id"),
        (
            "signed with another key",
            ticket::seal(&ticket::for_room(fields(json!({})), &json!("r"), ALL), SECRET),
            "signature",
        ),
        ("that is a UserSig", ticket::seal(&fields(json!({})), STRICT_SECRET), "not a PrivateMapKey"),
        ("of 5,000 bytes", "e".repeat(5_000), "4096"),
        ("without the bit to enter", key("ann", &json!("r"), ALL - 2), "does not allow to enter"),
    ];
    for (what, bad, refusal) in cases {
        let good = with(&rig, &good_key);
        rig.act(&format!("enter with a PrivateMapKey {what}"), good, |rig| with(rig, &bad), refusal);
    }
    // A string room "123" is not room 123.
    let number = |rig: &Rig, room: Value| {
        enters(rig, let_in_strictly(rig, "ann", &key("ann", &json!(123), ALL), &json!({ "room": room })))
    };
    let good = number(&rig, json!(123));
    rig.act("enter room \"123\" with the key of room 123", good, |rig| number(rig, json!("123")), "another room");

    let creates = |rig: &Rig, bits: u32, room: &str| {
        let key = key("ann", &json!(room), bits);
        enters(rig, let_in_strictly(rig, "ann", &key, &json!({ "room": room })))
    };
    let good = creates(&rig, ALL, "new one");
    rig.act("create a room", good, |rig| creates(rig, ALL - 1, "new two"), "does not allow to create");
    // A token from when there was a room does not make it again.
    let first = rig_member(&rig, "first", 20, ALL);
    let late = let_in_strictly(&rig, "late", &key("late", &json!("r"), ALL - 1), &json!({}));
    let good = enters(&rig, late.clone());
    drop(first);
    wait_for_the_end_of_rooms(&rig);
    rig.act("create a room that has ended again", good, |rig| enters(rig, late), "no right to create the room");
    rig.finish();
}

fn wait_for_the_end_of_rooms(rig: &Rig) {
    let end = Instant::now() + PATIENCE;
    while !http::ask(rig.at, "GET", "/metrics", "", &[], "").body.contains("\ntrtc_rooms 0\n") {
        assert!(Instant::now() < end, "the room stays");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn rig_member(rig: &Rig, user: &str, role: i32, bits: u32) -> Client {
    Client::connect(rig.at, &with_bits(rig, user, role, bits), "").unwrap().joined()
}

#[test]
fn what_bits_and_role_allow() {
    let mut rig = Rig::new();
    let (audio, video) = (TrackType::Audio, TrackType::Video);
    let (mic, cam, screen) = (TrackSource::Microphone, TrackSource::Camera, TrackSource::ScreenShare);
    let announces = |rig: &Rig, role: i32, bits: u32, kind: TrackType, source: TrackSource| {
        rig_member(rig, "ann", role, bits).add_track("c", kind, source).map(|_| "published".to_owned())
    };
    let denied = "NOT_ALLOWED";
    for (name, bit, kind, source) in
        [("sound", 4, audio, mic), ("video", 16, video, cam), ("a sub stream", 64, video, screen)]
    {
        // With this right and no other to send.
        let good = announces(&rig, 20, ALL - 4 - 16 - 64 + bit, kind, source);
        let without = |rig: &Rig| announces(rig, 20, ALL - bit, kind, source);
        rig.act(&format!("send {name} without its bit"), good, without, denied);
        let good = announces(&rig, 20, ALL, kind, source);
        rig.act(&format!("send {name} as audience"), good, |rig| announces(rig, 21, ALL, kind, source), denied);
    }

    let receives = |rig: &Rig, bits: u32, source: TrackSource, ask: bool| {
        hears(rig, &with_bits(rig, "ann", 20, ALL), &with_bits(rig, "watcher", 21, bits), source, ask)
    };
    for (name, bit, source) in [("sound", 8, mic), ("video", 32, cam), ("a sub stream", 128, screen)] {
        let good = receives(&rig, ALL - 8 - 32 - 128 + bit, source, false);
        let without = |rig: &Rig| receives(rig, ALL - bit, source, true);
        rig.act(&format!("receive {name} without its bit"), good, without, "no packet");
    }

    let claims_role = |rig: &Rig, mut client: Client| {
        let attributes = [("trtc.role".to_owned(), "anchor".to_owned())].into();
        let update = lk::UpdateParticipantMetadata { request_id: 9, attributes, ..Default::default() };
        client.send(Ask::UpdateMetadata(update));
        let _ = rig;
        client.wait("an answer", |m| match m {
            Tell::RequestResponse(r) if r.reason() == lk::request_response::Reason::Ok => {
                Some(Ok("told to all".into()))
            }
            Tell::RequestResponse(r) => Some(Err(refusal(&r))),
            _ => None,
        })
    };
    let stock = rig.join("stock", json!({ "canUpdateOwnMetadata": true }));
    let good = claims_role(&rig, stock);
    let without = |rig: &Rig| claims_role(rig, rig_member(rig, "ann", 21, ALL));
    rig.act("name its own role", good, without, denied);
    rig.finish();
}

#[test]
fn changing_the_role() {
    let mut rig = Rig::new();
    let strict = |user: &str| ticket::fields(STRICT_APP, user);
    let expired = ticket::seal(
        &ticket::for_room(
            token::changed(strict("ann"), &json!({ "TLS.time": token::now_s() - 700 })),
            &json!("r"),
            ALL,
        ),
        STRICT_SECRET,
    );
    let good_key = key("ann", &json!("r"), ALL);
    let role = |rig: &Rig, token: &str, body: &Value| {
        let said = http::ask(
            rig.at,
            "POST",
            "/trtc/v1/role",
            token,
            &[("Content-Type", "application/json")],
            &body.to_string(),
        );
        answer(&said).map(|body| format!("role {}", body["role"]))
    };
    // Ann has a key that lets her watch, and becomes an anchor with another one.
    let becomes = |rig: &Rig, key: &str| {
        let token = with_bits(rig, "ann", 21, 43);
        let _ann = Client::connect(rig.at, &token, "").unwrap().joined();
        role(rig, &token, &json!({ "role": 20, "privateMapKey": key }))
    };
    let cases = [
        ("the key that she has", String::new(), "does not allow to send"),
        ("the key of another user", key("bob", &json!("r"), ALL), "another user"),
        ("the key of another room", key("ann", &json!("s"), ALL), "another room"),
        (
            "a key signed by somebody else",
            ticket::seal(&ticket::for_room(strict("ann"), &json!("r"), ALL), SECRET),
            "signature",
        ),
        ("a UserSig", ticket::seal(&strict("ann"), STRICT_SECRET), "not a PrivateMapKey"),
        ("an expired key", expired.clone(), "expired"),
    ];
    for (what, bad, refusal) in cases {
        let good = becomes(&rig, &good_key);
        rig.act(&format!("become an anchor with {what}"), good, |rig| becomes(rig, &bad), refusal);
    }
    let stays = |rig: &Rig, key: &str| {
        let token = with_bits(rig, "ann", 21, 43);
        let mut ann = Client::connect(rig.at, &token, "").unwrap().joined();
        let _ = role(rig, &token, &json!({ "role": 20, "privateMapKey": key }));
        ann.send(Ask::Ping(4));
        loop {
            match ann.hear() {
                Ok(Tell::Pong(_)) => return Ok("is served".to_owned()),
                Ok(_) => {}
                Err((code, why)) => return Err(format!("{code} {why}")),
            }
        }
    };
    let good = stays(&rig, &good_key);
    rig.act(
        "stay after an attempt with an expired key",
        good,
        |rig| stays(rig, &expired),
        "the PrivateMapKey is expired",
    );

    let of = |rig: &Rig, token: &str, there: bool| {
        let _ann = there.then(|| Client::connect(rig.at, token, "").unwrap().joined());
        role(rig, token, &json!({ "role": 21 }))
    };
    let good = of(&rig, &with_bits(&rig, "ann", 20, ALL), true);
    let stock = rig.token("ann", &json!({}));
    rig.act("change a role with a token of LiveKit", good.clone(), |rig| of(rig, &stock, true), "/trtc/v1/token");
    rig.act("change a role with garbage", good.clone(), |rig| of(rig, "a.b.c", false), "invalid");
    let without = |rig: &Rig| of(rig, &with_bits(rig, "nobody", 20, ALL), false);
    rig.act("change the role of who is not there", good, without, "not in the room");

    let again = |rig: &Rig, role_now: i32| {
        let token = with_bits(rig, "ann", 20, ALL);
        let mut ann = Client::connect(rig.at, &token, "").unwrap().joined();
        ann.add_track("first", TrackType::Audio, TrackSource::Microphone)?;
        role(rig, &token, &json!({ "role": role_now }))?;
        ann.settled();
        ann.add_track("second", TrackType::Audio, TrackSource::Microphone).map(|_| "published".to_owned())
    };
    let good = again(&rig, 20);
    rig.act("publish after having become audience", good, |rig| again(rig, 21), "NOT_ALLOWED");
    rig.finish();
}

/// The same bits at the doors of browsers and encoders.
#[test]
fn what_bits_and_role_allow_over_whip_and_whep() {
    let mut rig = Rig::new();
    let (video, watch) = (16, 8 + 32 + 128);
    let first = rig_member(&rig, "first", 20, ALL);
    // A session that was opened is ended at once: it would keep the room.
    let once = |rig: &Rig, path: &str, token: &str| {
        let opened = opens(rig, path, token);
        if opened.status == 201 {
            http::ask(rig.at, "DELETE", opened.header("location"), token, &[], "");
        }
        told(&opened)
    };
    let tries = |rig: &Rig, path: &str, role: i32, bits: u32| once(rig, path, &with_bits(rig, "ann", role, bits));
    for (what, path, role, bits) in [
        ("publish a picture without its bit", "/whip/r", 20, ALL - video),
        ("publish as audience", "/whip/r", 21, ALL),
        ("watch without the bits to receive", "/whep/r", 20, ALL - watch),
    ] {
        let good = tries(&rig, path, 20, ALL);
        rig.act(&format!("{what} over {path}"), good, |rig| tries(rig, path, role, bits), "403");
    }
    // A token from when there was a room does not make it again.
    let late = with_bits(&rig, "late", 20, ALL - 1);
    let good = once(&rig, "/whip/r", &late);
    drop(first);
    wait_for_the_end_of_rooms(&rig);
    let again = |rig: &Rig| once(rig, "/whip/r", &late);
    rig.act("create a room that has ended again over /whip", good, again, "no right to create the room");
    rig.finish();
}
