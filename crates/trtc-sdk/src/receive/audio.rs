//! Remote sound: a jitter buffer for each user, the mixer, and the pull of the mixed playout.
use crate::remote::stream_of;
use crate::switches::Switches;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trtc_codec::OpusDecoder;
use trtc_media::audio_jitter::AudioJitterBuffer;
use trtc_media::{Resampler, mixer};
use trtc_member::ReceivedAudio;
use trtc_types::{AudioFrame, Error, Result, StreamType, UserId};

const INBOX_CAP: usize = 512;
/// Samples in 10 ms of 48 kHz stereo.
pub(crate) const BLOCK: usize = 960;
/// Pulled sound that may wait in the rate converter, in samples.
const PULL_CAP: usize = 48_000;
/// A picture waits for sound that came within this time: a sender that is silent (DTX) still sends every 400 ms.
const HEARD: Duration = Duration::from_secs(3);

/// What is known about one remote user's sound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteAudioInfo {
    /// 10 ms blocks played.
    pub blocks: u64,
    /// Sound that was made up for loss or lateness, ms; a pause of the sender is none.
    pub concealed_ms: u64,
    /// Packets that arrived.
    pub packets: u64,
    /// Present delay of the jitter buffer in ms.
    pub delay_ms: u32,
}

pub(crate) struct Playout {
    inbox: Mutex<VecDeque<ReceivedAudio>>,
    dropped: AtomicU64,
    gains: Mutex<Gains>,
    work: Mutex<Work>,
    /// What of each track is played now, for lip sync; its own lock, so that a decoder never waits for a mix.
    sounds: Mutex<BTreeMap<String, Sound>>,
    /// The host pulls; the hub does not.
    pub(crate) pulled: AtomicBool,
    /// Loudness of the last mixed block.
    level: AtomicU32,
}

/// What came out of a mix beside the sound.
#[derive(Default)]
pub(crate) struct Mixed {
    /// Users heard for the first time.
    pub(crate) first: Vec<UserId>,
    /// 10 ms of each user, and whether some of it was concealed.
    pub(crate) blocks: Vec<(UserId, Vec<i16>, bool)>,
}

struct Gains {
    volumes: BTreeMap<UserId, u32>,
    muted: Switches<UserId>,
    playout: u32,
}

impl Default for Gains {
    fn default() -> Self {
        Self { volumes: BTreeMap::new(), muted: Switches::default(), playout: 100 }
    }
}

#[derive(Default)]
struct Work {
    users: BTreeMap<String, RemoteAudio>,
    mix: Vec<i32>,
    converter: Option<(u32, u16, Resampler)>,
    pulled: VecDeque<i16>,
}

struct RemoteAudio {
    user: UserId,
    buffer: AudioJitterBuffer,
    decoder: OpusDecoder,
    block: Vec<i16>,
    level: u32,
    heard: bool,
    info: RemoteAudioInfo,
    /// RTP time of the newest packet whose capture time is known.
    timed: Option<u32>,
    sound: Sound,
}

impl RemoteAudio {
    fn info(&self) -> RemoteAudioInfo {
        let stats = self.buffer.stats();
        let concealed_ms = stats.concealed.saturating_sub(stats.unsettled) / 48;
        RemoteAudioInfo { delay_ms: stats.delay_ms, concealed_ms, ..self.info.clone() }
    }
}

/// A moment of a track.
#[derive(Clone)]
struct Sound {
    user: UserId,
    stream: StreamType,
    /// By the sender's wall clock.
    captured: Duration,
    received: Instant,
    plays: Instant,
}

impl Playout {
    pub(crate) fn new() -> Self {
        Self {
            inbox: Mutex::default(),
            dropped: AtomicU64::new(0),
            gains: Mutex::default(),
            work: Mutex::default(),
            sounds: Mutex::default(),
            pulled: AtomicBool::new(false),
            level: AtomicU32::new(0),
        }
    }

