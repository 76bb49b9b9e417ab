//! RTP from publishers: which track it belongs to, and out again to everybody who receives it.
use super::api::{LayerInfo, MediaCounters, MediaEvent};
use super::identify::{Identified, identify, rank};
use super::link::{Link, Receiving, SSRCS_MAX, Stream, StreamRole};
use super::state::{Flowing, State, TrackSlot};
use std::ops::Range;
use std::time::Instant;
use trtc_net::batch::UdpSender;
use trtc_peer::CodecSpec;
use trtc_rtp::{ReceiverStats, RtpHeader, RtpPacket, unwrap_rtx, write_rtp};
use trtc_sfu::{Accepted, Codec, Forward, Resend, SpeakerLevel, Subscription, SubscriptionConfig, Track, TrackConfig};
use trtc_types::MediaKind;

/// RTP without padding longer than this is not forwarded: no datagram could carry it on.
const PAYLOAD_MAX: usize = 1900;

/// What came with one batch of datagrams and waits to be forwarded.
#[derive(Default)]
pub(super) struct Arrived {
    packets: Vec<Packet>,
    /// Their payloads, one after the other.
    bytes: Vec<u8>,
}

struct Packet {
    track: usize,
    accepted: Accepted,
    payload: Range<usize>,
    /// Value of the audio level extension.
    level: Option<[u8; 1]>,
}

impl AsRef<Accepted> for Packet {
    fn as_ref(&self) -> &Accepted {
        &self.accepted
    }
}

impl State {
    /// A decrypted RTP packet of a connection. It waits for [`Self::forward`].
    pub(super) fn rtp(&mut self, now: Instant, index: usize, bytes: &[u8]) {
        let Some(packet) = RtpPacket::parse(bytes).filter(|p| p.payload().len() <= PAYLOAD_MAX) else {
            MediaCounters::add(&self.counters.srtp_errors, 1);
            return;
        };
        let header = packet.header();
        let Some(link) = self.links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        if let Some(feedback) = &mut link.receiving.feedback
            && let Some(&[high, low]) = packet.extension(feedback.extension)
        {
            feedback.media_ssrc = header.ssrc;
            feedback.recorder.received(now, u16::from_be_bytes([high, low]));
        }
        let known = link.receiving.streams.iter().position(|s| s.ssrc == header.ssrc);
        let Some(stream) = known.or_else(|| self.new_stream(now, index, &packet)) else {
            MediaCounters::add(&self.counters.unknown_ssrc, 1);
            return;
        };
        let Self { links, tracks, counters, repaired, arrived, .. } = self;
        let Some(link) = links.get_mut(index).and_then(Option::as_deref_mut) else { return };
        let Receiving { streams, report_due, .. } = &mut link.receiving;
        let track = streams[stream].track;
        let repair = match &mut streams[stream].role {
            StreamRole::Media { layer, payload_type, red_payload_type, stats } => {
                stats.received(now, &header, packet.payload().len());
                report_due.get_or_insert(now + super::rtcp::REPORT_INTERVAL);
                if *payload_type != header.payload_type && *red_payload_type != Some(header.payload_type) {
                    MediaCounters::add(&counters.unknown_ssrc, 1);
                    return;
                }
                Ok(*layer)
            }
            StreamRole::Repair { media_ssrc, media_payload_type } => Err((*media_ssrc, *media_payload_type)),
        };
        let is_repair = repair.is_err();
        let (layer, packet) = match repair {
            Ok(layer) => (layer, packet),
            Err((media_ssrc, media_payload_type)) => {
                // Probes repeat nothing and fail here.
                if !unwrap_rtx(bytes, media_ssrc, media_payload_type, repaired) {
                    return;
                }
                let layer = streams.iter().find_map(|s| match &s.role {
                    StreamRole::Media { layer, .. } if s.ssrc == media_ssrc => Some(*layer),
                    _ => None,
                });
                let Some((layer, packet)) = layer.zip(RtpPacket::parse(repaired)) else { return };
                (layer, packet)
            }
        };
        let Some(flowing) = tracks.get_mut(track).and_then(|t| t.as_mut()?.flowing.as_mut()) else { return };
        let level = flowing.audio_level.and_then(|id| packet.extension(id)?.first().map(|level| [*level]));
        if let Some(accepted) = flowing.track.accept(now, layer, &packet) {
            if is_repair {
                MediaCounters::add(&counters.repairs_in, 1);
            }
            if let Some([level]) = level {
                // The highest bit tells voice from other sound, which few senders know.
                flowing.speaker.observe(now, level & 0x7f, header.timestamp, flowing.codec.clock_rate);
            }
            let start = arrived.bytes.len();
            arrived.bytes.extend_from_slice(packet.payload());
            arrived.packets.push(Packet { track, accepted, payload: start..arrived.bytes.len(), level });
        }
    }

