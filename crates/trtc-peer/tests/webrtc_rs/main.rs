//! Our peer against `webrtc` (webrtc-rs), a foreign stack in everything: ICE, DTLS, SRTP, SCTP, SDP. Real sockets on
//! loopback and real time; every wait ends with what it waits for, so a busy machine only makes it slower.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
#[path = "../common/mod.rs"]
mod common;
mod ends;

use common::Random;
use common::rtp::{self, Piece, Report};
use ends::{Call, Case, KINDS, MAX_MESSAGE, OUR_SSRCS, THEIR_SSRCS};
use std::time::{Duration, Instant};
use trtc_peer::PeerEvent;

const VIDEO: usize = 1;
/// The last one is what both announce as the largest message.
const SIZES: [usize; 8] = [0, 1, 100, 1200, 5000, 16_384, 65_536, MAX_MESSAGE as usize];

/// A message and whether it is text.
type Message = (Vec<u8>, bool);

/// Every part of DTLS and ICE that fits, for one side that offers first.
fn cases(we_offer: bool) -> [Case; 4] {
    [(false, false), (false, true), (true, false), (true, true)].map(|(lite, active)| Case { we_offer, lite, active })
}

/// An audio and a video track in both directions: every packet arrives as it was sent.
fn exchange_media(call: &mut Call, case: Case) {
    let mut random = Random(7);
    for (at, kind) in KINDS.into_iter().enumerate() {
        let sections = call.ours.peer.receive_sections();
        let section = sections.into_iter().find(|section| section.ssrcs.contains(&THEIR_SSRCS[at])).unwrap();
        let codec = &section.codecs[0];
        assert!(section.direction_active && section.kind == kind, "{case:?} {section:?}");
        assert_eq!(codec.name, ["opus", "h264"][at]);
        assert_eq!(section.msid, Some(("foreign".into(), format!("track{}", THEIR_SSRCS[at]))));

        let (ours, theirs) = (call.ours.received(THEIR_SSRCS[at]).len(), call.theirs.received(OUR_SSRCS[at]).len());
        let pieces = rtp::pieces(kind, 30, &mut random);
        for (sent, piece) in pieces.iter().enumerate() {
            let our_packet = call.ours.packet(at, piece);
            let their_packet = call.theirs.packet(at, codec.payload_type, piece);
            // On a machine that stalls one may be lost: the same packet is then sent again.
            let mut again = Instant::now();
            call.run_until_with("media", |call| {
                let they_have = call.theirs.received(OUR_SSRCS[at]).len() > theirs + sent;
                let we_have = call.ours.received(THEIR_SSRCS[at]).len() > ours + sent;
                if Instant::now() >= again {
                    again = Instant::now() + Duration::from_secs(5);
                    if !they_have {
                        call.ours.send_sealed(our_packet.clone());
                    }
                    if !we_have {
                        call.theirs.send_rtp(at, their_packet.clone());
                    }
                }
                they_have && we_have
            });
        }
        let payload_type = call.ours.senders[at].params.payload_type;
        let they_got = call.theirs.received(OUR_SSRCS[at]).split_off(theirs);
        let expected: Vec<(u8, Piece)> = pieces.iter().map(|piece| (payload_type, piece.clone())).collect();
        assert!(they_got == expected, "{case:?} {kind:?}");

        let we_got = call.ours.received(THEIR_SSRCS[at]).split_off(ours);
        assert!(we_got.iter().all(|view| view.payload_type == codec.payload_type));
        assert!(we_got.iter().map(rtp::View::piece).eq(pieces), "{case:?} {kind:?}");
    }
}

/// Messages of these sizes on all channels in both directions.
fn exchange_data(call: &mut Call, case: Case, sizes: &[usize]) {
    let mut random = Random(8);
    for label in call.theirs.channels.keys().cloned().collect::<Vec<_>>() {
        call.ours.events.clear();
        call.theirs.messages.clear();
        let mut message = |size: &usize| (rtp::noise(*size, &mut random), false);
        let mut messages: Vec<Message> = sizes.iter().map(&mut message).collect();
        messages.push((b"text".to_vec(), true));
        if label.contains("lossy") {
            for message in &messages {
                repeat(call, &label, message, send_ours, they_got);
                repeat(call, &label, message, send_theirs, we_got);
            }
            continue;
        }
        for message in &messages {
            send_ours(call, &label, message);
            send_theirs(call, &label, message);
        }
        let all = messages.len();
        call.run_until(&label, |call| they_got(call, &label).len() >= all && we_got(call, &label).len() >= all);
        assert!(they_got(call, &label) == messages && we_got(call, &label) == messages, "{case:?} {label}");
    }
}

/// A lossy channel may lose a message on a machine that stalls, but not every time.
fn repeat(
    call: &mut Call,
    label: &str,
    message: &Message,
    send: impl Fn(&mut Call, &str, &Message),
    got: impl Fn(&Call, &str) -> Vec<Message>,
) {
    let mut again = Instant::now();
    call.run_until_with(label, |call| {
        if Instant::now() >= again {
            again = Instant::now() + Duration::from_secs(2);
            send(call, label, message);
        }
        got(call, label).contains(message)
    });
}

