//! Offer and answer: which sections exist, what they carry, which payload types and extensions hold (RFC 9429).
mod codecs;

use crate::sdp::{Description, Direction, Kind, Section};
use crate::types::{CodecSpec, Config, ReceiveSection, SectionId, SendParams, SendTrack, extension};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trtc_types::{Error, Result};

/// The sections of a peer. They never shrink; inactive ones are used again.
pub(crate) struct Negotiation {
    config: Arc<Config>,
    slots: Vec<Slot>,
    next_id: u32,
    /// Sections in our newest offer.
    offered: usize,
    /// Codec wanted first, by the track that the other side announces; the empty track stands for all others.
    preferences: BTreeMap<String, String>,
}

/// Preferences kept; more only come from a host that never ends.
const MAX_PREFERENCES: usize = 256;

/// One m-line.
struct Slot {
    /// What we say.
    local: Section,
    /// What the other side said last.
    remote: Option<Section>,
    track: Option<Track>,
    /// Part of a finished negotiation; others can still be taken back.
    settled: bool,
    /// Part of a description that went out: its name is fixed.
    offered: bool,
    /// The last finished negotiation had a track of ours here. Browsers notice a new track only in a section that was
    /// inactive in between.
    busy: bool,
}

struct Track {
    id: SectionId,
    track: SendTrack,
    rids: Vec<String>,
    /// Of the layers, without those of the track itself.
    ssrcs: Vec<u32>,
    progress: Progress,
    /// Answers only: may be sent in any codec of the offer, another one at any time.
    any_codec: bool,
}

/// How far the other side knows a track.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    New,
    Offered,
    Settled,
}

