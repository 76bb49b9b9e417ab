//! Each forbidden act is done twice: with the right to it, when it must succeed, and without, when it must be refused.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may stop")]
mod doors;
mod rig;
mod tickets;

use livekit_protocol as lk;
use lk::signal_request::Message as Ask;
use lk::signal_response::Message as Tell;
use lk::{DataPacket, TrackSource, TrackType, UserPacket, data_packet};
use rig::{ROOM, Rig, hears, joins};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use trtc_testkit::client::Client;
use trtc_testkit::token;
use trtc_types::MediaKind;

fn microphone(client: &mut Client, cid: &str) -> Result<lk::TrackInfo, String> {
    client.add_track(cid, TrackType::Audio, TrackSource::Microphone)
}

#[test]
fn joining() {
    let mut rig = Rig::new();
    let secret = rig.config.api_secret.clone();
    let cases: [(&str, Value, &str, &str); 10] = [
        ("join with an expired token", json!({ "exp": 1_000 }), "", "expired"),
        ("join before the token is valid", json!({ "nbf": token::now_s() + 1_000 }), "", "not valid yet"),
        ("join with the key of somebody else", json!({ "iss": "stranger" }), "", "invalid API key"),
        ("join without roomJoin", json!({ "video": { "roomJoin": false } }), "", "permissions denied"),
        ("join without a grant", json!({ "video": null }), "", "no permissions"),
        ("join another room by the query", json!({}), "&room=elsewhere", "permissions denied"),
        ("join no room", json!({ "video": { "room": "" } }), "", "no room name"),
        ("join as nobody", json!({ "sub": "" }), "", "identity cannot be empty"),
        ("join with a long name", json!({ "sub": "n".repeat(257) }), "", "length exceeds limits"),
        ("join with text for a time", json!({ "exp": "tomorrow" }), "", "invalid authorization token"),
    ];
    for (what, change, query, refusal) in cases {
        let good = joins(&rig, &rig.token("mallory", &json!({})), "");
        rig.act(what, good, |rig| joins(rig, &rig.token("mallory", &change), query), refusal);
    }
    let tokens: [(&str, String, &str); 5] = [
        ("join without a token", String::new(), "no permissions"),
        ("join with garbage", "not.a.token".into(), "invalid authorization token"),
        ("join with another secret", token::sign(&rig.claims("mallory", &json!({})), &"x".repeat(32)), "signature"),
        (
            "join with algorithm none",
            token::sign_as(&json!({ "alg": "none" }), &rig.claims("mallory", &json!({})), &secret),
            "invalid token",
        ),
        ("join with a token of 200 kB", rig.token("mallory", &json!({ "metadata": "m".repeat(150_000) })), ""),
    ];
    for (what, bad, refusal) in tokens {
        let good = joins(&rig, &rig.token("mallory", &json!({})), "");
        rig.act(what, good, |rig| joins(rig, &bad, ""), refusal);
    }
    // Only the token says who somebody is and what: the query does not.
    let kind = |rig: &Rig, change: Value, query: &str| {
        let client = Client::connect(rig.at, &rig.token("kind", &change), query).unwrap().joined();
        let me = client.join.unwrap().participant.unwrap();
        match (me.kind(), me.name.as_str()) {
            (lk::participant_info::Kind::Agent, "boss") => Ok("is an agent named boss".to_owned()),
            other => Err(format!("stays {other:?}")),
        }
    };
    let agent = kind(&rig, json!({ "kind": "agent", "name": "boss" }), "");
    let query = "&kind=agent&name=boss&hidden=true&identity=ann&metadata=x";
    rig.act("be an agent by the query", agent, |rig| kind(rig, json!({}), query), "Standard");
    rig.finish();
}

