//! Local streams: what runs, what is published, what is muted.
use crate::params::VideoEncoderParam;
use crate::receive::cell::Cell;
use crate::send::audio::Capture;
use crate::send::video::{Sending, VideoSender, VideoSource};
use crate::shared::Shared;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use trtc_member::{LocalLayer, LocalTrack, Member};
use trtc_types::{AudioQuality, Code, CodecKind, Error, MediaKind, Result, StreamType, TrackSource};

pub(crate) struct Local {
    shared: Weak<Shared>,
    pub(crate) videos: [LocalVideo; 2],
    pub(crate) audio: LocalAudio,
    /// The role allows sending (always so in call scenes).
    pub(crate) anchor: bool,
    /// The token allows sending.
    privilege: bool,
    published: u32,
    estimate_bps: u32,
}

pub(crate) struct LocalVideo {
    pub(crate) stream: StreamType,
    pub(crate) param: VideoEncoderParam,
    /// The host has set `param`; otherwise a file's own size and rate are taken.
    pub(crate) param_set: bool,
    /// The small stream of the main one, when the host wants it.
    pub(crate) small: Option<VideoEncoderParam>,
    /// It was published with two layers.
    layered: bool,
    pub(crate) running: Option<Running>,
    pub(crate) custom: bool,
    /// The camera is the source.
    pub(crate) camera: bool,
    pub(crate) cid: Option<String>,
    /// The server refused it (the sub stream is taken, say): not asked again until the host starts anew.
    refused: bool,
    pub(crate) muted: bool,
    /// The server mutes what is published, whatever the host says.
    pub(crate) silenced: bool,
    pub(crate) cell: Arc<Cell>,
}

pub(crate) struct Running {
    pub(crate) sender: Arc<VideoSender>,
    thread: JoinHandle<()>,
    pub(crate) param: VideoEncoderParam,
}

#[derive(Default)]
pub(crate) struct LocalAudio {
    /// A source is there and was not stopped.
    pub(crate) on: bool,
    pub(crate) custom: bool,
    /// The microphone is the source.
    pub(crate) device: bool,
    pub(crate) muted: bool,
    /// As of a video.
    pub(crate) silenced: bool,
    pub(crate) stereo: bool,
    pub(crate) cid: Option<String>,
}

/// The slot of a stream; `Small` has none.
pub(crate) fn slot(stream: StreamType) -> Result<usize> {
    match stream {
        StreamType::Big => Ok(0),
        StreamType::Sub => Ok(1),
        StreamType::Small => Err(Error::not_supported("stream_type must be 0 (big) or 2 (sub) here, got 1 (small)")),
    }
}

impl Local {
    pub(crate) fn new(shared: Weak<Shared>) -> Self {
        let video = |stream| LocalVideo {
            stream,
            param: VideoEncoderParam::default(),
            param_set: false,
            small: None,
            layered: false,
            running: None,
            custom: false,
            camera: false,
            cid: None,
            refused: false,
            muted: false,
            silenced: false,
            cell: Arc::default(),
        };
        Self {
            shared,
            videos: [video(StreamType::Big), video(StreamType::Sub)],
            audio: LocalAudio::default(),
            anchor: true,
            privilege: true,
            published: 0,
            estimate_bps: 0,
        }
    }

    pub(crate) fn may_send(&self) -> bool {
        self.anchor && self.privilege
    }

    /// A new right is a reason to ask again for what was refused.
    pub(crate) fn set_privilege(&mut self, can_publish: bool) {
        self.privilege = can_publish;
        self.videos.iter_mut().for_each(|video| video.refused = false);
    }

    /// Starts a source in a slot; a running one ends first. Returns the thread that ended.
    pub(crate) fn start_video(
        &mut self,
        index: usize,
        source: VideoSource,
        param: VideoEncoderParam,
    ) -> Result<Option<JoinHandle<()>>> {
        let old = self.stop_source(index);
        let custom = matches!(source, VideoSource::Custom);
        let video = &mut self.videos[index];
        video.refused = false;
        let (sender, thread) = VideoSender::start(self.shared.clone(), video.stream, source, param, video.cell.clone())
            .map_err(|e| Error::new(Code::FAILED, format!("cannot start a thread: {e}")))?;
        sender.set_muted(video.muted || video.silenced);
        sender.set_small(video.small);
        video.running = Some(Running { sender, thread, param });
        video.custom = custom;
        self.set_estimate(self.estimate_bps);
        Ok(old)
    }

