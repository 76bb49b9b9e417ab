//! The clock of a cloud: sound every 10 ms, volumes, statistics every 2 s.
use crate::devices::User;
use crate::events::Event;
use crate::hub::{Port, Tick};
use crate::params::PlayedAudio;
use crate::receive::audio::{BLOCK, Mixed};
use crate::remote::stream_of;
use crate::room::Phase;
use crate::send::layer::{BIG, SMALL};
use crate::shared::{Shared, media_time};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use trtc_media::mixer;
use trtc_member::{MemberStats, rating};
use trtc_types::stats::{LocalStatistics, RemoteStatistics, Statistics};
use trtc_types::{Code, DeviceKind, DeviceState, MediaKind, NetworkQuality, StreamType, UserId};

/// Ticks between two statistics.
const PERIOD_TICKS: u64 = 200;
const PERIOD_SECONDS: u64 = 2;

/// What the last statistics saw, for differences.
#[derive(Default)]
pub(crate) struct Meter {
    values: Mutex<BTreeMap<String, u64>>,
    cpu: Mutex<Option<(Instant, Duration)>>,
}

impl Port for Shared {
    fn tick(&self, tick: &Tick<'_>, playout: &mut [i32]) {
        let Tick { now, index, .. } = *tick;
        self.leave_after_failure();
        let captured = self.capture.tick(media_time(now), index.is_multiple_of(2), tick.microphone);
        if captured.device_ready {
            self.microphone_flows();
        }
        if captured.first_sent {
            self.emit(Event::SendFirstLocalAudioFrame);
        }
        if let Some(error) = captured.failed {
            self.emit(Event::Error { code: error.code, message: error.message });
        }
        if !self.playout.pulled.load(Ordering::Relaxed) {
            let mut block = [0; BLOCK];
            let mixed = self.playout.mix(now, self.wants_blocks(), &mut block);
            if self.plays.load(Ordering::Relaxed) {
                mixer::mix_into(playout, &block, 1.0);
            }
            self.tell_mixed(mixed);
        }
        let every = u64::from(self.volume_interval_ms.load(Ordering::Relaxed)) / 10;
        if every > 0 && index.is_multiple_of(every) {
            self.tell_volumes();
        }
        if index.is_multiple_of(PERIOD_TICKS) {
            self.tell_statistics(now);
        }
    }

    fn failed(&self) {
        self.fail(Code::INTERNAL, "the audio thread panicked");
        // No tick follows that would.
        self.leave_after_failure();
    }
}

impl User for Shared {
    fn device_changed(&self, id: &str, kind: DeviceKind, state: DeviceState) {
        self.emit(Event::DeviceChange { id: id.to_owned(), kind, state });
    }

    fn device_warning(&self, code: Code, message: &str) {
        self.warn(code, message);
    }
}

impl Shared {
    /// The first sound of a microphone: only now others may expect some.
    fn microphone_flows(&self) {
        let mut state = self.state.lock();
        if !state.local.audio.device {
            // Stopped meanwhile.
            return;
        }
        self.emit(Event::MicDidReady);
        state.local.audio.on = true;
        if let (Some(member), Phase::In) = (state.member.clone(), state.phase) {
            state.local.publish_all(&member);
        }
    }

    /// Once after a failure.
    fn leave_after_failure(&self) {
        if !self.failed_and_not_left() {
            return;
        }
        let member = {
            let state = self.state.lock();
            state.unwanted.store(true, Ordering::Release);
            state.member.clone()
        };
        if let Some(member) = member {
            member.leave();
        }
    }

    /// Nothing about a room comes after its end.
    fn emit_in_room(&self, event: Event) {
        let state = self.state.lock();
        if state.phase == Phase::In {
            self.emit(event);
        }
    }

    pub(crate) fn wants_blocks(&self) -> bool {
        self.tap.lock().is_some()
    }

    /// Events and taps that follow from a mix; no lock is held meanwhile.
    pub(crate) fn tell_mixed(&self, mixed: Mixed) {
        for user in mixed.first {
            self.emit(Event::FirstAudioFrame(user));
        }
        let tap = if mixed.blocks.is_empty() { None } else { self.tap.lock().clone() };
        if let Some(tap) = tap {
            for (user, samples, concealed) in &mixed.blocks {
                self.gate.run(|| tap(PlayedAudio { user, samples, concealed: *concealed }));
            }
        }
    }

