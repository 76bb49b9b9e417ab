//! Entering with tickets: each act first with the right, then refused without it, with its reason.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::door::{APP, Door, KEY, OTHER_APP, OTHER_KEY, now_s};
use common::{Client, TestServer};
use flate2::{Compression, write::ZlibEncoder};
use serde_json::{Value, json};
use std::io::Write as _;
use trtc_proto::ticket::Privileges;
use trtc_types::{Code, RoomId};

fn room(text: &str) -> RoomId {
    RoomId::text(text).unwrap()
}

fn refused(answer: (u16, Value), status: u16, code: Code, says: &str) {
    let (got, body) = answer;
    let message = body["message"].as_str().unwrap_or_default();
    assert!(got == status && body["code"] == code.0 && message.contains(says), "{got} {body}, not {code:?} {says}");
}

#[test]
fn a_user_sig_lets_its_user_in() {
    let server = TestServer::with(Door::config());
    let door = Door::new(&server);
    let (status, answer) = door.enter(door.token_body("ann", &room("r")));
    assert_eq!(
        (status, &answer["room"], &answer["role"], &answer["privileges"]),
        (200, &json!("r"), &json!(20), &json!(255))
    );
    assert_eq!(answer["url"], format!("ws://{}", server.address));
    let mut client = Client::connect(server.address, answer["token"].as_str().unwrap(), "").unwrap();
    let me = client.joined().participant.unwrap();
    assert_eq!((me.identity.as_str(), me.attributes["trtc.role"].as_str()), ("ann", "anchor"));
    let permission = me.permission.unwrap();
    assert!(permission.can_publish && permission.can_publish_data && permission.can_subscribe);
    assert!(!permission.can_update_metadata, "it could call itself an anchor");

    let mut audience = door.token_body("bob", &room("r"));
    audience["role"] = json!(21);
    let token = door.enter(audience).1["token"].as_str().unwrap().to_owned();
    let me = Client::connect(server.address, &token, "").unwrap().joined().participant.unwrap();
    let permission = me.permission.unwrap();
    assert_eq!(me.attributes["trtc.role"], "audience");
    assert!(!permission.can_publish && !permission.can_publish_data && permission.can_subscribe);
    assert_eq!(server.metric("trtc_tickets_refused_total"), 0);
}

#[test]
fn a_wrong_user_sig_is_refused_with_the_reason() {
    let server = TestServer::with(Door::config());
    let door = Door::new(&server);
    let good = door.token_body("ann", &room("r"));
    let with = |sig: String| {
        let mut body = good.clone();
        body["userSig"] = json!(sig);
        door.enter(body)
    };
    let now = now_s();
    assert_eq!(with(door.user_sig("ann", now, 60)).0, 200);
    let check = Code::USER_SIG_CHECK_FAILED;
    refused(with(door.ticket("ann", APP, now, 60).sign_user_sig(OTHER_KEY)), 401, check, "signature");
    refused(with(door.ticket("ann", OTHER_APP, now, 60).sign_user_sig(KEY)), 401, check, "another sdk_app_id");
    refused(with(door.user_sig("bob", now, 60)), 401, check, "another user");
    refused(with(door.user_sig("ann", now - 100, 60)), 401, check, "expired");
    refused(with(door.user_sig("ann", now + 1000, 60)), 401, check, "not valid yet");
    refused(with(door.key("ann", &room("r"), Privileges::ALL)), 401, check, "not a UserSig");
    refused(with("never a ticket".into()), 401, check, "malformed");
    refused(with("e".repeat(4097)), 401, check, "4096");
    refused(with(String::new()), 400, Code::INVALID_USER_SIG, "userSig is required");
    // Identifiers swapped inside the JSON, the signature left.
    let sealed = |json: &[u8]| {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(json).unwrap();
        STANDARD.encode(zlib.finish().unwrap()).replace('+', "*").replace('/', "-").replace('=', "_")
    };
    let bobs = door.user_sig("bob", now, 60);
    let deflated = STANDARD.decode(bobs.replace('*', "+").replace('-', "/").replace('_', "=")).unwrap();
    let mut inflated = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&deflated[..]), &mut inflated).unwrap();
    let swapped = String::from_utf8(inflated).unwrap().replace("bob", "ann");
    refused(with(sealed(swapped.as_bytes())), 401, check, "signature");
    refused(with(sealed(&vec![b' '; 2_000_000])), 401, check, "too long");

    let mut unknown = good.clone();
    unknown["sdkAppId"] = json!(7);
    refused(door.enter(unknown), 400, Code::INVALID_SDK_APPID, "not an application");
    let mut nowhere = good.clone();
    nowhere["room"] = json!(0);
    refused(door.enter(nowhere), 400, Code::INVALID_ROOM_ID, "1..=4294967294");
    refused(server.post("/trtc/v1/token", &[b' '; 16 * 1024 + 1], None), 400, Code::INVALID_PARAMETER, "16384 bytes");
    refused(server.post("/trtc/v1/token", b"[1]", None), 400, Code::INVALID_PARAMETER, "JSON object");
    assert_eq!(server.metric("trtc_tickets_refused_total"), 15);
}