impl Negotiation {
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, slots: Vec::new(), next_id: 0, offered: 0, preferences: BTreeMap::new() }
    }

    /// Our sections, for the writer.
    pub fn local(&self) -> impl Iterator<Item = &Section> + Clone {
        self.slots.iter().map(|slot| &slot.local)
    }

    pub fn has_application(&self) -> bool {
        self.slots.iter().any(|slot| slot.local.kind == Kind::Application && !slot.local.rejected)
    }

    /// Answers will name this codec first, which makes browsers send it.
    pub fn prefer(&mut self, track: &str, codec: &str) {
        if self.preferences.len() >= MAX_PREFERENCES {
            self.preferences.pop_first();
        }
        self.preferences.insert(track.to_owned(), codec.to_ascii_lowercase());
    }

    /// Makes sure of a section for data channels: the first one if nothing was negotiated yet.
    pub fn add_application(&mut self) {
        if self.has_application() {
            return;
        }
        let slot = Slot::new(Section::new(Kind::Application, String::new()));
        if self.offered > 0 || self.slots.iter().any(|slot| slot.settled) {
            self.slots.push(slot);
        } else {
            self.slots.insert(0, slot);
        }
        self.name_new_sections();
    }

    /// Gives a track an inactive section of its kind, or a new one.
    pub fn add_send(&mut self, track: SendTrack) -> SectionId {
        let id = SectionId(self.next_id);
        self.next_id += 1;
        self.place(Track { id, track, rids: Vec::new(), ssrcs: Vec::new(), progress: Progress::New, any_codec: false });
        id
    }

    /// Gives a track whose codec may change a section in the next offer of the other side; it vanishes when that has none.
    pub fn add_relay(&mut self, track: SendTrack) -> SectionId {
        let id = SectionId(self.next_id);
        self.next_id += 1;
        self.place(Track { id, track, rids: Vec::new(), ssrcs: Vec::new(), progress: Progress::New, any_codec: true });
        id
    }

    /// Simulcast layers of a track; its packets carry them, so no SSRC is announced. Theirs are returned by [`Self::remove_send`].
    pub fn set_rids(&mut self, id: SectionId, rids: Vec<String>, ssrcs: Vec<u32>) {
        if let Some(at) = self.find(id) {
            if let Some(track) = &mut self.slots[at].track {
                (track.rids, track.ssrcs) = (rids, ssrcs);
            }
            self.describe_track(at);
        }
    }

    /// Takes a track away; returns its SSRCs.
    pub fn remove_send(&mut self, id: SectionId) -> Vec<u32> {
        let Some(at) = self.find(id) else { return Vec::new() };
        let slot = &mut self.slots[at];
        let Some(track) = slot.track.take() else { return Vec::new() };
        slot.local.direction.sends = false;
        slot.local.ssrcs.clear();
        slot.local.fid.clear();
        slot.local.rids.clear();
        slot.local.msid = None;
        let ssrcs = [Some(track.track.ssrc), track.track.rtx_ssrc];
        ssrcs.into_iter().flatten().chain(track.ssrcs).collect()
    }

    pub fn mid(&self, id: SectionId) -> Option<&str> {
        Some(&self.slots[self.find(id)?].local.mid)
    }

    /// How to send, once the other side has accepted.
    pub fn send_params(&self, id: SectionId) -> Option<SendParams> {
        self.send_params_as(id, self.slots[self.find(id)?].local.codecs.first()?)
    }

    /// How to send in one of the codecs that the section has.
    pub fn send_params_as(&self, id: SectionId, ours: &CodecSpec) -> Option<SendParams> {
        let slot = &self.slots[self.find(id)?];
        let remote = slot.remote.as_ref()?;
        let settled = slot.track.as_ref().is_some_and(|track| track.progress == Progress::Settled);
        if !settled || remote.rejected || !remote.direction.receives || !slot.local.direction.sends {
            return None;
        }
        let codec = codecs::find_same(&remote.codecs, ours)?.clone();
        // A relay repairs what it sends whether or not the codec's source does.
        let relays = slot.track.as_ref().is_some_and(|track| track.any_codec && track.track.rtx_ssrc.is_some());
        let agreed = |uri: &str| remote.extension(uri).filter(|_| slot.local.extension(uri).is_some());
        Some(SendParams {
            payload_type: codec.payload_type,
            rtx_payload_type: codec.rtx_payload_type.filter(|_| relays || ours.rtx_payload_type.is_some()),
            red_payload_type: codec.red_payload_type.filter(|_| self.config.audio_redundancy),
            ext_mid: agreed(extension::MID),
            ext_twcc: agreed(extension::TRANSPORT_CC),
            ext_abs_send_time: agreed(extension::ABS_SEND_TIME),
            ext_audio_level: agreed(extension::AUDIO_LEVEL),
            ext_rid: agreed(extension::RID),
            ext_repaired_rid: agreed(extension::REPAIRED_RID),
            mid: slot.local.mid.clone(),
            codec,
        })
    }

    /// The media sections that both sides know.
    pub fn receive_sections(&self) -> Vec<ReceiveSection> {
        self.slots.iter().filter(|slot| slot.settled).filter_map(Slot::receive_section).collect()
    }

    /// [`Self::local`] goes out as an offer.
    pub fn offer(&mut self) {
        self.offered = self.slots.len();
        self.slots.iter_mut().for_each(|slot| slot.offered = true);
        for track in self.slots.iter_mut().filter_map(|slot| slot.track.as_mut()) {
            if track.progress == Progress::New {
                track.progress = Progress::Offered;
            }
        }
    }

    /// Takes an offer in; afterwards [`Self::local`] is the answer.
    pub fn accept_offer(&mut self, offer: &Description) -> Result<()> {
        let settled = self.slots.iter().filter(|slot| slot.settled).count();
        if offer.sections.len() < settled {
            return Err(Error::invalid(format!(
                "SDP offer must keep its {settled} sections, got {}",
                offer.sections.len()
            )));
        }
        let fits = |(slot, remote): (&Slot, &Section)| slot.local.kind == remote.kind || slot.local.rejected;
        if !self.slots.iter().filter(|slot| slot.settled).zip(&offer.sections).all(fits) {
            return Err(Error::invalid("SDP offer must keep the kinds of its sections"));
        }
        let waiting = self.take_unsettled();
        for (at, remote) in offer.sections.iter().enumerate() {
            if at == self.slots.len() {
                self.slots.push(Slot::new(Section::new(remote.kind, remote.mid.clone())));
            }
        }
        let mut unplaced = Vec::new();
        for track in waiting {
            match self.free_for_answer(&track, &offer.sections) {
                Some(at) => self.slots[at].track = Some(track),
                None => unplaced.push(track),
            }
        }
        for (at, remote) in offer.sections.iter().enumerate() {
            self.answer_section(at, remote);
        }
        // A relay that found no place cannot be offered: its codec is not known.
        unplaced.into_iter().filter(|track| !track.any_codec).for_each(|track| self.place(track));
        Ok(())
    }

    /// Takes the answer to our offer in.
    pub fn accept_answer(&mut self, answer: &Description) -> Result<()> {
        if answer.sections.len() != self.offered {
            let (ours, theirs) = (self.offered, answer.sections.len());
            return Err(Error::invalid(format!("SDP answer must have {ours} sections, got {theirs}")));
        }
        if !self.slots.iter().zip(&answer.sections).all(|(slot, remote)| slot.local.kind == remote.kind) {
            return Err(Error::invalid("SDP answer must keep the kinds of its sections"));
        }
        for (slot, remote) in self.slots.iter_mut().zip(&answer.sections) {
            slot.remote = Some(remote.clone());
            slot.settled = true;
            slot.busy = false;
            if let Some(track) = &mut slot.track
                && track.progress != Progress::New
            {
                track.progress = Progress::Settled;
                slot.busy = slot.local.direction.sends;
            }
        }
        Ok(())
    }

    fn find(&self, id: SectionId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.track.as_ref().is_some_and(|track| track.id == id))
    }

    fn place(&mut self, track: Track) {
        let kind = Kind::from(track.track.kind);
        let free = self.slots.iter().position(|slot| slot.is_free(kind));
        let at = free.unwrap_or_else(|| {
            self.slots.push(Slot::new(Section::new(kind, String::new())));
            self.slots.len() - 1
        });
        self.slots[at].track = Some(track);
        self.name_new_sections();
        self.describe_track(at);
    }

    /// Sections that were never negotiated give their tracks back and vanish.
    fn take_unsettled(&mut self) -> Vec<Track> {
        let mut tracks = Vec::new();
        self.slots.retain_mut(|slot| {
            if !slot.settled {
                tracks.extend(slot.track.take());
            }
            slot.settled
        });
        tracks
    }

    fn free_for_answer(&self, track: &Track, offered: &[Section]) -> Option<usize> {
        let kind = Kind::from(track.track.kind);
        let fits = |at: &usize| {
            let (slot, remote) = (&self.slots[*at], &offered[*at]);
            let codec = codecs::of_track(&self.config, &track.track, track.track.rtx_ssrc.is_some());
            let speaks = if track.any_codec {
                !codecs::answer(&self.config, remote).is_empty()
            } else {
                codecs::find_same(&remote.codecs, &codec).is_some()
            };
            remote.kind == kind && remote.direction.receives && !remote.rejected && slot.track.is_none() && speaks
        };
        (0..offered.len()).find(fits)
    }

    /// Names sections by number. The other side may have used any of them for its own.
    fn name_new_sections(&mut self) {
        let mut names: BTreeSet<String> = BTreeSet::new();
        names.extend(self.slots.iter().filter(|slot| slot.is_named()).map(|slot| slot.local.mid.clone()));
        for at in 0..self.slots.len() {
            if !self.slots[at].is_named() {
                let mut number = at;
                while !names.insert(number.to_string()) {
                    number += 1000;
                }
                self.slots[at].local.mid = number.to_string();
            }
        }
    }

    /// Writes the section of a track that we offer.
    fn describe_track(&mut self, at: usize) {
        let Some(track) = &self.slots[at].track else { return };
        let local = &self.slots[at].local;
        let mut section = Section::new(local.kind, local.mid.clone());
        section.direction = Direction { sends: true, receives: false };
        let mut codec = codecs::of_track(&self.config, &track.track, track.track.rtx_ssrc.is_some());
        self.choose_payload_types(at, &mut codec);
        section.codecs = vec![codec];
        let simulcast = !track.rids.is_empty();
        section.extensions = codecs::own_extensions(&self.config, local.kind, simulcast)
            .filter_map(|(id, uri)| Some((self.extension_id(at, id, uri)?, uri.to_owned())))
            .collect();
        describe_streams(&mut section, track);
        self.slots[at].local = section;
    }

    /// One payload type means one codec in all bundled sections (RFC 8843 9.1).
    fn choose_payload_types(&self, except: usize, codec: &mut CodecSpec) {
        let others = || self.slots.iter().enumerate().filter(|(at, _)| *at != except);
        let known = || others().flat_map(|(_, slot)| slot.known_codecs());
        let used: Vec<u8> = known().flat_map(CodecSpec::payload_types).collect();
        let same: Vec<&CodecSpec> = known().filter(|known| codecs::is_same_configuration(known, codec)).collect();
        codecs::choose_free(codec, used);
        if let Some(first) = same.first() {
            codec.payload_type = first.payload_type;
            let shared_rtx = same.iter().find_map(|same| same.rtx_payload_type);
            let shared_red = same.iter().find_map(|same| same.red_payload_type);
            codec.rtx_payload_type = codec.rtx_payload_type.map(|free| shared_rtx.unwrap_or(free));
            codec.red_payload_type = codec.red_payload_type.map(|free| shared_red.unwrap_or(free));
        }
    }

    /// The id of an extension: what other sections use for it, else our fixed one, else a free one.
    fn extension_id(&self, except: usize, fixed: u8, uri: &str) -> Option<u8> {
        let others = || self.slots.iter().enumerate().filter(|(at, _)| *at != except).map(|(_, slot)| &slot.local);
        let known = others().find_map(|section| section.extension(uri));
        let taken = |id: u8| others().any(|section| section.extensions.iter().any(|(used, _)| *used == id));
        known.or_else(|| std::iter::once(fixed).chain(7..=14).chain(1..=6).find(|id| !taken(*id)))
    }

    fn answer_section(&mut self, at: usize, remote: &Section) {
        let announced = remote.msid.as_ref().map_or("", |(_, track)| track.as_str());
        let preferred = self.preferences.get(announced).or_else(|| self.preferences.get("")).cloned();
        let slot = &mut self.slots[at];
        let mut local = Section::new(remote.kind, remote.mid.clone());
        local.first_format.clone_from(&remote.first_format);
        local.rejected = remote.rejected;
        if remote.kind == Kind::Application || remote.rejected {
            if remote.rejected {
                slot.track = None;
            }
        } else {
            local.codecs = codecs::answer(&self.config, remote);
            if let Some(preferred) = preferred {
                codecs::put_first(&mut local.codecs, &preferred);
            }
            let track = slot.track.as_ref().filter(|_| remote.direction.receives);
            let relays = track.is_some_and(|track| track.any_codec);
            let codec = track.filter(|_| !relays).and_then(|track| {
                let codec = codecs::of_track(&self.config, &track.track, track.track.rtx_ssrc.is_some());
                codecs::find_same(&remote.codecs, &codec).cloned()
            });
            let sends = codec.is_some() || (relays && !local.codecs.is_empty());
            local.direction = Direction { sends, receives: remote.direction.sends && !relays };
            if let Some(codec) = codec {
                // what we send comes first; alone when nothing is received
                let receives = local.direction.receives;
                local.codecs.retain(|known| receives && known.payload_type != codec.payload_type);
                local.codecs.insert(0, codecs::with_allowed_feedback(&self.config, remote, codec));
            }
            // Also where nothing is sent: libwebrtc offers later simulcast sections only with what other sections agreed on.
            let rids = self.config.answer_rids && remote.extension(extension::RID).is_some();
            // Spare sections too: libwebrtc's next section inherits what these negotiated, and refuses simulcast without RID.
            local.extensions = codecs::answer_extensions(&self.config, remote, self.config.answer_rids);
            if let Some(track) = track.filter(|_| local.direction.sends) {
                describe_streams(&mut local, track);
            } else if rids {
                local.rids.clone_from(&remote.rids);
            }
            local.rejected = local.codecs.is_empty();
        }
        slot.busy = local.direction.sends;
        if let Some(track) = slot.track.as_mut() {
            track.progress = Progress::Settled;
        }
        slot.local = local;
        slot.remote = Some(remote.clone());
        slot.settled = true;
        slot.offered = true;
    }
}