    fn stop_source(&mut self, index: usize) -> Option<JoinHandle<()>> {
        let video = &mut self.videos[index];
        (video.custom, video.camera) = (false, false);
        video.running.take().map(|running| {
            running.sender.stop();
            running.thread
        })
    }

    /// Ends a slot's source and its publication.
    pub(crate) fn stop_video(&mut self, index: usize, member: Option<&Member>) -> Option<JoinHandle<()>> {
        if let (Some(cid), Some(member)) = (self.videos[index].cid.take(), member) {
            member.unpublish(&cid);
        }
        self.videos[index].cell.clear();
        self.stop_source(index)
    }

    /// Publishes whatever runs and is not published yet.
    pub(crate) fn publish_all(&mut self, member: &Member) {
        if !self.may_send() {
            return;
        }
        for index in 0..self.videos.len() {
            let cid = format!("trtc-video-{}", self.published + 1);
            let video = &mut self.videos[index];
            let Some(running) = video.running.as_ref().filter(|_| video.cid.is_none() && !video.refused) else {
                continue;
            };
            self.published += 1;
            let (name, source) = match video.stream {
                StreamType::Sub => ("sub", TrackSource::ScreenShare),
                _ => ("main", TrackSource::Camera),
            };
            let layer = |param: VideoEncoderParam| LocalLayer {
                width: param.width,
                height: param.height,
                bitrate_bps: param.bitrate_kbps * 1000,
            };
            let layers = video.small.map_or_else(Vec::new, |small| vec![layer(small), layer(running.param)]);
            video.layered = !layers.is_empty();
            let track = LocalTrack {
                cid: cid.clone(),
                kind: MediaKind::Video,
                source,
                name: name.to_owned(),
                codec: CodecKind::H264,
                width: running.param.width,
                height: running.param.height,
                muted: video.muted,
                stereo: false,
                layers,
            };
            self.publish(member, index, track, cid);
        }
        if self.audio.on && self.audio.cid.is_none() {
            self.published += 1;
            let cid = format!("trtc-audio-{}", self.published);
            let track = LocalTrack {
                cid: cid.clone(),
                kind: MediaKind::Audio,
                source: TrackSource::Microphone,
                name: "audio".to_owned(),
                codec: CodecKind::Opus,
                width: 0,
                height: 0,
                muted: self.audio.muted,
                stereo: self.audio.stereo,
                layers: Vec::new(),
            };
            match member.publish(track) {
                Ok(()) => (self.audio.cid, self.audio.silenced) = (Some(cid), false),
                Err(error) => self.report(error),
            }
        }
    }

    fn publish(&mut self, member: &Member, index: usize, track: LocalTrack, cid: String) {
        match member.publish(track) {
            Ok(()) => (self.videos[index].cid, self.videos[index].silenced) = (Some(cid), false),
            Err(error) => self.report(error),
        }
    }

    fn report(&self, error: Error) {
        if let Some(shared) = self.shared.upgrade() {
            shared.emit(crate::events::Event::Error { code: error.code, message: error.message });
        }
    }

    /// Withdraws all tracks; sources go on running.
    pub(crate) fn unpublish_all(&mut self, capture: &Capture, member: &Member) {
        if let Some(cid) = self.audio.cid.take() {
            capture.set_sending(None);
            member.unpublish(&cid);
        }
        for video in &mut self.videos {
            if let Some(cid) = video.cid.take() {
                member.unpublish(&cid);
            }
            if let Some(running) = &video.running {
                running.sender.set_sending(None);
            }
        }
    }

    /// The server has taken a track: frames may flow, beginning with a key frame.
    pub(crate) fn published(&self, capture: &Capture, member: &Member, cid: &str) {
        if self.audio.cid.as_deref() == Some(cid) {
            capture.set_sending(Some((member.clone(), cid.to_owned())));
            capture.set_muted(self.audio.muted || self.audio.silenced);
        }
        for video in &self.videos {
            if let (Some(running), true) = (&video.running, video.cid.as_deref() == Some(cid)) {
                let sending = Sending { member: member.clone(), cid: cid.to_owned(), layered: video.layered };
                running.sender.set_sending(Some(sending));
                running.sender.set_muted(video.muted || video.silenced);
            }
        }
    }