#[test]
fn numbers_texts_and_applications_are_different_rooms() {
    let server = TestServer::with(Door::config());
    let door = Door::new(&server);
    let mut rooms = Vec::new();
    for (user, room, app, name) in [
        ("number", RoomId::number(123).unwrap(), APP, "n/123"),
        ("text", RoomId::text("123").unwrap(), APP, "123"),
        ("other", RoomId::text("123").unwrap(), OTHER_APP, "123"),
        ("both", RoomId::number(123).unwrap(), OTHER_APP, "n/123"),
    ] {
        let (status, answer) = door.enter(door.token_body_of(app, user, &room));
        assert_eq!((status, &answer["room"]), (200, &json!(name)));
        let mut client = Client::connect(server.address, answer["token"].as_str().unwrap(), "").unwrap();
        let join = client.joined();
        assert_eq!((join.room.as_ref().unwrap().name.as_str(), join.other_participants.len()), (name, 0), "{user}");
        rooms.push((client, join.room.unwrap().sid));
    }
    assert_eq!(server.metric("trtc_rooms"), 4);
    // LiveKit's tokens enter the rooms of the first application.
    let met = server.join("123", "stock").joined().other_participants;
    assert_eq!(met.iter().map(|p| p.identity.as_str()).collect::<Vec<_>>(), ["text"]);
}

#[test]
fn with_advanced_permission_control_nobody_enters_without_a_key() {
    let mut config = Door::config();
    let body = |door: &Door<'_>, key: String| {
        let mut body = door.token_body("ann", &room("r"));
        body["privateMapKey"] = json!(key);
        body
    };
    {
        let server = TestServer::with(config.clone());
        assert_eq!(Door::new(&server).enter(body(&Door::new(&server), String::new())).0, 200, "off: all may");
    }
    config.applications[0].advanced_permission_control = true;
    let server = TestServer::with(config);
    let door = Door::new(&server);
    let enter = |key: String| door.enter(body(&door, key));
    assert_eq!(enter(door.key("ann", &room("r"), Privileges::ALL)).0, 200);
    let code = Code::INVALID_PRIVATE_MAPKEY;
    refused(enter(String::new()), 401, code, "privateMapKey is required");
    refused(enter(door.key("bob", &room("r"), Privileges::ALL)), 401, code, "another user");
    refused(enter(door.key("ann", &room("s"), Privileges::ALL)), 401, code, "another room");
    let (now, all) = (now_s(), Privileges::ALL);
    let expired = door.ticket("ann", APP, now - 100, 60).sign_private_map_key(KEY, room("r"), all);
    refused(enter(expired), 401, code, "expired");
    refused(
        enter(door.ticket("ann", APP, now, 60).sign_private_map_key(OTHER_KEY, room("r"), all)),
        401,
        code,
        "signature",
    );
    refused(
        enter(door.ticket("ann", OTHER_APP, now, 60).sign_private_map_key(KEY, room("r"), all)),
        401,
        code,
        "sdk_app_id",
    );
    refused(enter(door.user_sig("ann", now, 60)), 401, code, "not a PrivateMapKey");
    refused(enter("x".repeat(5000)), 401, code, "4096");

    let bits = |bits: u32| door.key("ann", &room("r"), Privileges(bits));
    refused(enter(bits(255 - 2)), 403, Code::NO_RIGHT_TO_ENTER_ROOM, "enter");
    // The room does not exist before somebody is in it.
    refused(enter(bits(255 - 1)), 403, Code::NO_RIGHT_TO_CREATE_ROOM, "create");
    let token = |answer: (u16, Value)| answer.1["token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
    let mut first = Client::connect(server.address, &token(enter(bits(255))), "").unwrap();
    first.joined();
    let late = token(door.enter({
        let mut body = door.token_body("late", &room("r"));
        body["privateMapKey"] = json!(door.key("late", &room("r"), Privileges(254)));
        body
    }));
    let mut second = Client::connect(server.address, &late, "").unwrap();
    second.joined();
    // With the room gone, the same token does not make it again.
    drop((first, second));
    server.wait_for("the room's end", |server| server.metric("trtc_rooms") == 0);
    let (status, text) = Client::connect(server.address, &late, "").err().expect("refused");
    assert_eq!((status, text.as_str()), (401, "no right to create the room"));
}
