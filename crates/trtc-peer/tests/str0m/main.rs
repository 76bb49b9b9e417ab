//! Our peer against `str0m`, a foreign stack without IO: both sides and the network in virtual time. Its DTLS and SCTP
//! are the crates that we use too (`dimpl`, `sctp-proto`); ICE, SDP, SRTP, RTCP and DCEP are its own.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
#[path = "../common/mod.rs"]
mod common;
mod link;

use common::rtp::{self, Piece, Report, Sender};
use common::track;
use link::{Case, KINDS, Link, OUR_SSRCS, THEIRS, cases};
use std::time::Duration;
use str0m::Event;
use str0m::format::Codec;
use str0m::media::KeyframeRequestKind;
use trtc_peer::{IceRole, PeerEvent, extension};
use trtc_types::MediaKind;

const AUDIO: usize = 0;
const VIDEO: usize = 1;
/// The last one is what both announce as the largest message.
const SIZES_TO_STR0M: [usize; 8] = [0, 1, 100, 1200, 5000, 16_384, 65_536, 262_144];
/// str0m cannot send an empty message and queues 128 KiB.
const SIZES_TO_US: [usize; 7] = [1, 100, 1200, 5000, 16_384, 65_536, 120_000];

/// An audio and a video track in both directions: every packet arrives as it was sent.
fn exchange_media(link: &mut Link, case: Case) {
    link.rtp.clear();
    link.their_events.clear();
    for (at, kind) in KINDS.into_iter().enumerate() {
        let section = link.section(at);
        let their_ssrc = link.their_ssrc(at);
        let codec = &section.codecs[0];
        assert!(section.direction_active && section.kind == kind, "{case:?} {section:?}");
        assert_eq!(codec.name, ["opus", "h264"][at]);
        assert!(section.ssrcs.contains(&their_ssrc), "{case:?}");
        assert_eq!(section.msid.as_ref().unwrap().0, "foreign");

        let pieces = rtp::pieces(kind, 30, &mut link.random);
        for piece in &pieces {
            link.send_ours(at, piece, false);
            link.send_theirs(at, piece);
            link.run(Duration::from_millis(5));
        }
        link.run(Duration::from_millis(100));

        let sender = &link.senders[at];
        let theirs = link.they_received(sender.ssrc);
        assert!(theirs.iter().all(|(header, _)| *header.payload_type == sender.params.payload_type));
        assert!(theirs.iter().all(|(header, _)| header.ext_vals.mid.is_none_or(|mid| *mid == *sender.params.mid)));
        let theirs: Vec<&Piece> = theirs.iter().map(|(_, piece)| piece).collect();
        assert_eq!(theirs.len(), pieces.len(), "{case:?} {kind:?}");
        assert!(theirs.into_iter().eq(&pieces), "{case:?} {kind:?}");

        let (id, _) = section.extensions.iter().find(|(_, uri)| uri == extension::MID).unwrap();
        let ours = link.received(their_ssrc);
        assert_eq!(ours[0].extension(*id), Some(section.mid.as_bytes()), "{case:?}");
        assert!(ours.iter().all(|view| view.payload_type == codec.payload_type));
        assert_eq!(ours.len(), pieces.len(), "{case:?} {kind:?}");
        assert!(ours.iter().map(rtp::View::piece).eq(pieces), "{case:?} {kind:?}");
    }
}

/// A message and whether it is text.
type Message = (Vec<u8>, bool);