    /// Sends on what came with a batch of datagrams, track by track and receiver by receiver: a frame's packets to one place
    /// follow each other and leave as a train.
    pub(super) fn forward(&mut self, now: Instant, sender: &mut UdpSender) {
        let Self { links, tracks, counters, arrived, packet: scratch, abs_send_time, .. } = self;
        arrived.packets.sort_unstable_by_key(|packet| (packet.track, packet.payload.start, packet.payload.end));
        let mut sent = 0;
        for packets in arrived.packets.chunk_by(|a, b| a.track == b.track) {
            let track = tracks.get_mut(packets[0].track).and_then(|t| t.as_mut()?.flowing.as_mut());
            let Some(Flowing { track, .. }) = track else { continue };
            track.forward(now, packets, &mut |forward: &Forward<'_>, packet: &Packet| {
                let Forward { subscription, header, skip, shift } = *forward;
                let level = packet.level.as_ref().map(|level| &level[..]);
                let out = Out { now, subscription, header, level, abs_send_time };
                sent += u64::from(out.send(links, sender, scratch, |scratch| {
                    let start = scratch.len();
                    scratch.extend_from_slice(&arrived.bytes[packet.payload.clone()][skip..]);
                    shift.apply(&mut scratch[start..]);
                }));
            });
        }
        MediaCounters::add(&counters.rtp_out, sent);
        arrived.packets.clear();
        arrived.bytes.clear();
    }

    /// A subscriber misses packets of one of our streams.
    pub(super) fn resend(
        &mut self,
        now: Instant,
        sender: &mut UdpSender,
        index: usize,
        track: usize,
        ssrc: u32,
        lost: &[u16],
    ) {
        let round_trip = self.links.get(index).and_then(|link| link.as_deref()?.limits.last_round_trip());
        let round_trip = round_trip.unwrap_or_default();
        let Self { links, tracks, counters, packet: scratch, abs_send_time, .. } = self;
        let Some(flowing) = tracks.get_mut(track).and_then(|t| t.as_mut()?.flowing.as_mut()) else { return };
        MediaCounters::add(&counters.nacks, lost.len() as u64);
        let audio_level = flowing.audio_level;
        let mut sent = 0;
        let missed = flowing.track.nack(now, ssrc, round_trip, lost, &mut |resend: &Resend<'_>| {
            let Some(original) = RtpPacket::parse(resend.packet) else { return };
            // As it was sent the first time.
            let level = audio_level.and_then(|id| original.extension(id)?.get(..1));
            let mut header = resend.header;
            if let Some(rtx) = resend.rtx {
                header.ssrc = rtx.ssrc;
                header.payload_type = rtx.payload_type;
                header.sequence = rtx.sequence;
            }
            let out = Out { now, subscription: resend.subscription, header, level, abs_send_time };
            sent += u64::from(out.send(links, sender, scratch, |scratch| {
                if resend.rtx.is_some() {
                    scratch.extend_from_slice(&resend.header.sequence.to_be_bytes());
                }
                let start = scratch.len();
                scratch.extend_from_slice(&original.payload()[resend.skip..]);
                resend.shift.apply(&mut scratch[start..]);
            }));
        });
        MediaCounters::add(&counters.rtx_out, sent);
        MediaCounters::add(&counters.nack_misses, u64::from(missed));
    }

    /// Finds out what an SSRC carries and remembers it; starts the track with its first packet.
    fn new_stream(&mut self, now: Instant, index: usize, packet: &RtpPacket<'_>) -> Option<usize> {
        let link = self.links.get_mut(index)?.as_deref_mut()?;
        if !link.publisher {
            return None;
        }
        if link.receiving.streams.len() >= SSRCS_MAX {
            MediaCounters::add(&self.counters.ssrc_limit, 1);
            return None;
        }
        let Identified { track, codec, rid, rank, repairs, audio_level } = identify(&link.receiving, packet)?;
        let ssrc = packet.header().ssrc;
        let slot = self.tracks.get_mut(track)?.as_mut()?;
        let mut starts = false;
        let role = match repairs {
            Some(media_ssrc) => StreamRole::Repair { media_ssrc, media_payload_type: codec.payload_type },
            None => {
                starts = slot.flowing.is_none();
                let clock_rate = codec.clock_rate;
                let flowing = slot.flowing.get_or_insert_with(|| start(now, slot.kind, slot.muted, codec, audio_level));
                let Some(layer) = flowing.track.add_layer(ssrc, rank) else {
                    MediaCounters::add(&self.counters.ssrc_limit, 1);
                    return None;
                };
                StreamRole::Media {
                    layer,
                    payload_type: flowing.codec.payload_type,
                    red_payload_type: flowing.codec.red_payload_type,
                    stats: ReceiverStats::new(ssrc, clock_rate),
                }
            }
        };
        let streams = &mut self.links.get_mut(index)?.as_deref_mut()?.receiving.streams;
        streams.push(Stream { ssrc, track, rid, role });
        let added = streams.len() - 1;
        self.tell_layers(index, track);
        if starts {
            self.track_started(now, track);
        }
        Some(added)
    }

    /// Says what a track is made of, as far as its packets showed.
    pub(super) fn tell_layers(&self, index: usize, track: usize) {
        let Some(link) = self.links.get(index).and_then(Option::as_deref) else { return };
        let Some(slot) = self.tracks.get(track).and_then(Option::as_ref) else { return };
        let Some(section) = link.receiving.sections.iter().find(|s| s.track == Some(track)) else { return };
        let rids = &section.description.rids;
        let streams = || link.receiving.streams.iter().filter(|s| s.track == track);
        let layer = |rid: &String| {
            let media = streams().find(|s| s.rid.as_ref() == Some(rid)).map_or(0, |s| s.ssrc);
            let repairs = |s: &&Stream| matches!(s.role, StreamRole::Repair { media_ssrc, .. } if media_ssrc == media);
            LayerInfo { rid: rid.clone(), ssrc: media, repair_ssrc: streams().find(repairs).map_or(0, |s| s.ssrc) }
        };
        let mut layers: Vec<LayerInfo> = rids.iter().map(layer).collect();
        layers.sort_by_key(|layer| rank(rids, &layer.rid));
        let (sid, mid) = (slot.sid.clone(), section.description.mid.clone());
        self.emit(slot.member, MediaEvent::TrackLayers { sid, mid, layers });
    }

    fn track_started(&mut self, now: Instant, track: usize) {
        let Some(slot) = self.tracks.get(track).and_then(Option::as_ref) else { return };
        let Some(flowing) = &slot.flowing else { return };
        let (sid, member) = (slot.sid.clone(), slot.member);
        let codec_mime = mime(slot, &flowing.codec);
        self.emit(member, MediaEvent::TrackStarted { sid, codec_mime });
        let Some(room) = self.members.get(&member).and_then(|m| self.rooms.get(&m.room)) else { return };
        for other in room.clone() {
            self.sync_subscriber(now, other);
        }
    }
}

