//! What a PrivateMapKey's bits, the role and a publisher allow: each act first with the right, then refused without it.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
mod common;

use common::call::Call;
use common::door::{APP, Door, KEY, now_s};
use common::{Client, TestServer};
use prost::Message as _;
use serde_json::json;
use std::time::Instant;
use trtc_proto::livekit::data_packet::Value;
use trtc_proto::livekit::participant_info::State;
use trtc_proto::livekit::request_response::Reason;
use trtc_proto::livekit::signal_request::Message as Ask;
use trtc_proto::livekit::signal_response::Message as Tell;
use trtc_proto::livekit::{
    AddTrackRequest, DataPacket, DisconnectReason, ParticipantInfo, SubscriptionPermission, TrackPermission,
    TrackSource, TrackType, UpdateParticipantMetadata, UserPacket,
};
use trtc_proto::ticket::Privileges;
use trtc_rtp::RtpHeader;
use trtc_types::{Code, MediaKind, RoomId};

fn room() -> RoomId {
    RoomId::text("r").unwrap()
}

fn with_bits(door: &Door<'_>, user: &str, role: i32, bits: u32) -> String {
    door.token(user, &room(), role, Some(door.key(user, &room(), Privileges(bits))))
}

/// Whether a track of that source is taken, or the refusal.
fn announce(client: &mut Client, source: TrackSource) -> Result<(), (Reason, String)> {
    let audio = matches!(source, TrackSource::Microphone | TrackSource::ScreenShareAudio);
    let r#type = if audio { TrackType::Audio } else { TrackType::Video }.into();
    let cid = format!("{source:?}{:?}", Instant::now());
    client.send(Ask::AddTrack(AddTrackRequest { cid, r#type, source: source.into(), ..Default::default() }));
    client.wait("the fate of a track", |m| match m {
        Tell::TrackPublished(_) => Some(Ok(())),
        Tell::RequestResponse(r) => Some(Err((r.reason(), r.message))),
        _ => None,
    })
}

fn updates<'a>(call: &'a Call, identity: &'a str) -> impl Iterator<Item = &'a ParticipantInfo> {
    let all = call.heard.iter().filter_map(|m| if let Tell::Update(u) = m { Some(&u.participants) } else { None });
    all.flatten().filter(move |p| p.identity == identity)
}

fn send_data(call: &mut Call, text: &[u8]) {
    let user = UserPacket { payload: text.to_vec(), topic: Some("t".into()), ..UserPacket::default() };
    let packet = DataPacket { value: Some(Value::User(user)), ..DataPacket::default() };
    call.publisher.peer.send_data(Instant::now(), "_reliable", &packet.encode_to_vec()).unwrap();
}

/// What a subscriber is told about the permission of each track, newest last.
fn permissions(call: &Call) -> Vec<(String, bool)> {
    let pick = |m: &Tell| match m {
        Tell::SubscriptionPermissionUpdate(p) => Some((p.track_sid.clone(), p.allowed)),
        _ => None,
    };
    call.heard.iter().filter_map(pick).collect()
}

#[test]
fn each_source_needs_its_bit() {
    let server = TestServer::with(Door::config());
    let door = Door::new(&server);
    let sources = [
        (TrackSource::Microphone, 4),
        (TrackSource::Camera, 16),
        (TrackSource::ScreenShare, 64),
        (TrackSource::ScreenShareAudio, 64),
    ];
    for (source, bit) in sources {
        let mut may = Client::connect(server.address, &with_bits(&door, "may", 20, 255), "").unwrap();
        may.joined();
        assert_eq!(announce(&mut may, source), Ok(()), "{source:?}");
        drop(may);
        let mut may_not = Client::connect(server.address, &with_bits(&door, "may not", 20, 255 - bit), "").unwrap();
        may_not.joined();
        let refused = announce(&mut may_not, source).unwrap_err();
        assert!(refused.0 == Reason::NotAllowed && refused.1.contains("permission"), "{refused:?}");
        // A source that says nothing is no way around it.
        assert_eq!(announce(&mut may_not, TrackSource::Unknown).unwrap_err().0, Reason::NotAllowed);
        for (other, theirs) in sources.into_iter().filter(|(_, theirs)| *theirs != bit) {
            assert_eq!(announce(&mut may_not, other), Ok(()), "{other:?} {theirs}");
        }
    }
    let mut audience = Client::connect(server.address, &with_bits(&door, "audience", 21, 255), "").unwrap();
    audience.joined();
    assert_eq!(announce(&mut audience, TrackSource::Camera).unwrap_err().0, Reason::NotAllowed);
}

#[test]
fn what_may_not_be_received_is_not_forwarded() {
    let server = TestServer::with(Door::config());
    let door = Door::new(&server);
    let mut ann = Call::connect_with(&server, &with_bits(&door, "ann", 20, 255));
    let sections = [ann.add_track("mic", MediaKind::Audio, 7, false), ann.add_track("cam", MediaKind::Video, 8, false)];
    ann.negotiate();
    let types = sections.map(|section| ann.publisher.peer.send_params(section).unwrap().payload_type);
    let mut sequence = 0;
    let mut flow = |ann: &mut Call| {
        sequence += 1;
        for (payload_type, ssrc) in types.into_iter().zip([7, 8]) {
            let header = RtpHeader { marker: true, payload_type, sequence, timestamp: 3_000, ssrc };
            ann.publisher.send_rtp(&header, &[], &[0x67, 1, 2]);
        }
    };
    ann.until("both tracks", |c| {
        flow(c);
        updates(c, "ann").last().is_some_and(|p| p.tracks.len() == 2)
    });
    let tracks = updates(&ann, "ann").last().unwrap().tracks.clone();
    let sid = |source: TrackSource| tracks.iter().find(|t| t.source() == source).unwrap().sid.clone();
    let (mic, cam) = (sid(TrackSource::Microphone), sid(TrackSource::Camera));
    for (bits, gets) in [(255, vec![&cam, &mic]), (255 - 8, vec![&cam]), (255 - 32, vec![&mic]), (3 + 128, vec![])] {
        let mut watcher = Call::connect_with(&server, &with_bits(&door, "watcher", 21, bits));
        watcher.until("an answer for each", |c| permissions(c).len() == 2);
        for (sid, allowed) in permissions(&watcher) {
            assert_eq!(allowed, gets.contains(&&sid), "{bits} {sid}");
        }
        if !gets.is_empty() {
            watcher.until("the offer", |w| w.offers.iter().any(|o| o.mid_to_track_id.len() == gets.len()));
        }
        let offered: Vec<_> = watcher.offers.iter().flat_map(|o| o.mid_to_track_id.values()).collect();
        assert!(gets.iter().all(|sid| offered.contains(sid)), "{bits}: {offered:?}");
        assert!(offered.iter().all(|sid| gets.contains(sid)), "{bits}: {offered:?}");
        // Another key while it is there, and back.
        if bits == 255 {
            let token = with_bits(&door, "watcher", 21, 255);
            let set =
                |bits| door.role(&token, json!({ "privateMapKey": door.key("watcher", &room(), Privileges(bits)) }));
            assert_eq!(set(255 - 32).0, 200);
            watcher.until("the picture goes", |c| permissions(c).last() == Some(&(cam.clone(), false)));
            assert_eq!(set(255).0, 200);
            watcher.until("the picture comes", |c| permissions(c).last() == Some(&(cam.clone(), true)));
        }
    }
}

#[test]
fn the_role_ends_media_that_flows_and_gives_it_back() {
    let server = TestServer::with(Door::config());
    let door = Door::new(&server);
    let token = with_bits(&door, "ann", 20, 255);
    let mut ann = Call::connect_with(&server, &token);
    let mut bob = Call::connect_with(&server, &with_bits(&door, "bob", 21, 255));
    let section = ann.add_track("cam", MediaKind::Video, 77, false);
    ann.negotiate();
    let payload_type = ann.publisher.peer.send_params(section).unwrap().payload_type;
    let mut sequence = 0;
    let mut flow = |ann: &mut Call, bob: &mut Call| {
        for _ in 0..20 {
            sequence += 1;
            let header = RtpHeader { marker: true, payload_type, sequence, timestamp: 3_000, ssrc: 77 };
            ann.publisher.send_rtp(&header, &[], &[0x67, 1, 2]);
            ann.turn();
            bob.turn();
        }
    };
    let end = Instant::now() + common::PATIENCE;
    while bob.subscriber.rtp.is_empty() {
        assert!(Instant::now() < end, "no media came");
        flow(&mut ann, &mut bob);
    }
    send_data(&mut ann, b"one");
    bob.until("data", |b| {
        ann.turn();
        b.subscriber.messages.len() == 1
    });

    assert_eq!(door.role(&token, json!({ "role": 21 })), (200, json!({ "role": 21, "privileges": 255 })));
    ann.until("the end of the track", |a| a.heard.iter().any(|m| matches!(m, Tell::TrackUnpublished(_))));
    let demoted = |p: &ParticipantInfo| {
        p.attributes["trtc.role"] == "audience" && p.tracks.is_empty() && !p.permission.as_ref().unwrap().can_publish
    };
    bob.until("the new role", |b| updates(b, "ann").last().is_some_and(demoted));
    ann.until("a token for it", |a| updates(a, "ann").last().is_some_and(demoted));
    let newest =
        ann.heard.iter().filter_map(|m| if let Tell::RefreshToken(t) = m { Some(t) } else { None }).next_back();
    let claims = trtc_proto::jwt::decode_unverified(newest.unwrap()).unwrap();
    assert_eq!((claims.trtc.unwrap().role, claims.video.unwrap().can_publish), (21, Some(false)));
    // Whatever is still sent goes nowhere. An answer says that the media thread has done all that came before its offer.
    bob.negotiate();
    bob.turn();
    let (media, data) = (bob.subscriber.rtp.len(), bob.subscriber.messages.len());
    flow(&mut ann, &mut bob);
    send_data(&mut ann, b"two");
    ann.until("the refusal of data", |a| {
        bob.turn();
        a.refusals().contains(&"no permission to send data")
    });
    bob.negotiate();
    bob.turn();
    assert_eq!((bob.subscriber.rtp.len(), bob.subscriber.messages.len()), (media, data));
    ann.add_track("again", MediaKind::Video, 79, true);
    ann.until("the refusal of a track", |a| a.refusals().iter().any(|r| r.contains("publish from this source")));

    assert_eq!(door.role(&token, json!({ "role": 20 })).0, 200);
    bob.until("an anchor again", |b| updates(b, "ann").last().is_some_and(|p| p.attributes["trtc.role"] == "anchor"));
    ann.add_track("once more", MediaKind::Video, 80, true);
    ann.negotiate();
    bob.until("a track", |b| {
        ann.turn();
        updates(b, "ann").last().is_some_and(|p| p.tracks.len() == 1)
    });
    send_data(&mut ann, b"three");
    bob.until("data", |b| {
        ann.turn();
        b.subscriber.messages.len() == data + 1
    });
}

#[test]
fn an_expired_key_at_a_switch_removes_the_member() {
    let server = TestServer::with(Door::config());
    let door = Door::new(&server);
    let mut watcher = server.join("r", "watcher");
    watcher.joined();
    let token = with_bits(&door, "ann", 21, 43);
    let mut ann = Client::connect(server.address, &token, "").unwrap();
    ann.joined();
    let says = |answer: (u16, serde_json::Value), status: u16, code: Code, text: &str| {
        let message = answer.1["message"].as_str().unwrap_or_default();
        assert!(answer.0 == status && answer.1["code"] == code.0 && message.contains(text), "{answer:?}");
    };
    let code = Code::INVALID_PRIVATE_MAPKEY;
    let key = |user: &str, room: &RoomId, bits| door.key(user, room, Privileges(bits));
    let role = |role: i32, key: String| door.role(&token, json!({ "role": role, "privateMapKey": key }));
    says(door.role(&token, json!({ "role": 20 })), 401, code, "does not allow to send");
    says(role(20, key("bob", &room(), 255)), 401, code, "another user");
    says(role(20, key("ann", &RoomId::text("s").unwrap(), 255)), 401, code, "another room");
    says(role(20, "garbage".into()), 401, code, "malformed");
    says(door.role(&token, json!({})), 400, Code::INVALID_PARAMETER, "role");
    says(
        door.role(&server.token(&server.claims("r", "ann")), json!({ "role": 20 })),
        403,
        Code::REFUSED,
        "/trtc/v1/token",
    );
    says(door.role("abc", json!({ "role": 20 })), 401, Code::USER_SIG_CHECK_FAILED, "invalid");
    says(door.role(&with_bits(&door, "nobody", 21, 255), json!({ "role": 20 })), 403, Code::REFUSED, "not in the room");
    ann.is_served();
    assert_eq!(role(20, key("ann", &room(), 255)).0, 200);
    assert_eq!(role(21, key("ann", &room(), 255)).0, 200);
    // An old key to go back with does not hurt; to send with, it does.
    let old = || door.ticket("ann", APP, now_s() - 100, 60).sign_private_map_key(KEY, room(), Privileges::ALL);
    says(role(21, old()), 401, code, "expired");
    ann.is_served();
    says(role(20, old()), 401, code, "expired");
    let (reason, _, _, text) = ann.end();
    assert_eq!((reason, text.as_str()), (DisconnectReason::ParticipantRemoved, "the PrivateMapKey is expired"));
    watcher.wait("the farewell", |m| match m {
        Tell::Update(u) => u.participants.into_iter().find(|p| p.identity == "ann" && p.state() == State::Disconnected),
        _ => None,
    });
    says(door.role(&token, json!({ "role": 20 })), 403, Code::REFUSED, "not in the room");
}

#[test]
fn a_publisher_decides_who_may_have_its_tracks() {
    let server = TestServer::start();
    let mut ann = Call::connect(&server, &server.claims("r", "ann"));
    let mut bob = Call::connect(&server, &server.claims("r", "bob"));
    let mut carl = Call::connect(&server, &server.claims("r", "carl"));
    ann.add_track("mic", MediaKind::Audio, 7, true);
    ann.add_track("cam", MediaKind::Video, 8, true);
    ann.negotiate();
    for call in [&mut bob, &mut carl] {
        call.until("both by default", |c| permissions(c).iter().filter(|p| p.1).count() == 2);
    }
    let tracks = updates(&bob, "ann").last().unwrap().tracks.clone();
    let mic = tracks.iter().find(|t| t.source() == TrackSource::Microphone).unwrap().sid.clone();
    let allow = |ann: &mut Call, all_participants, track_permissions| {
        let permission = SubscriptionPermission { all_participants, track_permissions };
        ann.client.send(Ask::SubscriptionPermission(permission));
    };
    let bobs =
        TrackPermission { participant_identity: "bob".into(), track_sids: vec![mic.clone()], ..Default::default() };
    allow(&mut ann, false, vec![bobs]);
    bob.until("one is taken", |b| permissions(b).iter().filter(|p| !p.1).count() == 1);
    carl.until("both are taken", |c| permissions(c).iter().filter(|p| !p.1).count() == 2);
    assert!(permissions(&bob).iter().all(|(sid, allowed)| *allowed || *sid != mic));
    // Who asks again hears no again, and who comes later too.
    let late = Call::connect(&server, &server.claims("r", "late"));
    let mut late = late;
    late.until("two refusals", |c| permissions(c).iter().filter(|p| !p.1).count() == 2);
    assert!(late.offers.iter().all(|o| o.mid_to_track_id.is_empty()));
    // By its sid, all tracks; an identity that looks like a sid is none.
    let sid = updates(&bob, "carl").next().map(|p| p.sid.clone()).unwrap();
    let by_sid = TrackPermission { participant_sid: sid.clone(), all_tracks: true, ..Default::default() };
    let mut forged = server.join_with(&server.claims("r", &sid), "");
    forged.joined();
    allow(&mut ann, false, vec![by_sid]);
    carl.until("both are back", |c| permissions(c).iter().filter(|p| p.1).count() == 4);
    for _ in 0..2 {
        let told = forged
            .wait("a refusal", |m| if let Tell::SubscriptionPermissionUpdate(p) = m { Some(p.allowed) } else { None });
        assert!(!told);
    }
    allow(&mut ann, true, Vec::new());
    late.until("all for all", |c| permissions(c).iter().filter(|p| p.1).count() == 2);
}

#[test]
fn who_entered_with_a_ticket_cannot_name_its_own_role() {
    let server = TestServer::with(Door::config());
    let door = Door::new(&server);
    let forge = |client: &mut Client| {
        let attributes = [("trtc.role".to_owned(), "anchor".to_owned())].into();
        client.send(Ask::UpdateMetadata(UpdateParticipantMetadata { attributes, request_id: 5, ..Default::default() }));
        client.refusal().reason()
    };
    let mut claims = server.claims("r", "stock");
    claims.video.as_mut().unwrap().can_update_own_metadata = Some(true);
    let mut stock = server.join_with(&claims, "");
    stock.joined();
    assert_eq!(forge(&mut stock), Reason::Ok);
    let mut ann = Client::connect(server.address, &with_bits(&door, "ann", 21, 255), "").unwrap();
    ann.joined();
    assert_eq!(forge(&mut ann), Reason::NotAllowed);
}