/// Messages of all sizes on all channels in both directions.
fn exchange_data(link: &mut Link, case: Case) {
    for label in link.their_channels.keys().cloned().collect::<Vec<_>>() {
        // Disorder looks like loss to SCTP, and a lossy channel does not repeat.
        let lossy = label.contains("lossy");
        link.wire.jitter = Duration::from_millis(if lossy { 0 } else { 2 });
        let mut message = |size: &usize| (rtp::noise(*size, &mut link.random), false);
        let mut to_them: Vec<Message> = SIZES_TO_STR0M.iter().map(&mut message).collect();
        let mut to_us: Vec<Message> = SIZES_TO_US.iter().map(&mut message).collect();
        link.our_events.clear();
        link.their_events.clear();
        to_them.iter().for_each(|(message, _)| send_ours(link, &label, message));
        to_us.iter().for_each(|(message, _)| send_theirs(link, &label, message));
        link.run(Duration::from_secs(3));
        link.ours.send_text(link.now, &label, "text").unwrap();
        let id = link.their_channels[&label];
        assert!(link.theirs.channel(id).unwrap().write(false, b"text").unwrap());
        link.run(Duration::from_secs(1));
        for all in [&mut to_them, &mut to_us] {
            all.push((b"text".to_vec(), true));
        }

        let mut they_got = they_got(link, &label);
        let mut we_got = we_got(link, &label);
        if lossy {
            [&mut to_them, &mut to_us, &mut they_got, &mut we_got].into_iter().for_each(|all| all.sort());
        }
        let lengths = |all: &[Message]| all.iter().map(|(data, _)| data.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&they_got), lengths(&to_them), "{case:?} {label} to str0m");
        assert_eq!(lengths(&we_got), lengths(&to_us), "{case:?} {label} to us");
        assert!(they_got == to_them && we_got == to_us, "{case:?} {label}");
    }
}

/// Sends a message as soon as the queue has room for it.
fn send_ours(link: &mut Link, label: &str, message: &[u8]) {
    while link.ours.send_data(link.now, label, message).is_err() {
        link.run(Duration::from_millis(10));
    }
}

fn send_theirs(link: &mut Link, label: &str, message: &[u8]) {
    let id = link.their_channels[label];
    while !link.theirs.channel(id).unwrap().write(true, message).unwrap() {
        link.run(Duration::from_millis(10));
    }
}

fn we_got(link: &Link, wanted: &str) -> Vec<Message> {
    let message = |event: &PeerEvent| match event {
        PeerEvent::Data { label, data, text } if label == wanted => Some((data.to_vec(), *text)),
        _ => None,
    };
    link.our_events.iter().filter_map(message).collect()
}

fn they_got(link: &Link, label: &str) -> Vec<Message> {
    let message = |event: &Event| match event {
        Event::ChannelData(data) if data.id == link.their_channels[label] => Some((data.data.clone(), !data.binary)),
        _ => None,
    };
    link.their_events.iter().filter_map(message).collect()
}

fn assert_clean(link: &Link, case: Case) {
    let counters = link.ours.counters();
    assert_eq!((counters.bad_stun, counters.unvalidated, counters.dropped), (0, 0, 0), "{case:?}");
    assert_eq!((counters.srtp_failed, counters.srtp_replayed), (0, 0), "{case:?}");
    assert_eq!((counters.dtls_errors, counters.dtls_restarts), (0, 0), "{case:?}");
}

#[test]
fn media_and_data_in_all_roles() {
    for case in cases() {
        let mut link = Link::connected(case, 1);
        exchange_media(&mut link, case);
        exchange_data(&mut link, case);
        assert_clean(&link, case);
    }
}

#[test]
fn data_survives_loss() {
    for case in cases() {
        let mut link = Link::connected(case, 7);
        link.wire.loss_percent = 10;
        let labels: Vec<String> = link.their_channels.keys().cloned().collect();
        let messages: Vec<Message> = (0..40).map(|_| (rtp::noise(3000, &mut link.random), false)).collect();
        for (message, _) in &messages {
            for label in &labels {
                send_ours(&mut link, label, message);
                send_theirs(&mut link, label, message);
            }
            link.run(Duration::from_millis(500));
        }
        link.run(Duration::from_secs(60));
        for label in &labels {
            for got in [we_got(&link, label), they_got(&link, label)] {
                if label.contains("lossy") {
                    assert!(
                        got.iter().all(|message| messages.contains(message)),
                        "{case:?} {label}: whole or not at all"
                    );
                    assert!((5..40).contains(&got.len()), "{case:?} {label}: {} of 40", got.len());
                } else {
                    assert!(got == messages, "{case:?} {label}: {} of 40", got.len());
                }
            }
        }
    }
}