impl Slot {
    fn new(local: Section) -> Self {
        Self { local, remote: None, track: None, settled: false, offered: false, busy: false }
    }

    fn is_named(&self) -> bool {
        self.offered || self.settled
    }

    fn is_free(&self, kind: Kind) -> bool {
        let remote_sends = self.remote.as_ref().is_some_and(|remote| remote.direction.sends);
        let receiving = self.local.direction.receives && remote_sends;
        self.local.kind == kind && self.track.is_none() && !self.busy && !receiving && !self.local.rejected
    }

    fn known_codecs(&self) -> impl Iterator<Item = &CodecSpec> {
        self.local.codecs.iter()
    }

    fn receive_section(&self) -> Option<ReceiveSection> {
        let remote = self.remote.as_ref()?;
        let codec = |ours: &CodecSpec| {
            remote.codecs.iter().any(|theirs| theirs.payload_type == ours.payload_type).then(|| ours.clone())
        };
        Some(ReceiveSection {
            mid: remote.mid.clone(),
            kind: remote.kind.media()?,
            direction_active: remote.direction.sends && self.local.direction.receives && !self.local.rejected,
            msid: remote.msid.clone(),
            codecs: self.local.codecs.iter().filter_map(codec).collect(),
            ssrcs: remote.ssrcs.clone(),
            fid: remote.fid.clone(),
            rids: remote.rids.clone(),
            extensions: self.local.extensions.clone(),
        })
    }
}

fn describe_streams(section: &mut Section, track: &Track) {
    let sent = &track.track;
    section.msid = Some((sent.stream_id.clone(), sent.track_id.clone()));
    section.rids.clone_from(&track.rids);
    if track.rids.is_empty() {
        section.ssrcs = std::iter::once(sent.ssrc).chain(sent.rtx_ssrc).collect();
        section.fid = sent.rtx_ssrc.map(|repair| (sent.ssrc, repair)).into_iter().collect();
    }
}