    fn tell_volumes(&self) {
        let (users, total) = self.playout.levels();
        let local = (None, self.capture.level());
        let users = std::iter::once(local).chain(users.into_iter().map(|(u, v)| (Some(u), v))).collect();
        self.emit_in_room(Event::UserVoiceVolume { users, total });
    }

    fn tell_statistics(&self, now: Instant) {
        let (member, inputs, locals, audio_hz) = {
            let mut state = self.state.lock();
            let Some(member) = state.member.clone().filter(|_| state.phase == Phase::In) else { return };
            state.remote.pause_unwatched(&member, now);
            let locals: Vec<_> = state
                .local
                .videos
                .iter()
                .filter_map(|v| v.running.as_ref().map(|r| (v, r)))
                .flat_map(|(v, r)| {
                    let small = v.small.map(|param| (StreamType::Small, SMALL, r.sender.clone(), param));
                    std::iter::once((v.stream, BIG, r.sender.clone(), r.param)).chain(small)
                })
                .collect();
            (member, state.remote.inputs(), locals, if state.local.audio.on { 48_000 } else { 0 })
        };
        let seen = member.stats();
        let meter = &self.meter;
        let mut stats = Statistics {
            up_loss_percent: seen.up_loss_percent.round() as u32,
            down_loss_percent: seen.down_loss_percent.round() as u32,
            rtt_ms: seen.rtt.map_or(0, |r| r.as_millis() as u32),
            sent_bytes: seen.sent_bytes,
            received_bytes: seen.received_bytes,
            app_cpu_percent: meter.cpu_percent(now),
            ..Statistics::default()
        };
        let audio_kbps = meter.kbps("audio", self.capture.sent_bytes.load(Ordering::Relaxed));
        for (stream, layer, sender, param) in locals {
            let counters = &sender.counters[layer];
            let key = format!("local {}", stream as i32);
            stats.local.push(LocalStatistics {
                stream,
                width: param.width,
                height: param.height,
                frame_rate: meter.rate(&format!("{key} frames"), counters.frames.load(Ordering::Relaxed)),
                video_bitrate_kbps: meter.kbps(&key, counters.bytes.load(Ordering::Relaxed)),
                audio_sample_rate_hz: if stream == StreamType::Big { audio_hz } else { 0 },
                audio_bitrate_kbps: if stream == StreamType::Big { audio_kbps } else { 0 },
            });
        }
        if audio_hz > 0 && stats.local.iter().all(|l| l.stream != StreamType::Big) {
            stats.local.push(LocalStatistics {
                stream: StreamType::Big,
                width: 0,
                height: 0,
                frame_rate: 0,
                video_bitrate_kbps: 0,
                audio_sample_rate_hz: audio_hz,
                audio_bitrate_kbps: audio_kbps,
            });
        }
        let mut remote: BTreeMap<(UserId, StreamType), RemoteStatistics> = BTreeMap::new();
        let small = |user: &UserId| inputs.iter().any(|i| i.user == *user && i.stream() == StreamType::Small);
        for track in &seen.remote {
            let stream = match stream_of(track.source) {
                StreamType::Big if small(&track.user) => StreamType::Small,
                other => other,
            };
            let entry =
                remote.entry((track.user.clone(), stream)).or_insert_with(|| empty_remote(track.user.clone(), stream));
            let lost = meter.difference(&format!("{} lost", track.sid), u64::try_from(track.lost).unwrap_or(0));
            let got = meter.difference(&format!("{} packets", track.sid), track.packets);
            let percent = (lost * 100).checked_div(lost + got).unwrap_or(0) as u32;
            let kbps = meter.kbps(&track.sid, track.bytes);
            if track.kind == MediaKind::Video {
                entry.video_packet_loss_percent = percent;
                entry.video_bitrate_kbps = kbps;
            } else {
                entry.audio_packet_loss_percent = percent;
                entry.audio_bitrate_kbps = kbps;
                if let Some(info) = self.playout.track_info(&track.sid) {
                    entry.jitter_buffer_delay_ms = info.delay_ms;
                    let total = format!("{} {stream:?} sound blocked", track.user);
                    entry.audio_total_block_time_ms = meter.total(&total, &track.sid, info.concealed_ms);
                }
            }
        }
        for input in &inputs {
            let key = (input.user.clone(), input.stream());
            let entry = remote.entry(key).or_insert_with(|| empty_remote(input.user.clone(), input.stream()));
            entry.width = input.counters.width.load(Ordering::Relaxed);
            entry.height = input.counters.height.load(Ordering::Relaxed);
            let decoded = input.counters.decoded.load(Ordering::Relaxed);
            entry.frame_rate = meter.rate(&format!("{} frames", input.sid), decoded);
            let total = format!("{} {} blocked", input.user, input.stream() as i32);
            let blocked_ms = input.counters.blocked_ms.load(Ordering::Relaxed);
            entry.video_total_block_time_ms = meter.total(&total, &input.sid, blocked_ms);
            let delay = input.counters.delay_ms.load(Ordering::Relaxed);
            entry.jitter_buffer_delay_ms = entry.jitter_buffer_delay_ms.max(delay);
        }
        stats.remote = remote.into_values().collect();
        self.tell_quality(&seen, &stats);
        self.emit_in_room(Event::Statistics(Box::new(stats)));
    }
}