#[test]
fn reports_and_repairs() {
    for case in cases() {
        let mut link = Link::connected(case, 2);
        let (ssrc, params) = (link.senders[VIDEO].ssrc, link.senders[VIDEO].params.clone());
        assert!(params.rtx_payload_type.is_some() && params.ext_twcc.is_some(), "{case:?} {params:?}");
        let pieces = rtp::pieces(MediaKind::Video, 60, &mut link.random);
        for (at, piece) in pieces.iter().enumerate() {
            let plain = link.send_ours(VIDEO, piece, at == 20 || at == 22);
            if at == 22 {
                assert_eq!(rtp::view(&plain).sequence, 16, "the gap lies behind the wrap");
            }
            link.run(Duration::from_millis(10));
            let nacks = link.reports.extract_if(.., |report| (report.kind, report.format) == (205, 1));
            for sequence in nacks.flat_map(|nack| nack.missing()).collect::<Vec<_>>() {
                let mut repair = link.senders[VIDEO].repair(sequence, ssrc + 1).unwrap();
                link.ours.seal_rtp(&mut repair).unwrap();
                link.wire.send(link.now, THEIRS, repair);
            }
        }
        for piece in &pieces {
            link.send_theirs(VIDEO, piece);
            link.run(Duration::from_millis(10));
        }
        let their_ssrc = link.their_ssrc(VIDEO);
        let mut request = rtp::picture_loss(ssrc, their_ssrc);
        assert!(link.ours.seal_rtcp(&mut request).is_some());
        link.wire.send(link.now, THEIRS, request);
        let mut api = link.theirs.direct_api();
        api.stream_rx(&ssrc.into()).unwrap().request_keyframe(KeyframeRequestKind::Pli);
        link.run(Duration::from_secs(3));

        let got = link.they_received(ssrc);
        let got: Vec<&Piece> = got.iter().map(|(_, piece)| piece).collect();
        assert_eq!(got.len(), pieces.len(), "{case:?}: the lost packets were repaired");
        assert!(pieces.iter().all(|piece| got.contains(&piece)), "{case:?}");
        let mid = link.their_tracks[VIDEO];
        let asked = |event: &Event| matches!(event, Event::KeyframeRequest(request) if request.mid == mid);
        assert!(link.their_events.iter().any(asked), "{case:?}: our PLI");
        let of = |kind: u8| link.reports.iter().filter(move |report| report.kind == kind);
        let pli = |report: &&Report| report.format == 1 && report.about() == ssrc;
        assert_eq!(of(206).filter(pli).count(), 1, "{case:?}: str0m's PLI");
        // Of the whole transport, though it names one of our SSRCs. Lost packets may fall between two reports.
        let covered: u16 = of(205).filter(|report| report.format == 15).map(Report::transport_count).sum();
        let sent = link.transport_sequence;
        assert!((sent - 2..=sent).contains(&covered), "{case:?}: feedback for {covered} of {sent}");
        assert!(of(201).count() > 0, "{case:?}: receiver reports");
        assert_eq!(of(200).next().map(Report::sender), Some(their_ssrc), "{case:?}: sender reports");
        assert_clean(&link, case);
    }
}

#[test]
fn ice_restart_from_either_side() {
    for case in cases() {
        for we_restart in [true, false] {
            let mut link = Link::connected(case, 3);
            exchange_media(&mut link, case);
            for _ in 0..2 {
                let (ours, theirs) = (link.ours.local_ufrag().to_owned(), link.their_ufrag());
                link.our_events.clear();
                if we_restart {
                    link.ours.restart_ice();
                    link.we_offer();
                } else {
                    link.they_offer(|change| change.ice_restart(true));
                }
                assert!(link.ours.local_ufrag() != ours && link.their_ufrag() != theirs);
                let back = |link: &Link| link.both_connected() && link.our_events.contains(&PeerEvent::Connected);
                let time = link.run_until(Duration::from_secs(10), back);
                assert!(time.is_some(), "{case:?} {we_restart}: {:?} {:?}", link.our_events, link.their_events);
                exchange_media(&mut link, case);
            }
            exchange_data(&mut link, case);
            // consent goes by the new credentials
            link.run(Duration::from_secs(40));
            assert!(link.both_connected(), "{case:?} {we_restart}");
            exchange_media(&mut link, case);
            assert_clean(&link, case);
        }
    }
}

