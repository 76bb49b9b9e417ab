//! Entering with a UserSig, and the role: what the host hears, and what others hear of it.
use crate::guest::{Guest, until, user};
use crate::server::TestServer;
use std::time::{SystemTime, UNIX_EPOCH};
use trtc_proto::ticket::{Privileges, Ticket};
use trtc_sdk::types::{AppScene, Code, LeaveReason, Role, RoomId, StreamType};
use trtc_sdk::{EnterParams, Event};
use trtc_server::ServerConfig;

fn ticket(name: &str, age_s: u64) -> Ticket {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Ticket { user: user(name), sdk_app_id: ServerConfig::dev_application().0, issued_at_s: now - age_s, expire_s: 60 }
}

fn key(name: &str, room: &RoomId, bits: u32, age_s: u64) -> String {
    ticket(name, age_s).sign_private_map_key(ServerConfig::dev_application().1, room.clone(), Privileges(bits))
}

fn params(server: &TestServer, name: &str, room: &RoomId, role: Role, private_map_key: String) -> EnterParams {
    EnterParams {
        user_sig: ticket(name, 0).sign_user_sig(ServerConfig::dev_application().1),
        sdk_app_id: ServerConfig::dev_application().0,
        user_id: name.into(),
        room: Some(room.clone()),
        role,
        private_map_key,
        ..EnterParams::with_token(&server.url, "")
    }
}

fn saw(guest: &Guest, fits: impl Fn(&Event) -> bool) -> bool {
    guest.count(fits) > 0
}

/// The outcome of entering.
fn enter(guest: &Guest, params: &EnterParams) -> i32 {
    let result = || {
        guest
            .events()
            .iter()
            .filter_map(|e| if let Event::EnterRoom(r) = e { Some(*r) } else { None })
            .collect::<Vec<_>>()
    };
    let before = result().len();
    guest.cloud.enter_room(params, AppScene::Live).unwrap();
    until("entering", || result().len() > before);
    *result().last().unwrap()
}

fn switch(guest: &Guest, role: Role, key: &str) -> (Code, String) {
    let outcomes = || {
        let pick =
            |e: &Event| if let Event::SwitchRole { code, message } = e { Some((*code, message.clone())) } else { None };
        guest.events().iter().filter_map(pick).collect::<Vec<_>>()
    };
    let before = outcomes().len();
    guest.cloud.switch_role(role, key).unwrap();
    until("the switch", || outcomes().len() > before);
    outcomes().pop().unwrap()
}

#[test]
fn a_user_sig_enters_and_the_role_is_switched_both_ways() {
    let server = TestServer::start();
    let room = RoomId::number(123).unwrap();
    let (ann, bob) = (Guest::sending(), Guest::new());
    assert!(enter(&ann, &params(&server, "ann", &room, Role::Anchor, String::new())) > 0);
    assert!(enter(&bob, &params(&server, "bob", &room, Role::Audience, String::new())) > 0);
    until("Ann's picture", || saw(&bob, |e| matches!(e, Event::UserVideoAvailable(u, true) if *u == user("ann"))));
    assert!(!saw(&ann, |e| matches!(e, Event::RemoteUserEnterRoom(_))), "the audience comes silently");
    assert!(bob.cloud.send_custom_cmd_msg(1, b"x", true, true).is_err());

    bob.cloud.start_pattern_source(StreamType::Big, trtc_sdk::PatternSource::default()).unwrap();
    assert_eq!(switch(&bob, Role::Anchor, ""), (Code::OK, String::new()));
    until("Bob on stage", || saw(&ann, |e| matches!(e, Event::RemoteUserEnterRoom(u) if *u == user("bob"))));
    until("Bob's picture", || saw(&ann, |e| matches!(e, Event::UserVideoAvailable(u, true) if *u == user("bob"))));
    bob.cloud.send_custom_cmd_msg(1, b"x", true, true).unwrap();
    until("Bob's word", || saw(&ann, |e| matches!(e, Event::RecvCustomCmdMsg { .. })));

    assert_eq!(switch(&bob, Role::Audience, ""), (Code::OK, String::new()));
    let left = |e: &Event| matches!(e, Event::RemoteUserLeaveRoom(u, LeaveReason::BecameAudience) if *u == user("bob"));
    until("Bob off stage", || saw(&ann, left));
    assert!(saw(&ann, |e| matches!(e, Event::UserVideoAvailable(u, false) if *u == user("bob"))));
    // His source goes on running; it is seen again the next time.
    assert_eq!(switch(&bob, Role::Anchor, ""), (Code::OK, String::new()));
    let on = |e: &Event| matches!(e, Event::UserVideoAvailable(u, true) if *u == user("bob"));
    until("Bob's picture again", || ann.events().iter().filter(|e| on(e)).count() == 2);
    for guest in [&ann, &bob] {
        assert!(!saw(guest, |e| matches!(e, Event::Error { .. })), "{:?}", guest.events());
    }
}