impl Shared {
    /// Our own network by what was measured; another's by the server's word and by what we miss of its streams.
    fn tell_quality(&self, seen: &MemberStats, stats: &Statistics) {
        let (lost, mut remote) = {
            let state = self.state.lock();
            (state.lost, state.remote.ratings())
        };
        let rtt = seen.rtt.unwrap_or_default();
        let local = match lost {
            true => NetworkQuality::Down,
            false => network_quality(seen.up_loss_percent.max(seen.down_loss_percent), rtt),
        };
        for (user, quality) in &mut remote {
            let streams = stats.remote.iter().filter(|stream| stream.user == *user);
            let worst = streams.map(|s| s.audio_packet_loss_percent.max(s.video_packet_loss_percent)).max();
            if let Some(percent) = worst {
                *quality = (*quality).max(network_quality(percent as f32, rtt));
            }
        }
        self.emit_in_room(Event::NetworkQuality { local, remote });
    }
}

/// The five grades of ITU-T G.109 over the transmission rating.
fn network_quality(loss_percent: f32, rtt: Duration) -> NetworkQuality {
    match rating(loss_percent, rtt) {
        r if r >= 90.0 => NetworkQuality::Excellent,
        r if r >= 80.0 => NetworkQuality::Good,
        r if r >= 70.0 => NetworkQuality::Poor,
        r if r >= 60.0 => NetworkQuality::Bad,
        _ => NetworkQuality::Vbad,
    }
}

impl Meter {
    /// How much a counter grew since the last call with this key; 0 at the first.
    fn difference(&self, key: &str, value: u64) -> u64 {
        let old = self.values.lock().insert(key.to_owned(), value);
        old.map_or(0, |old| value.saturating_sub(old))
    }

    /// The sum of a counter that may begin again, by its source, since [`Self::clear`].
    fn total(&self, key: &str, source: &str, value: u64) -> u32 {
        let mut values = self.values.lock();
        let old = values.insert(format!("{key} of {source}"), value).unwrap_or(0);
        let total = values.entry(key.to_owned()).or_default();
        *total += value.checked_sub(old).unwrap_or(value);
        u32::try_from(*total).unwrap_or(u32::MAX)
    }

    fn rate(&self, key: &str, count: u64) -> u32 {
        ((self.difference(key, count) + PERIOD_SECONDS / 2) / PERIOD_SECONDS) as u32
    }

    fn kbps(&self, key: &str, bytes: u64) -> u32 {
        (self.difference(key, bytes) * 8 / 1000 / PERIOD_SECONDS) as u32
    }

    /// Process CPU since the last call, in percent of one core.
    fn cpu_percent(&self, now: Instant) -> u32 {
        let Some(used) = process_cpu() else { return 0 };
        let old = self.cpu.lock().replace((now, used));
        let Some((at, before)) = old else { return 0 };
        let wall = now.saturating_duration_since(at).as_secs_f64();
        if wall <= 0.0 { 0 } else { (used.saturating_sub(before).as_secs_f64() / wall * 100.0).round() as u32 }
    }

    pub(crate) fn clear(&self) {
        self.values.lock().clear();
    }
}

fn empty_remote(user: UserId, stream: StreamType) -> RemoteStatistics {
    RemoteStatistics {
        user,
        stream,
        audio_packet_loss_percent: 0,
        video_packet_loss_percent: 0,
        width: 0,
        height: 0,
        frame_rate: 0,
        video_bitrate_kbps: 0,
        audio_bitrate_kbps: 0,
        jitter_buffer_delay_ms: 0,
        video_total_block_time_ms: 0,
        audio_total_block_time_ms: 0,
    }
}

/// User and system time of this process, where the system tells it as Linux does (in ticks of 10 ms).
fn process_cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}