/// A bad network: all but two of 36 connect within our deadline, mostly at once. The rest is up to str0m's DTLS, which has
/// five tries of a flight: of three datagrams one is lost five times in 0.3 % of the handshakes at 25 % loss.
#[test]
fn connects_at_loss() {
    for loss in [10, 25] {
        let (mut times, mut given_up) = (Vec::new(), 0);
        for (seed, case) in (0..3).flat_map(|_| cases()).enumerate() {
            let mut link = Link::new(case, 77 + seed as u64 * 1_000_003);
            link.wire.loss_percent = loss;
            link.negotiate();
            match link.run_until(Duration::from_secs(40), |link| link.gave_up || link.both_connected()) {
                Some(time) if !link.gave_up => times.push(time),
                ended => {
                    println!("loss {loss} seed {seed} {case:?} {ended:?}: {:?}", link.our_events);
                    given_up += 1;
                }
            }
            assert_eq!(link.ours.counters().dtls_errors, 0, "loss {loss} seed {seed} {case:?}");
        }
        times.sort();
        let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
        println!("loss {loss} %: median {median:?}, max {last:?}, {given_up} of 36 not connected");
        assert!(given_up <= 2, "loss {loss}: {given_up}");
    }
}

/// Seven seconds without a network in the middle of a handshake. str0m repeats its flights after 1, 3, 7 and 15 s; no
/// foreign stack could follow if we started anew meanwhile.
#[test]
fn a_handshake_outlives_an_outage() {
    for case in cases() {
        for since_path in [0, 30, 60, 90] {
            let mut link = Link::new(case, 8);
            link.negotiate();
            let path = |link: &Link| !link.our_events.is_empty();
            link.run_until(Duration::from_secs(5), path).unwrap();
            link.run(Duration::from_millis(since_path));
            link.wire.loss_percent = 100;
            link.run(Duration::from_secs(7));
            link.wire.loss_percent = 0;
            let time = link.run_until(Duration::from_secs(20), Link::all_open);
            assert!(time.is_some(), "{case:?} {since_path}: {:?} {:?}", link.our_events, link.their_events);
            assert_clean(&link, case);
        }
    }
}

/// str0m as a DTLS client asks again after a second only; our server does not wait for that.
#[test]
fn a_lost_last_flight_is_repeated() {
    for case in cases().filter(|case| !case.active) {
        let mut link = Link::new(case, 9);
        link.negotiate();
        link.run_until(Duration::from_secs(5), |link| link.ours.is_connected()).unwrap();
        assert!(!link.theirs.is_connected());
        link.wire.lose();
        let time = link.run_until(Duration::from_secs(5), Link::both_connected);
        assert!(time.is_some_and(|time| time < Duration::from_millis(300)), "{case:?}: {time:?}");
        assert!(link.run_until(Duration::from_secs(5), Link::all_open).is_some(), "{case:?}");
        assert_clean(&link, case);
    }
}

/// A client that insists on its part, as FFmpeg's does, must not see DTLS that it did not ask for; it asks by its own repetition.
#[test]
fn a_client_that_insists_asks_for_the_last_flight_itself() {
    for case in cases().filter(|case| !case.active && !case.we_offer) {
        let mut link = Link::new(case, 9);
        link.insists = true;
        link.negotiate();
        link.run_until(Duration::from_secs(5), |link| link.ours.is_connected()).unwrap();
        link.wire.lose();
        let time = link.run_until(Duration::from_secs(5), Link::both_connected);
        // Its timer of a second varies; ours would have come after a quarter of one.
        let asked = Duration::from_millis(400)..Duration::from_secs(2);
        assert!(time.is_some_and(|time| asked.contains(&time)), "{case:?}: {time:?}");
        assert!(link.run_until(Duration::from_secs(5), Link::all_open).is_some(), "{case:?}");
        assert_clean(&link, case);
    }
}