fn send_ours(call: &mut Call, label: &str, (data, text): &Message) {
    call.run_until_with("room in the queue", |call| {
        let (peer, now) = (&mut call.ours.peer, Instant::now());
        let sent = match text {
            true => peer.send_text(now, label, std::str::from_utf8(data).unwrap()),
            false => peer.send_data(now, label, data),
        };
        sent.is_ok()
    });
}

fn send_theirs(call: &mut Call, label: &str, (data, text): &Message) {
    match text {
        true => call.theirs.send_text(label, std::str::from_utf8(data).unwrap()),
        false => call.theirs.send_data(label, data),
    }
}

fn we_got(call: &Call, wanted: &str) -> Vec<Message> {
    let message = |event: &PeerEvent| match event {
        PeerEvent::Data { label, data, text } if label == wanted => Some((data.to_vec(), *text)),
        _ => None,
    };
    call.ours.events.iter().filter_map(message).collect()
}

fn they_got(call: &Call, wanted: &str) -> Vec<Message> {
    let messages = call.theirs.messages.iter().filter(|(label, ..)| label == wanted);
    messages.map(|(_, data, text)| (data.clone(), *text)).collect()
}

fn media_and_data(case: Case) {
    let mut call = Call::connected(case);
    exchange_media(&mut call, case);
    exchange_data(&mut call, case, &SIZES);
    let counters = call.ours.peer.counters();
    assert_eq!((counters.srtp_failed, counters.srtp_replayed, counters.dtls_restarts), (0, 0, 0), "{case:?}");
}

#[test]
fn media_and_data_when_we_offer() {
    cases(true).into_iter().for_each(media_and_data);
}

#[test]
fn media_and_data_when_they_offer() {
    cases(false).into_iter().for_each(media_and_data);
}

/// A lost packet is asked for; sender reports, receiver reports and transport-wide feedback come by themselves.
#[test]
fn reports_are_understood() {
    for case in [cases(true)[0], cases(false)[1]] {
        let mut call = Call::connected(case);
        exchange_media(&mut call, case);
        let pieces = rtp::pieces(KINDS[VIDEO], 30, &mut Random(9));
        let mut lost = None;
        for (at, piece) in pieces.iter().enumerate() {
            let packet = call.ours.senders[VIDEO].packet(piece, &mut call.ours.transport_sequence);
            match at {
                10 => lost = Some(rtp::view(&packet).sequence),
                _ => call.ours.send_sealed(packet),
            }
        }
        let asked =
            |report: &Report| (report.kind, report.format) == (205, 1) && report.missing().first() == lost.as_ref();
        call.run_until("NACK", |call| call.ours.reports.iter().any(asked));
        let has = |call: &Call, kind: u8, format: Option<u8>| {
            let mut reports = call.ours.reports.iter();
            reports.any(|report| report.kind == kind && format.is_none_or(|format| report.format == format))
        };
        call.run_until("reports", |call| has(call, 200, None) && has(call, 201, None) && has(call, 205, Some(15)));
        let repair = call.ours.senders[VIDEO].repair(lost.unwrap(), OUR_SSRCS[VIDEO] + 1).unwrap();
        call.ours.send_sealed(repair);
        call.run_until("RTX", |call| {
            call.theirs.received(OUR_SSRCS[VIDEO]).iter().any(|(_, piece)| *piece == pieces[10])
        });
    }
}

/// They bind new sockets for it, so the path has to move.
#[test]
fn ice_restart_from_either_side() {
    for case in [cases(true), cases(false)].concat() {
        let mut call = Call::connected(case);
        for we_restart in [true, false] {
            let (ours, theirs) = (call.ours.peer.local_ufrag().to_owned(), call.theirs.ufrag());
            call.ours.events.clear();
            if we_restart {
                call.ours.peer.restart_ice();
                call.we_offer();
            } else {
                call.theirs.restart_ice();
                call.they_offer();
            }
            assert!(call.ours.peer.local_ufrag() != ours && call.theirs.ufrag() != theirs, "{case:?} {we_restart}");
            call.run_until("restart", |call| {
                let moved = |event: &PeerEvent| matches!(event, PeerEvent::PathChanged(_));
                let (events, theirs) = (&call.ours.events, &call.theirs);
                events.contains(&PeerEvent::Connected) && events.iter().any(moved) && theirs.is_connected()
            });
            exchange_media(&mut call, case);
            exchange_data(&mut call, case, &[100, 5000]);
        }
    }
}

#[test]
fn a_farewell_is_told() {
    for case in [cases(true), cases(false)].concat() {
        let mut call = Call::connected(case);
        call.ours.events.clear();
        call.theirs.close();
        call.run_until("their farewell", |call| call.ours.events.contains(&PeerEvent::Closed));
        let failed = |event: &PeerEvent| matches!(event, PeerEvent::Failed(_));
        assert!(!call.ours.events.iter().any(failed), "{case:?} {:?}", call.ours.events);

        let mut call = Call::connected(case);
        call.ours.peer.close(Instant::now());
        call.run_until("our farewell", |call| call.theirs.open.is_empty());
    }
}