fn start(now: Instant, kind: MediaKind, muted: bool, codec: CodecSpec, audio_level: Option<u8>) -> Flowing {
    let config = TrackConfig {
        kind,
        codec: if kind == MediaKind::Video { Codec::from_name(&codec.name) } else { Codec::Opaque },
        clock_rate: codec.clock_rate,
        nack: codec.feedback.iter().any(|f| f == "nack"),
        red: codec.red_payload_type,
    };
    let mut track = Track::new(config);
    track.set_muted(now, muted);
    Flowing { track, codec, audio_level, speaker: SpeakerLevel::default() }
}

pub(super) fn mime(slot: &TrackSlot, codec: &CodecSpec) -> String {
    match slot.kind {
        MediaKind::Audio if codec.red_payload_type.is_some() => "audio/red".to_owned(),
        MediaKind::Audio => format!("audio/{}", codec.name),
        MediaKind::Video => format!("video/{}", codec.name.to_ascii_uppercase()),
    }
}

/// A packet for one subscriber.
struct Out<'a> {
    now: Instant,
    subscription: &'a Subscription,
    header: RtpHeader,
    level: Option<&'a [u8]>,
    abs_send_time: &'a [u8; 3],
}

impl Out<'_> {
    /// Writes the packet, seals it in place and swaps it into the send queue. Says whether it went.
    fn send(
        &self,
        links: &mut [Option<Box<Link>>],
        sender: &mut UdpSender,
        packet: &mut Vec<u8>,
        write_payload: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let link = links.get_mut(self.subscription.config.target as usize).and_then(Option::as_deref_mut);
        let Some(link) = link else { return false };
        packet.clear();
        let numbered = self.write_header(link.limits.path.next_sequence(), packet);
        write_payload(packet);
        let Some(to) = link.peer.seal_rtp(packet) else { return false };
        link.limits.sent(self.now, packet.len(), numbered);
        sender.push(to, |buffer| std::mem::swap(buffer, packet));
        true
    }

    /// Says whether the transport-wide number is in it.
    fn write_header(&self, number: u16, out: &mut Vec<u8>) -> bool {
        let SubscriptionConfig { extensions, rtx, .. } = self.subscription.config;
        let number = number.to_be_bytes();
        let mut list: [(u8, &[u8]); 2] = [(0, &[]); 2];
        let mut used = 0;
        if let Some((id, level)) = extensions.audio_level.zip(self.level) {
            list[used] = (id, level);
            used += 1;
        }
        // Without RTX a repetition must be the same bytes again (one key stream for one SRTP index), so no clock in it.
        let clock: Option<(u8, &[u8])> = match (extensions.transport_cc, extensions.abs_send_time) {
            (Some(id), _) => Some((id, &number)),
            (None, Some(id)) => Some((id, self.abs_send_time)),
            (None, None) => None,
        };
        if let Some(clock) = clock.filter(|_| rtx.is_some()) {
            list[used] = clock;
            used += 1;
        }
        write_rtp(out, &self.header, &list[..used], &[]);
        rtx.is_some() && extensions.transport_cc.is_some()
    }
}