    /// The server refused a track, or took it back.
    pub(crate) fn publish_failed(&mut self, capture: &Capture, cid: &str) {
        if self.audio.cid.as_deref() == Some(cid) {
            self.audio.cid = None;
            capture.set_sending(None);
        }
        for video in &mut self.videos {
            if video.cid.as_deref() == Some(cid) {
                (video.cid, video.refused) = (None, true);
                if let Some(running) = &video.running {
                    running.sender.set_sending(None);
                }
            }
        }
    }

    /// The server's word (a moderator's) about a track: nothing of it is to leave, or again what the host itself does not hold
    /// back. Returns what it is, for people.
    pub(crate) fn muted_by_server(
        &mut self,
        capture: &Capture,
        member: Option<&Member>,
        cid: &str,
        muted: bool,
    ) -> Option<&'static str> {
        let (host_muted, what) = if self.audio.cid.as_deref() == Some(cid) {
            self.audio.silenced = muted;
            capture.set_muted(self.audio.muted || muted);
            (self.audio.muted, "the sound")
        } else {
            let video = self.videos.iter_mut().find(|video| video.cid.as_deref() == Some(cid))?;
            video.silenced = muted;
            if let Some(running) = &video.running {
                running.sender.set_muted(video.muted || muted);
            }
            (video.muted, if video.stream == StreamType::Sub { "the sub stream" } else { "the main video stream" })
        };
        if let (Some(member), true, false) = (member, host_muted, muted) {
            member.set_muted(cid, true);
        }
        Some(what)
    }

    pub(crate) fn want_key(&self, cid: &str, layer: usize) {
        if let Some(sender) = self.sender_of(cid) {
            sender.want_key(layer);
        }
    }

    /// Somebody watches, or nobody does, each layer of a track.
    pub(crate) fn layers_wanted(&self, cid: &str, wanted: &[bool]) {
        if let Some(sender) = self.sender_of(cid) {
            sender.set_watched(wanted);
        }
    }

    fn sender_of(&self, cid: &str) -> Option<&VideoSender> {
        let video = self.videos.iter().find(|video| video.cid.as_deref() == Some(cid))?;
        video.running.as_ref().map(|running| &*running.sender)
    }

    /// The small layer of the main stream begins, changes or ends. A track that was published without it is published anew;
    /// one that has it only stops or starts its encoder.
    pub(crate) fn set_small(&mut self, small: Option<VideoEncoderParam>, member: Option<&Member>) {
        let video = &mut self.videos[0];
        video.small = small;
        if let Some(running) = &video.running {
            running.sender.set_small(small);
        }
        let Some(member) = member.filter(|_| small.is_some() && !video.layered) else { return };
        if let Some(cid) = video.cid.take() {
            if let Some(running) = &video.running {
                running.sender.set_sending(None);
            }
            member.unpublish(&cid);
            self.publish_all(member);
        }
    }

    /// Shares the network's estimate between the streams that run; sound has its part first.
    pub(crate) fn set_estimate(&mut self, bps: u32) {
        self.estimate_bps = bps;
        let audio = if self.audio.on { 64_000 } else { 0 };
        let wish = |v: &LocalVideo, r: &Running| r.param.bitrate_kbps + v.small.map_or(0, |small| small.bitrate_kbps);
        let running: Vec<_> = self.videos.iter().filter_map(|v| v.running.as_ref().map(|r| (r, wish(v, r)))).collect();
        let total: u64 = running.iter().map(|(_, kbps)| u64::from(*kbps)).sum::<u64>().max(1);
        let video = u64::from(bps.saturating_sub(audio).max(1));
        for (running, kbps) in running {
            let share = video * u64::from(kbps) / total;
            let share = u32::try_from(share).unwrap_or(u32::MAX).max(1);
            running.sender.set_estimate(if bps == 0 { 0 } else { share });
        }
    }

    pub(crate) fn left_room(&mut self) {
        self.set_estimate(0);
        self.audio.cid = None;
        for video in &mut self.videos {
            (video.cid, video.refused) = (None, false);
            if let Some(running) = &video.running {
                running.sender.set_sending(None);
            }
        }
    }

    pub(crate) fn stop_all(&mut self) -> Vec<JoinHandle<()>> {
        self.audio = LocalAudio::default();
        (0..self.videos.len()).filter_map(|i| self.stop_video(i, None)).collect()
    }

    pub(crate) fn set_quality(&mut self, quality: AudioQuality) {
        self.audio.stereo = quality == AudioQuality::Music;
    }
}