#[test]
fn refusals_have_the_vendors_codes() {
    let server = TestServer::start();
    let (room, other) = (RoomId::text("r").unwrap(), RoomId::text("s").unwrap());
    let guest = Guest::new();
    let good = params(&server, "ann", &room, Role::Anchor, String::new());
    let with_key = |key: String| params(&server, "ann", &room, Role::Anchor, key);
    assert!(enter(&guest, &with_key(key("ann", &room, 255, 0))) > 0);
    guest.exit();
    let expired = ticket("ann", 100).sign_user_sig(ServerConfig::dev_application().1);
    assert_eq!(enter(&guest, &EnterParams { user_sig: expired, ..good.clone() }), Code::USER_SIG_CHECK_FAILED.0);
    assert!(saw(&guest, |e| matches!(e, Event::Error { message, .. } if message.contains("expired"))));
    assert_eq!(enter(&guest, &EnterParams { sdk_app_id: 7, ..good.clone() }), Code::INVALID_SDK_APPID.0);
    assert_eq!(enter(&guest, &with_key(key("ann", &other, 255, 0))), Code::INVALID_PRIVATE_MAPKEY.0);
    assert_eq!(enter(&guest, &with_key(key("ann", &room, 255 - 2, 0))), Code::NO_RIGHT_TO_ENTER_ROOM.0);
    assert_eq!(enter(&guest, &with_key(key("ann", &other, 255, 100))), Code::INVALID_PRIVATE_MAPKEY.0);
    // Nobody is there.
    let nowhere = EnterParams { server_url: "ws://127.0.0.1:9".into(), ..good.clone() };
    assert_eq!(enter(&guest, &nowhere), Code::CONNECT_SERVER_TIMEOUT.0);
    // At once.
    let at_once = |change: fn(&mut EnterParams)| {
        let mut params = good.clone();
        change(&mut params);
        guest.cloud.enter_room(&params, AppScene::Live).unwrap_err().code
    };
    assert_eq!(at_once(|p| p.user_sig.clear()), Code::ROOM_PARAM_NULL);
    assert_eq!(at_once(|p| p.user_id.clear()), Code::INVALID_USER_ID);
    assert_eq!(at_once(|p| p.room = None), Code::INVALID_ROOM_ID);
    assert_eq!(at_once(|p| p.sdk_app_id = 0), Code::INVALID_SDK_APPID);
    assert_eq!(at_once(|p| p.server_url = "http://192.0.2.1".into()), Code::INVALID_PARAMETER);
}

#[test]
fn a_server_that_never_answers_blocks_nobody() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = TestServer::start();
    let room = RoomId::text("r").unwrap();
    let guest = Guest::new();
    let good = params(&server, "ann", &room, Role::Anchor, String::new());
    let mute = EnterParams { server_url: format!("ws://{}", silent.local_addr().unwrap()), ..good.clone() };
    guest.cloud.enter_room(&mute, AppScene::Live).unwrap();
    guest.cloud.exit_room().unwrap();
    until("leaving", || saw(&guest, |e| matches!(e, Event::ExitRoom(0))));
    assert!(enter(&guest, &good) > 0, "and the way is free");
}

#[test]
fn an_expired_key_removes_who_wants_to_send_with_it() {
    let server = TestServer::start();
    let room = RoomId::text("r").unwrap();
    let guest = Guest::new();
    let watch = key("ann", &room, 1 + 42, 0);
    assert!(enter(&guest, &params(&server, "ann", &room, Role::Audience, watch)) > 0);
    let (code, message) = switch(&guest, Role::Anchor, "");
    assert!(code == Code::INVALID_PRIVATE_MAPKEY && message.contains("send"), "{message}");
    assert_eq!(switch(&guest, Role::Anchor, &key("ann", &room, 255, 0)).0, Code::OK);
    assert_eq!(switch(&guest, Role::Audience, "").0, Code::OK);
    guest.cloud.update_private_map_key("no key").unwrap();
    until("the refusal", || saw(&guest, |e| matches!(e, Event::Error { code: Code::INVALID_PRIVATE_MAPKEY, .. })));
    let (code, message) = switch(&guest, Role::Anchor, &key("ann", &room, 255, 100));
    assert!(code == Code::INVALID_PRIVATE_MAPKEY && message.contains("expired"), "{message}");
    until("the removal", || saw(&guest, |e| matches!(e, Event::ExitRoom(1))));
}

#[test]
fn with_a_livekit_token_the_role_is_the_librarys_own() {
    let server = TestServer::start();
    let guest = Guest::new();
    let token = EnterParams::with_token(&server.url, &server.token("r", "ann"));
    assert!(enter(&guest, &token) > 0);
    let (code, message) = switch(&guest, Role::Audience, "a key");
    assert!(code == Code::OK && message.contains("others are not told") && message.contains("ignored"), "{message}");
    assert!(guest.cloud.send_custom_cmd_msg(1, b"x", true, true).is_err());
    assert_eq!(switch(&guest, Role::Anchor, "").0, Code::OK);
    guest.cloud.send_custom_cmd_msg(1, b"x", true, true).unwrap();
    let refused = guest.cloud.update_private_map_key("a key").unwrap_err();
    assert_eq!(refused.code, Code::NOT_SUPPORTED);
}