    /// Takes a packet from the network; never blocks.
    pub(crate) fn push(&self, packet: ReceivedAudio) {
        let mut inbox = self.inbox.lock();
        if inbox.len() >= INBOX_CAP {
            inbox.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        inbox.push_back(packet);
    }

    /// Forgets a track.
    pub(crate) fn remove(&self, sid: &str) {
        self.inbox.lock().retain(|p| p.sid != sid);
        self.work.lock().users.remove(sid);
        self.sounds.lock().remove(sid);
    }

    /// Forgets all tracks and the mutes (volumes stay), as leaving a room does.
    pub(crate) fn clear(&self) {
        self.inbox.lock().clear();
        self.work.lock().users.clear();
        self.sounds.lock().clear();
        self.gains.lock().muted = Switches::default();
    }

    pub(crate) fn set_volume(&self, user: &UserId, volume: u32) {
        self.gains.lock().volumes.insert(user.clone(), volume);
    }

    pub(crate) fn set_playout_volume(&self, volume: u32) {
        self.gains.lock().playout = volume;
    }

    pub(crate) fn playout_volume(&self) -> u32 {
        self.gains.lock().playout
    }

    /// Silences one user (`Some`) or all, or no longer.
    pub(crate) fn mute(&self, user: Option<&UserId>, muted: bool) {
        self.gains.lock().muted.set(user, muted);
    }

    pub(crate) fn is_muted(&self, user: &UserId) -> bool {
        self.gains.lock().muted.is_on(user)
    }

    /// Mixes the next 10 ms into `out` (48 kHz, stereo). `keep` the blocks of each user for a tap.
    pub(crate) fn mix(&self, now: Instant, keep: bool, out: &mut [i16; BLOCK]) -> Mixed {
        let mut work = self.work.lock();
        let mut mixed = Mixed::default();
        self.take_inbox(&mut work);
        work.mix.clear();
        work.mix.resize(BLOCK, 0);
        let Work { users, mix, .. } = &mut *work;
        for (sid, remote) in users {
            let info = remote.buffer.pull(now, &mut remote.decoder, &mut remote.block);
            if let Some(plays) = remote.timed.and_then(|time| remote.buffer.plays_at(time)) {
                remote.sound.plays = plays;
                self.tell_sound(sid, &remote.sound);
            }
            let (playing, concealed) = (info.playing, info.concealed > 0);
            if !playing && !remote.heard {
                continue;
            }
            if !remote.heard {
                remote.heard = true;
                mixed.first.push(remote.user.clone());
            }
            remote.info.blocks += 1;
            remote.level = mixer::volume(&remote.block);
            let gain = self.gain(&remote.user);
            if gain > 0.0 {
                mixer::mix_into(mix, &remote.block, gain);
            }
            if keep {
                mixed.blocks.push((remote.user.clone(), remote.block.clone(), concealed));
            }
        }
        mixer::finish(&work.mix, out);
        self.level.store(mixer::volume(out), Ordering::Relaxed);
        mixed
    }

    /// Pulls mixed sound for a host that plays by itself: exactly `samples_per_channel` at `rate`.
    pub(crate) fn pull(&self, rate: u32, channels: u16, samples_per_channel: usize, keep: bool) -> (AudioFrame, Mixed) {
        let need = samples_per_channel * usize::from(channels);
        let mut all = Mixed::default();
        loop {
            {
                let mut work = self.work.lock();
                let fits = matches!(&work.converter, Some((r, c, _)) if (*r, *c) == (rate, channels));
                if !fits {
                    work.converter = Some((rate, channels, Resampler::new(48_000, rate, channels)));
                    work.pulled.clear();
                }
                if work.pulled.len() >= need {
                    let samples = work.pulled.drain(..need).collect();
                    let time = crate::shared::media_now();
                    return (AudioFrame { sample_rate_hz: rate, channels, samples, time }, all);
                }
            }
            let mut block = [0; BLOCK];
            let mixed = self.mix(Instant::now(), keep, &mut block);
            all.first.extend(mixed.first);
            all.blocks.extend(mixed.blocks);
            let mut work = self.work.lock();
            let Work { converter, pulled, .. } = &mut *work;
            if let Some((_, channels, resampler)) = converter {
                if *channels == 1 {
                    let mono: Vec<i16> =
                        block.chunks_exact(2).map(|s| ((i32::from(s[0]) + i32::from(s[1])) / 2) as i16).collect();
                    resampler.push(&mono, pulled);
                } else {
                    resampler.push(&block, pulled);
                }
                let excess = pulled.len().saturating_sub(PULL_CAP);
                pulled.drain(..excess);
            }
        }
    }

    /// Loudness of each heard user and of the mix.
    pub(crate) fn levels(&self) -> (Vec<(UserId, u32)>, u32) {
        let work = self.work.lock();
        let users = work.users.values().filter(|r| r.heard).map(|r| (r.user.clone(), r.level)).collect();
        (users, self.level.load(Ordering::Relaxed))
    }

    pub(crate) fn info(&self, user: &UserId) -> Option<RemoteAudioInfo> {
        let work = self.work.lock();
        work.users.values().find(|r| r.user == *user && r.heard).map(RemoteAudio::info)
    }

    pub(crate) fn track_info(&self, sid: &str) -> Option<RemoteAudioInfo> {
        self.work.lock().users.get(sid).filter(|r| r.heard).map(RemoteAudio::info)
    }

    /// When the user's sound that was `captured` then is played: the microphone's for the camera, the screen's for the screen. `None`
    /// without any around `now`.
    pub(crate) fn plays_at(
        &self,
        user: &UserId,
        stream: StreamType,
        captured: Duration,
        now: Instant,
    ) -> Option<Instant> {
        let sounds = self.sounds.lock();
        let sound = sounds.values().find(|sound| sound.user == *user && sound.stream == stream)?;
        if now.saturating_duration_since(sound.received) > HEARD {
            return None;
        }
        match captured.checked_sub(sound.captured) {
            Some(later) => sound.plays.checked_add(later),
            None => sound.plays.checked_sub(sound.captured - captured),
        }
    }

    fn tell_sound(&self, sid: &str, sound: &Sound) {
        let mut sounds = self.sounds.lock();
        match sounds.get_mut(sid) {
            Some(known) => {
                (known.captured, known.received, known.plays) = (sound.captured, sound.received, sound.plays);
            }
            None => {
                sounds.insert(sid.to_owned(), sound.clone());
            }
        }
    }

    fn gain(&self, user: &UserId) -> f32 {
        let gains = self.gains.lock();
        if gains.muted.is_on(user) {
            return 0.0;
        }
        let volume = gains.volumes.get(user).copied().unwrap_or(100);
        (volume * gains.playout) as f32 / 10_000.0
    }

    fn take_inbox(&self, work: &mut Work) {
        let packets = std::mem::take(&mut *self.inbox.lock());
        for packet in packets {
            if !work.users.contains_key(&packet.sid) {
                let Ok(decoder) = OpusDecoder::new(2) else { continue };
                let remote = RemoteAudio {
                    user: packet.user.clone(),
                    buffer: AudioJitterBuffer::new(2),
                    decoder,
                    block: vec![0; BLOCK],
                    level: 0,
                    heard: false,
                    info: RemoteAudioInfo::default(),
                    timed: None,
                    sound: Sound {
                        user: packet.user.clone(),
                        stream: stream_of(packet.source),
                        captured: Duration::ZERO,
                        received: packet.received,
                        plays: packet.received,
                    },
                };
                work.users.insert(packet.sid.clone(), remote);
            }
            if let Some(remote) = work.users.get_mut(&packet.sid) {
                remote.info.packets += 1;
                if let Some(captured) = packet.captured {
                    remote.timed = Some(packet.rtp_time);
                    (remote.sound.captured, remote.sound.received) = (captured, packet.received);
                }
                remote.buffer.insert(packet.received, packet.sequence, packet.rtp_time, packet.payload);
            }
        }
    }
}

/// Checks a pull request: 10 or 20 ms at a known rate.
pub(crate) fn check_pull(rate: u32, channels: u16, samples_per_channel: usize) -> Result<()> {
    if ![16_000, 24_000, 32_000, 44_100, 48_000].contains(&rate) {
        return Err(Error::new(
            trtc_types::Code::UNSUPPORTED_SAMPLERATE,
            format!("sample_rate_hz must be 16000, 24000, 32000, 44100 or 48000, got {rate}"),
        ));
    }
    if !(1..=2).contains(&channels) {
        return Err(Error::invalid(format!("channels must be 1..=2, got {channels}")));
    }
    let ten = rate as usize / 100;
    if samples_per_channel != ten && samples_per_channel != 2 * ten {
        return Err(Error::invalid(format!(
            "samples_per_channel must be 10 or 20 ms ({ten} or {}), got {samples_per_channel}",
            2 * ten
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use trtc_codec::OpusEncoder;
    use trtc_types::{AudioEncoder, AudioQuality, TrackSource};

    /// Ten packets of 20 ms, a second without any, ten more. `lost`: the numbers go on meanwhile.
    fn concealed_ms(lost: u16) -> u64 {
        let (playout, start, user) = (Playout::new(), Instant::now(), UserId::new("ann").unwrap());
        let mut encoder = OpusEncoder::new(1, AudioQuality::Default).unwrap();
        let mut opus = Vec::new();
        encoder.encode(&[1000; 960], &mut opus).unwrap();
        let mut block = [0; BLOCK];
        for tick in 0..160_u16 {
            let now = start + Duration::from_millis(10) * tick.into();
            let packet = tick / 2;
            if tick % 2 == 0 && !(10..60).contains(&packet) {
                playout.push(ReceivedAudio {
                    user: user.clone(),
                    sid: "TR".into(),
                    source: TrackSource::Microphone,
                    payload: opus.clone().into(),
                    sequence: if packet < 10 { packet } else { packet - 50 + lost },
                    rtp_time: 960 * u32::from(packet),
                    captured: None,
                    received: now,
                });
            }
            playout.mix(now, false, &mut block);
        }
        playout.info(&user).unwrap().concealed_ms
    }

    #[test]
    fn a_pause_of_the_sender_is_no_block_and_loss_is() {
        assert!(concealed_ms(0) < 100, "{} ms of a pause of 1000", concealed_ms(0));
        assert!(concealed_ms(50) > 100, "{} ms of a hole of 1000", concealed_ms(50));
    }

    /// A tone that grows loud in the 15th second, in bursts of 300 ms, and pictures that come at once: how far the sound of that
    /// moment is heard behind its picture, in ms.
    fn skew_ms(reported: bool) -> f64 {
        let (playout, start, user) = (Playout::new(), Instant::now(), UserId::new("ann").unwrap());
        let (mut video, mut encoder) =
            (trtc_media::VideoPlayout::new(), OpusEncoder::new(1, AudioQuality::Default).unwrap());
        let (wall, ms, loud) = (Duration::from_secs(3_900_000_000), Duration::from_millis, 15_000);
        let (mut block, mut shown, mut heard) = ([0; BLOCK], start, None);
        for tick in 0..1_600 {
            let now = start + ms(10 * tick);
            let burst = if tick % 30 == 29 { tick / 30 * 15..tick / 30 * 15 + 15 } else { 0..0 };
            for packet in burst {
                let peak = if packet * 20 < loud { 300.0 } else { 12_000.0 };
                let wave = |i: u64| (peak * (0.0576 * (packet * 960 + i) as f64).sin()) as i16;
                let mut opus = Vec::new();
                encoder.encode(&(0..960).map(wave).collect::<Vec<_>>(), &mut opus).unwrap();
                playout.push(ReceivedAudio {
                    user: user.clone(),
                    sid: "TR".into(),
                    source: TrackSource::Microphone,
                    payload: opus.into(),
                    sequence: packet as u16,
                    rtp_time: 7_000 + 960 * packet as u32,
                    captured: reported.then(|| wall + ms(20 * packet)),
                    received: now,
                });
            }
            playout.mix(now, false, &mut block);
            if heard.is_none() && block.iter().any(|s| *s > 6_000) {
                heard = Some(now);
            }
            let captured = wall + ms(10 * tick);
            if tick % 4 == 0 && 10 * tick <= loud {
                let sound = playout.plays_at(&user, StreamType::Big, captured, now);
                shown = video.insert(now, 900 * tick as u32, sound);
            }
            assert!(playout.plays_at(&user, StreamType::Sub, captured, now).is_none(), "another stream");
            assert!(playout.plays_at(&user, StreamType::Big, captured, now + HEARD * 2).is_none(), "long silent");
        }
        let heard = heard.expect("it is loud");
        let skew = (heard.saturating_duration_since(shown).as_secs_f64()
            - shown.saturating_duration_since(heard).as_secs_f64())
            * 1e3;
        println!("sound {skew:.0} ms behind the picture, reports: {reported}");
        skew
    }

    #[test]
    fn the_picture_waits_for_the_sound_that_belongs_to_it() {
        assert!(skew_ms(false) > 200.0);
        assert!(skew_ms(true).abs() < 20.0);
    }
}