/// Both claim to control; the tie-breaker decides.
#[test]
fn role_conflicts_are_settled() {
    for seed in 0..20 {
        for ice in [IceRole::Controlling, IceRole::Controlled] {
            let we_offer = ice == IceRole::Controlled;
            Link::connected(Case { we_offer, ice, their_lite: false, active: seed % 2 == 0 }, seed);
        }
    }
}

#[test]
fn channels_and_connections_close() {
    for case in cases() {
        let mut link = Link::connected(case, 4);
        let now = link.now;
        link.ours.close_channel(now, "ours");
        let theirs = link.their_channels["theirs"];
        link.theirs.direct_api().close_data_channel(theirs);
        link.run(Duration::from_secs(3));
        for label in ["ours", "theirs"] {
            assert!(link.our_events.contains(&PeerEvent::ChannelClosed { label: label.into() }), "{case:?}");
            let id = link.their_channels.remove(label).unwrap();
            assert!(link.their_events.iter().any(|event| matches!(event, Event::ChannelClose(of) if *of == id)));
        }
        exchange_data(&mut link, case);
        for we_close in [true, false] {
            let mut link = Link::connected(case, 4);
            if we_close {
                let now = link.now;
                link.ours.close(now);
                link.run(Duration::from_secs(3));
                assert!(link.their_events.iter().any(|event| matches!(event, Event::Closed)), "{case:?}");
                continue;
            }
            link.our_events.clear();
            link.theirs.close().unwrap();
            link.run(Duration::from_secs(30));
            let left = |event: &PeerEvent| !matches!(event, PeerEvent::ChannelClosed { .. });
            link.our_events.retain(left);
            assert_eq!(link.our_events, [PeerEvent::Closed], "{case:?}");
        }
    }
}

/// A section that both sides saw inactive carries the next track of its kind.
#[test]
fn sections_are_used_again() {
    for case in cases() {
        let mut link = Link::connected(case, 5);
        exchange_media(&mut link, case);
        let mid = link.senders[VIDEO].params.mid.clone();
        for round in 1..4 {
            link.ours.remove_send(link.our_tracks[VIDEO].0);
            link.we_offer();
            link.run(Duration::from_millis(200));
            let ssrc = OUR_SSRCS[VIDEO] + 10 * round;
            link.our_tracks[VIDEO] = (link.ours.add_send(track(MediaKind::Video, ssrc)), ssrc);
            link.we_offer();
            let params = link.ours.send_params(link.our_tracks[VIDEO].0).unwrap();
            if case.we_offer {
                assert_eq!(params.mid, mid, "{case:?}");
            }
            link.senders[VIDEO] = Sender::new(params, ssrc);
            exchange_media(&mut link, case);
        }
    }
}

/// str0m's default codecs hold H.264 in several forms; ours must be the one that both name.
#[test]
fn codecs_mean_the_same() {
    for case in cases() {
        let link = Link::connected(case, 6);
        let codecs = link.theirs.codec_config();
        for (at, codec) in [(AUDIO, Codec::Opus), (VIDEO, Codec::H264)] {
            let params = &link.senders[at].params;
            let theirs = codecs.find(|known| *known.pt() == params.payload_type).unwrap();
            assert_eq!(theirs.spec().codec, codec, "{case:?}");
            assert_eq!(theirs.resend().map(|pt| *pt), params.rtx_payload_type, "{case:?}");
            if codec == Codec::H264 {
                let format = theirs.spec().format;
                let wanted = (Some(1), Some(0x42_e01f));
                assert_eq!((format.packetization_mode, format.profile_level_id), wanted, "{case:?}");
            }
        }
    }
}