#[test]
fn publishing() {
    let mut rig = Rig::new();
    let publishes = |rig: &Rig, grant: Value, kind: TrackType, source: TrackSource| {
        let mut client = rig.join("mallory", grant);
        client.add_track("c", kind, source).map(|track| format!("published {}", &track.sid[..5]))
    };
    let (audio, video) = (TrackType::Audio, TrackType::Video);
    let (mic, cam, screen) = (TrackSource::Microphone, TrackSource::Camera, TrackSource::ScreenShare);
    let denied = "NOT_ALLOWED does not have permission to publish";
    let good = publishes(&rig, json!({ "canPublish": true }), audio, mic);
    rig.act("publish", good, |rig| publishes(rig, json!({ "canPublish": false }), audio, mic), denied);
    for (kind, source, name) in [(audio, mic, "microphone"), (video, cam, "camera"), (video, screen, "screen_share")] {
        let only = |names: Vec<&str>| json!({ "canPublishSources": names });
        let good = publishes(&rig, only(vec![name]), kind, source);
        let others: Vec<&str> = ["microphone", "camera", "screen_share"].into_iter().filter(|n| *n != name).collect();
        let what = format!("publish from a source that is not allowed: {name}");
        rig.act(&what, good, |rig| publishes(rig, only(others), kind, source), denied);
    }
    let good = publishes(&rig, json!({}), video, cam);
    let unfit = "INVALID_REQUEST the track's type does not fit its source";
    rig.act("publish sound as a camera", good, |rig| publishes(rig, json!({}), audio, cam), unfit);

    let many = |rig: &Rig, count: usize| {
        let mut client = rig.join("greedy", json!({}));
        (0..count).try_for_each(|i| microphone(&mut client, &i.to_string()).map(drop))?;
        Ok(format!("{count} tracks"))
    };
    let good = many(&rig, 32);
    rig.act("publish more than 32 tracks", good, |rig| many(rig, 33), "NOT_ALLOWED a member may publish at most 32");
    let twice = |rig: &Rig, cids: [&str; 2]| {
        let mut client = rig.join("twice", json!({}));
        cids.iter().try_for_each(|cid| microphone(&mut client, cid).map(drop))?;
        Ok("two tracks".to_owned())
    };
    let good = twice(&rig, ["a", "b"]);
    rig.act("publish a cid twice", good, |rig| twice(rig, ["a", "a"]), "QUEUED");
    let screens = |rig: &Rig, rooms: [&str; 2]| {
        let mut first = rig.join("first screen", json!({ "room": rooms[0] }));
        first.add_track("s", video, screen)?;
        let mut second = rig.join("second screen", json!({ "room": rooms[1] }));
        second.add_track("s", video, screen).map(|_| "each room has its own".to_owned())
    };
    let good = screens(&rig, ["one", "two"]);
    rig.act("publish a second sub stream", good, |rig| screens(rig, ["one", "one"]), "LIMIT_EXCEEDED");

    // Media that the room was never told of, or may not hear of.
    let media = |rig: &Rig, grant: Value, announced: bool| {
        let mut watcher = rig.call("watcher", json!({}));
        let mut call = rig.call("sender", grant);
        if announced {
            let (r#type, source) = (audio.into(), mic.into());
            call.client.send(Ask::AddTrack(lk::AddTrackRequest {
                cid: "mic".into(),
                r#type,
                source,
                ..Default::default()
            }));
        }
        let section = call.add_section("mic", MediaKind::Audio, 77);
        call.negotiate();
        for sequence in 0..100 {
            call.send_rtp(section, 77, sequence);
            call.turn();
            watcher.turn();
        }
        let end = Instant::now() + Duration::from_millis(if announced { 20_000 } else { 1_000 });
        while watcher.subscriber.rtp.is_empty() && call.refusals().is_empty() && Instant::now() < end {
            call.send_rtp(section, 77, 100 + (Instant::now() - end + Duration::from_secs(30)).as_millis() as u16);
            call.turn();
            watcher.turn();
        }
        match watcher.subscriber.rtp.len() {
            0 => Err(format!("nobody hears it; {:?}", call.refusals())),
            _ => Ok("others hear it".to_owned()),
        }
    };
    let good = media(&rig, json!({}), true);
    rig.act("send sound without the right", good, |rig| media(rig, json!({ "canPublish": false }), true), denied);
    let good = media(&rig, json!({}), true);
    rig.act("send sound that was not announced", good, |rig| media(rig, json!({}), false), "nobody hears it");
    rig.finish();
}

#[test]
fn what_belongs_to_others() {
    let mut rig = Rig::new();
    let mut ann = rig.join("ann", json!({}));
    let hers = microphone(&mut ann, "mic").unwrap().sid;
    let camera = ann.add_track("cam", TrackType::Video, TrackSource::Camera).unwrap().sid;
    type AskOf = fn(String) -> Ask;
    let acts: [(&str, AskOf); 3] = [
        ("mute", |sid| Ask::Mute(lk::MuteTrackRequest { sid, muted: true })),
        ("change sound of", |track_sid| {
            Ask::UpdateAudioTrack(lk::UpdateLocalAudioTrack { track_sid, features: vec![0] })
        }),
        ("change the size of", |track_sid| {
            Ask::UpdateVideoTrack(lk::UpdateLocalVideoTrack { track_sid, width: 16, height: 16 })
        }),
    ];
    for (n, (what, ask)) in acts.into_iter().enumerate() {
        let tries = |rig: &Rig, other: Option<&str>| {
            let mut client = rig.join("mallory", json!({}));
            let own = microphone(&mut client, "mic").unwrap().sid;
            let own_camera = client.add_track("cam", TrackType::Video, TrackSource::Camera).unwrap().sid;
            let own = if n == 2 { own_camera } else { own };
            client.send(ask(other.unwrap_or(&own).to_owned()));
            for message in client.settled() {
                if let Tell::RequestResponse(refused) = message {
                    return Err(trtc_testkit::client::refusal(&refused));
                }
            }
            Ok("its own track".to_owned())
        };
        let sid = if n == 2 { &camera } else { &hers };
        let good = tries(&rig, None);
        rig.act(&format!("{what} a track of somebody else"), good, |rig| tries(rig, Some(sid)), "NOT_FOUND");
    }
    // Ann was told of nobody's wish.
    let told = ann.settled();
    assert!(!told.iter().any(|m| matches!(m, Tell::Mute(_))), "{told:?}");

    let describes = |rig: &Rig, grant: Value| {
        let mut client = rig.join("mallory", grant);
        let attributes = [("trtc.role".to_owned(), "20".to_owned())].into();
        let update =
            lk::UpdateParticipantMetadata { metadata: "new".into(), request_id: 9, attributes, ..Default::default() };
        client.send(Ask::UpdateMetadata(update));
        client.wait("an answer", |m| match m {
            Tell::RequestResponse(r) if r.reason() == lk::request_response::Reason::Ok => {
                Some(Ok("told to all".into()))
            }
            Tell::RequestResponse(r) => Some(Err(trtc_testkit::client::refusal(&r))),
            _ => None,
        })
    };
    let good = describes(&rig, json!({ "canUpdateOwnMetadata": true }));
    let without = |rig: &Rig| describes(rig, json!({ "canUpdateOwnMetadata": false }));
    rig.act("change metadata and attributes", good, without, "NOT_ALLOWED");
    rig.finish();
}

#[test]
fn seeing_and_being_seen() {
    let mut rig = Rig::new();
    let seen = |rig: &Rig, grant: Value| {
        let mut watcher = rig.join("watcher", json!({}));
        let name = if grant["hidden"] == true { "shade" } else { "ghost" };
        let ghost = rig.join(name, grant);
        let updates = watcher.settled();
        let late = rig.join("late", json!({})).join.unwrap().other_participants;
        let told = |m: &Tell| matches!(m, Tell::Update(u) if u.participants.iter().any(|p| p.identity == name));
        let seen = updates.iter().any(told) || late.iter().any(|p| p.identity == name);
        drop(ghost);
        if seen { Ok("seen by all".to_owned()) } else { Err("nobody is told".to_owned()) }
    };
    let good = seen(&rig, json!({}));
    rig.act("see a hidden member", good, |rig| seen(rig, json!({ "hidden": true })), "nobody");

    let hears = |rig: &Rig, grant: Value, ask: bool, room: &str| {
        let token = |identity: &str, grant| rig.token(identity, &json!({ "video": grant }));
        let watcher = token("eavesdropper", token::changed(grant, &json!({ "room": room })));
        hears(rig, &token("speaker", json!({})), &watcher, TrackSource::Microphone, ask)
    };
    let good = hears(&rig, json!({ "canSubscribe": true }), false, ROOM);
    let without = |rig: &Rig| hears(rig, json!({ "canSubscribe": false }), true, ROOM);
    rig.act("subscribe", good, without, "no packet");
    let good = hears(&rig, json!({}), false, ROOM);
    let other = |rig: &Rig| hears(rig, json!({}), true, "another room");
    rig.act("subscribe to a track of another room by its sid", good, other, "no packet");
    rig.finish();
}

#[test]
fn data() {
    let mut rig = Rig::new();
    let packet = |topic: &str, identity: &str, to: Vec<String>| {
        let user = UserPacket { payload: b"hello".to_vec(), topic: Some(topic.into()), ..Default::default() };
        let value = Some(data_packet::Value::User(user));
        DataPacket { value, participant_identity: identity.into(), destination_identities: to, ..Default::default() }
    };
    // Who the receiver believes has sent it.
    let sends = |rig: &Rig, grant: Value, packet: DataPacket, receiver: &str| {
        let mut bob = rig.call("bob", json!({ "room": if receiver == "elsewhere" { "elsewhere" } else { ROOM } }));
        let mut mallory = rig.call("mallory", grant);
        mallory.send_data(&packet);
        let end = Instant::now() + Duration::from_secs(3);
        while bob.subscriber.messages.is_empty() && mallory.refusals().is_empty() && Instant::now() < end {
            mallory.turn();
            bob.turn();
        }
        match (bob.subscriber.messages.first(), mallory.refusals().first()) {
            (Some(message), _) => Ok(format!("comes from {:?}", message.participant_identity)),
            (None, Some(text)) => Err(text.clone()),
            (None, None) => Err("nothing comes".to_owned()),
        }
    };
    let good = sends(&rig, json!({ "canPublishData": true }), packet("chat", "", vec![]), "bob");
    let without = |rig: &Rig| sends(rig, json!({ "canPublishData": false }), packet("chat", "", vec![]), "bob");
    rig.act("send data", good, without, "no permission to send data");

    let good = sends(&rig, json!({}), packet("chat", "", vec!["bob".into()]), "bob");
    let without = |rig: &Rig| sends(rig, json!({}), packet("chat", "", vec!["bob".into()]), "elsewhere");
    rig.act("send to a member of another room", good, without, "nothing comes");
    let good = sends(&rig, json!({}), packet("chat", "", vec!["bob".into()]), "bob");
    let without = |rig: &Rig| sends(rig, json!({}), packet("chat", "", vec!["ann".into()]), "bob");
    rig.act("read what was sent to somebody else", good, without, "nothing comes");

    let spoofs = |rig: &Rig, identity: &str| {
        let told = sends(rig, json!({}), packet("chat", identity, vec![]), "bob")?;
        if told == format!("comes from {identity:?}") { Ok(told) } else { Err(told) }
    };
    let good = spoofs(&rig, "mallory");
    rig.act("send data as somebody else", good, |rig| spoofs(rig, "ann"), "comes from \"mallory\"");
    rig.finish();
}
