//! `trtc join`: a member in a terminal.
use crate::meters::{AudioMeter, RATE_HZ, VideoMeter};
use crate::{stop, token};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use trtc_media::convert;
use trtc_sdk::types::{AppScene, AudioQuality, DeviceKind, I420, Role, RoomId, StreamType, UserId};
use trtc_sdk::{Cloud, CloudOptions, EnterParams, Event, FileSource, PatternSource, VideoEncoderParam};

/// Arguments of `trtc join`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Server address: ws(s):// or http(s)://.
    #[arg(long, default_value = "ws://127.0.0.1:7880")]
    url: String,
    /// A LiveKit access token.
    #[arg(long, conflicts_with_all = ["dev", "user_sig"])]
    token: Option<String>,
    /// Makes a token with the keys of `trtc serve --dev` for --room and --user.
    #[arg(long)]
    dev: bool,
    /// Room for --dev or --user-sig.
    #[arg(long, default_value = "hello")]
    room: String,
    /// User for --dev or --user-sig.
    #[arg(long, default_value = "me")]
    user: String,
    /// A UserSig of --user, as `trtc token usersig` makes it; enters --room or --room-id of --sdk-app-id.
    #[arg(long, conflicts_with = "dev", allow_hyphen_values = true)]
    user_sig: Option<String>,
    /// Numeric room for --user-sig, instead of --room.
    #[arg(long, requires = "user_sig")]
    room_id: Option<u32>,
    /// Application for --user-sig.
    #[arg(long, default_value_t = trtc_server::ServerConfig::dev_application().0)]
    sdk_app_id: u32,
    /// A PrivateMapKey for --user-sig, as `trtc token privatemapkey` makes it.
    #[arg(long, requires = "user_sig", allow_hyphen_values = true)]
    private_map_key: Option<String>,
    /// Becomes audience, or anchor, at this second.
    #[arg(long)]
    switch_role_at: Option<u32>,
    /// anchor or audience; the audience is in a live scene.
    #[arg(long, default_value = "anchor", value_parser = ["anchor", "audience"])]
    role: String,
    /// pattern, none, a file (.h264, .y4m, .yuv, .wav), mic, camera or mic,camera.
    #[arg(long, default_value = "none")]
    publish: String,
    /// Plays the others: none, default (of the system, followed), or a speaker by its id or name.
    #[arg(long, default_value = "none")]
    speaker: String,
    /// The microphone for --publish mic, by its id or name; the system's default unless given.
    #[arg(long)]
    mic: Option<String>,
    /// The camera for --publish camera, by its id or name; the first unless given.
    #[arg(long)]
    camera: Option<String>,
    /// Picture size that is sent, 640x360 unless given; a raw .yuv file needs it: WIDTHxHEIGHT.
    #[arg(long)]
    size: Option<String>,
    /// Frames per second that are sent, and of a raw .yuv file.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: u32,
    /// Video bitrate in kbit/s.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u32).range(10..=50_000))]
    kbps: u32,
    /// Sends a small picture beside the main one, for receivers that want little: WIDTHxHEIGHT.
    #[arg(long)]
    small_size: Option<String>,
    /// Bitrate of the small picture in kbit/s.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(10..=50_000))]
    small_kbps: u32,
    /// Watch and hear the others.
    #[arg(long)]
    subscribe: bool,
    /// Which picture of the others is watched, where they send two.
    #[arg(long, default_value = "big", value_parser = ["big", "small"])]
    watch: String,
    /// Changes between big and small at these seconds of the stay: 4,8.
    #[arg(long, value_delimiter = ',')]
    switch_at: Vec<u32>,
    /// Length of the stay; Ctrl-C ends it early.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Mutes microphone and video at this second, and unmutes one second later.
    #[arg(long)]
    mute_at: Option<u32>,
    /// Directory for a PNG snapshot and a WAV file per remote user.
    #[arg(long)]
    save: Option<PathBuf>,
    /// Allows ws:// to another machine: the token travels in the clear.
    #[arg(long)]
    allow_plain: bool,
    /// One JSON event a line and a summary at the end.
    #[arg(long)]
    json: bool,
}

/// Events wait here for the main thread; a full queue drops (the figures come from the meters, not from events).
const EVENTS_CAP: usize = 1024;
const MESSAGE_EVERY: Duration = Duration::from_millis(200);
const FRAMES_EVERY: Duration = Duration::from_millis(100);
/// A connection that does not come back for this long ends the stay.
const LOST_LIMIT: Duration = Duration::from_secs(20);

/// What is known about one remote user.
#[derive(Default)]
struct Remote {
    video: VideoMeter,
    audio: AudioMeter,
}

type Remotes = Arc<Mutex<BTreeMap<String, Remote>>>;

/// Counters of a stay.
#[derive(Default)]
struct Stay {
    join_ms: Option<i32>,
    first_frame_ms: Option<u64>,
    sent: u64,
    refused: u64,
    received: u64,
    missed: i64,
    lost_since: Option<Instant>,
    ended: Option<String>,
    /// Frames of each remote user, as told last.
    told_frames: BTreeMap<String, u64>,
}

/// Joins, stays, and reports.
///
/// # Errors
/// A sentence: bad arguments, a refused entry, or a connection that was lost for good.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let params = entry(arguments)?;
    let stop = stop::on_signal()?;
    let remotes: Remotes = Arc::default();
    let start = Instant::now();
    let (events_in, events) = sync_channel(EVENTS_CAP);
    let options = CloudOptions { no_speaker: arguments.speaker == "none", ..CloudOptions::default() };
    let cloud = Cloud::new(&options, move |event| {
        let _ = events_in.try_send(event);
    })
    .map_err(said)?;
    listen(&cloud, &remotes)?;
    choose(
        &cloud,
        DeviceKind::Speaker,
        Some(&arguments.speaker).filter(|s| !["none", "default"].contains(&s.as_str())),
    )?;
    start_sending(&cloud, arguments)?;
    cloud.set_prior_remote_video_stream_type(watched(arguments, 0)).map_err(said)?;
    cloud.set_default_stream_recv_mode(arguments.subscribe, arguments.subscribe).map_err(said)?;
    let with_roles = params.role == Role::Audience || arguments.switch_role_at.is_some();
    cloud.enter_room(&params, if with_roles { AppScene::Live } else { AppScene::VideoCall }).map_err(said)?;

    let mut stay = Stay::default();
    live(&cloud, arguments, &events, &remotes, start, &stop, &mut stay);
    let _ = cloud.exit_room();
    let left_by = Instant::now() + Duration::from_secs(2);
    while let Ok(event) = events.recv_timeout(left_by.saturating_duration_since(Instant::now())) {
        if matches!(event, Event::ExitRoom(_)) {
            break;
        }
    }
    cloud.close();
    finish(arguments, &remotes, &stay)
}

fn entry(arguments: &Arguments) -> Result<EnterParams, String> {
    let role = if arguments.role == "audience" { Role::Audience } else { Role::Anchor };
    let token = match (&arguments.token, &arguments.user_sig) {
        (Some(token), _) => token.clone(),
        (None, Some(_)) => String::new(),
        (None, None) if arguments.dev => token::development(&arguments.room, &arguments.user),
        (None, None) => return Err("one of --token, --user-sig and --dev is needed".to_owned()),
    };
    let allow_plain = arguments.allow_plain;
    let params = EnterParams { role, allow_plain, ..EnterParams::with_token(&arguments.url, &token) };
    let Some(user_sig) = &arguments.user_sig else { return Ok(params) };
    let room = match arguments.room_id {
        Some(number) => RoomId::number(number),
        None => RoomId::text(&arguments.room),
    };
    Ok(EnterParams {
        user_sig: user_sig.clone(),
        sdk_app_id: arguments.sdk_app_id,
        user_id: arguments.user.clone(),
        room: Some(room.map_err(said)?),
        private_map_key: arguments.private_map_key.clone().unwrap_or_default(),
        ..params
    })
}

fn listen(cloud: &Cloud, remotes: &Remotes) -> Result<(), String> {
    let heard = remotes.clone();
    cloud
        .set_remote_audio_tap(Some(Arc::new(move |played| {
            let mut remotes = heard.lock().unwrap_or_else(PoisonError::into_inner);
            remotes.entry(played.user.to_string()).or_default().audio.take(played.samples, played.concealed);
        })))
        .map_err(said)
}

/// Selects a device that was given by id or name.
fn choose(cloud: &Cloud, kind: DeviceKind, wanted: Option<&String>) -> Result<(), String> {
    let Some(wanted) = wanted else { return Ok(()) };
    let devices = cloud.devices(kind).map_err(said)?;
    let Some(found) = devices.iter().find(|d| d.id == *wanted || d.name == *wanted) else {
        let there: Vec<String> = devices.iter().map(|d| format!("{} ({:?})", d.id, d.name)).collect();
        let there = if there.is_empty() {
            "there is none at all".to_owned()
        } else {
            format!("there are: {}", there.join(", "))
        };
        let kind = format!("{kind:?}").to_lowercase();
        return Err(format!("no {kind} {wanted:?}; {there}"));
    };
    cloud.set_current_device(kind, &found.id).map_err(said)
}

/// `mic`, `camera`, or both.
fn devices_to_send(publish: &str) -> Option<(bool, bool)> {
    let parts: Vec<&str> = publish.split(',').collect();
    let known = parts.iter().all(|p| ["mic", "camera"].contains(p));
    known.then(|| (parts.contains(&"mic"), parts.contains(&"camera")))
}

fn start_devices(cloud: &Cloud, arguments: &Arguments, (microphone, camera): (bool, bool)) -> Result<(), String> {
    choose(cloud, DeviceKind::Microphone, arguments.mic.as_ref())?;
    choose(cloud, DeviceKind::Camera, arguments.camera.as_ref())?;
    if camera {
        cloud.start_local_preview().map_err(said)?;
    }
    if microphone { cloud.start_local_audio(AudioQuality::Default).map_err(said) } else { Ok(()) }
}

fn start_sending(cloud: &Cloud, arguments: &Arguments) -> Result<(), String> {
    if arguments.publish == "none" || (arguments.role == "audience" && arguments.switch_role_at.is_none()) {
        return Ok(());
    }
    let raw = arguments.publish.ends_with(".yuv");
    if raw && arguments.size.is_none() {
        return Err("a .yuv file does not say its size: give --size WIDTHxHEIGHT and --fps".to_owned());
    }
    let (width, height) = parse_size(arguments.size.as_deref().unwrap_or("640x360"))?;
    let encoder =
        VideoEncoderParam { width, height, fps: arguments.fps, bitrate_kbps: arguments.kbps, min_bitrate_kbps: 0 };
    cloud.set_video_encoder_param(StreamType::Big, encoder).map_err(said)?;
    if let Some(size) = &arguments.small_size {
        let (width, height) = parse_size(size)?;
        let small = VideoEncoderParam { width, height, bitrate_kbps: arguments.small_kbps, ..encoder };
        cloud.enable_small_video_stream(Some(small)).map_err(said)?;
    }
    if let Some(devices) = devices_to_send(&arguments.publish) {
        return start_devices(cloud, arguments, devices);
    }
    if arguments.publish == "pattern" {
        cloud.start_pattern_source(StreamType::Big, PatternSource::default()).map_err(said)?;
    } else {
        let mut source = FileSource::new(&arguments.publish);
        if raw {
            (source.width, source.height, source.fps) = (width, height, arguments.fps);
        }
        cloud.start_file_source(StreamType::Big, &source).map_err(said)?;
    }
    cloud.start_local_audio(AudioQuality::Default).map_err(said)
}

/// The stream that is watched after so many changes.
fn watched(arguments: &Arguments, changes: usize) -> StreamType {
    if (arguments.watch == "small") == changes.is_multiple_of(2) { StreamType::Small } else { StreamType::Big }
}

fn parse_size(size: &str) -> Result<(u32, u32), String> {
    size.split_once('x')
        .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)))
        .ok_or_else(|| format!("a size must be WIDTHxHEIGHT, got {size:?}"))
}

/// The stay itself: events, messages, mutes, the progress line.
fn live(
    cloud: &Cloud,
    arguments: &Arguments,
    events: &Receiver<Event>,
    remotes: &Remotes,
    start: Instant,
    stop: &AtomicBool,
    stay: &mut Stay,
) {
    let mut end = start + Duration::from_secs(u64::from(arguments.seconds));
    let mut next_message = start;
    let mut mute = arguments.mute_at.map(|at| (start + Duration::from_secs(u64::from(at)), true));
    let mut switch_role = arguments.switch_role_at;
    let mut line = Instant::now();
    let mut changes = 0;
    while Instant::now() < end && stay.ended.is_none() && !stop.load(Ordering::Acquire) {
        match events.recv_timeout(Duration::from_millis(20)) {
            Ok(event) => {
                if let Event::EnterRoom(ms) = event
                    && ms > 0
                {
                    end = Instant::now() + Duration::from_secs(u64::from(arguments.seconds));
                }
                take(cloud, arguments, remotes, start, stay, &event);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let now = Instant::now();
        if let Some((at, on)) = mute
            && now >= at
            && stay.join_ms.is_some()
        {
            let _ = cloud.mute_local_audio(on);
            let _ = cloud.mute_local_video(StreamType::Big, on);
            mute = on.then(|| (now + Duration::from_secs(1), false));
        }
        let stayed = end.checked_sub(Duration::from_secs(u64::from(arguments.seconds))).map(|from| now - from);
        if let (Some(at), Some(stayed)) = (switch_role, stayed)
            && stay.join_ms.is_some()
            && stayed >= Duration::from_secs(u64::from(at))
        {
            switch_role = None;
            let other = if arguments.role == "audience" { Role::Anchor } else { Role::Audience };
            if let Err(error) = cloud.switch_role(other, "") {
                stay.ended = Some(error.to_string());
            }
        }
        if let (Some(at), Some(stayed)) = (arguments.switch_at.get(changes), stayed)
            && stay.join_ms.is_some()
            && stayed >= Duration::from_secs(u64::from(*at))
        {
            changes += 1;
            let _ = cloud.set_prior_remote_video_stream_type(watched(arguments, changes));
        }
        // Also while the connection is broken: reliable ones wait in the library.
        if stay.join_ms.is_some() && arguments.publish != "none" && now >= next_message {
            next_message = now + MESSAGE_EVERY;
            for (cmd_id, reliable) in [(1, true), (2, false)] {
                match cloud.send_custom_cmd_msg(cmd_id, b"hello from trtc join", reliable, reliable) {
                    Ok(()) => stay.sent += 1,
                    Err(_) => stay.refused += 1,
                }
            }
        }
        if stay.lost_since.is_some_and(|since| now > since + LOST_LIMIT) {
            stay.ended = Some("the connection to the server was lost".to_owned());
        }
        if arguments.json && now > line + FRAMES_EVERY {
            line = now;
            shown(remotes, stay);
        }
        if !arguments.json && std::io::stderr().is_terminal() && now > line + Duration::from_millis(500) {
            line = now;
            progress(remotes, stay, start);
        }
    }
}

fn take(cloud: &Cloud, arguments: &Arguments, remotes: &Remotes, start: Instant, stay: &mut Stay, event: &Event) {
    match event {
        Event::EnterRoom(ms) if *ms > 0 => stay.join_ms = Some(*ms),
        Event::EnterRoom(code) => stay.ended = Some(format!("entering the room failed with code {code}")),
        Event::ExitRoom(reason) => stay.ended = Some(format!("the server ended the call (reason {reason})")),
        Event::UserVideoAvailable(user, true) if arguments.subscribe => watch(cloud, remotes, user, start),
        Event::FirstVideoFrame { user: Some(_), .. } => {
            stay.first_frame_ms.get_or_insert(start.elapsed().as_millis() as u64);
        }
        Event::RecvCustomCmdMsg { .. } => stay.received += 1,
        Event::MissCustomCmdMsg { missed, .. } => stay.missed += i64::from(*missed),
        Event::ConnectionLost => stay.lost_since = Some(Instant::now()),
        Event::ConnectionRecovery => stay.lost_since = None,
        _ => {}
    }
    if arguments.json {
        if let Some(line) = as_json(event) {
            say(&line);
        }
    } else if let Event::Error { message, .. } | Event::Warning { message, .. } = event {
        eprintln!("\r{message}");
    }
}

fn watch(cloud: &Cloud, remotes: &Remotes, user: &UserId, start: Instant) {
    let (seen, name) = (remotes.clone(), user.to_string());
    let callback = Arc::new(move |shown: &trtc_sdk::RenderFrame| {
        let mut remotes = seen.lock().unwrap_or_else(PoisonError::into_inner);
        remotes
            .entry(name.clone())
            .or_default()
            .video
            .take(shown.frame.clone(), start.elapsed().as_secs_f64() * 1000.0);
    });
    let _ = cloud.set_remote_video_callback(user, StreamType::Big, Some(callback));
    let _ = cloud.start_remote_view(user, StreamType::Big);
}

fn as_json(event: &Event) -> Option<Value> {
    let user = |u: &UserId| u.as_str().to_owned();
    Some(match event {
        Event::Error { code, message } => json!({"event": "error", "code": code.0, "message": message}),
        Event::Warning { code, message } => json!({"event": "warning", "code": code.0, "message": message}),
        Event::EnterRoom(ms) if *ms > 0 => json!({"event": "joined", "ms": ms}),
        Event::EnterRoom(code) => json!({"event": "join_failed", "code": code}),
        Event::ExitRoom(reason) => json!({"event": "left", "reason": reason}),
        Event::SwitchRole { code, message } => json!({"event": "switch_role", "code": code.0, "message": message}),
        Event::RemoteUserEnterRoom(u) => json!({"event": "user_entered", "user": user(u)}),
        Event::RemoteUserLeaveRoom(u, reason) => {
            json!({"event": "user_left", "user": user(u), "reason": *reason as i32})
        }
        Event::UserVideoAvailable(u, on) => json!({"event": "user_video_available", "user": user(u), "available": on}),
        Event::UserSubStreamAvailable(u, on) => {
            json!({"event": "user_sub_stream_available", "user": user(u), "available": on})
        }
        Event::UserAudioAvailable(u, on) => json!({"event": "user_audio_available", "user": user(u), "available": on}),
        Event::SendFirstLocalVideoFrame(stream) => {
            json!({"event": "send_first_local_video_frame", "stream": *stream as i32})
        }
        Event::FirstVideoFrame { user: Some(u), stream, width, height } => {
            json!({"event": "first_video_frame", "user": user(u), "stream": *stream as i32, "width": width, "height": height})
        }
        Event::UserVideoSizeChanged { user: u, stream, width, height } => {
            json!({"event": "user_video_size_changed", "user": user(u), "stream": *stream as i32, "width": width, "height": height})
        }
        Event::FirstAudioFrame(u) => json!({"event": "first_audio_frame", "user": user(u)}),
        Event::MicDidReady => json!({"event": "mic_ready"}),
        Event::CameraDidReady => json!({"event": "camera_ready"}),
        Event::DeviceChange { id, kind, state } => {
            json!({"event": "device_change", "device": id, "type": *kind as i32, "state": *state as i32})
        }
        Event::ConnectionLost => json!({"event": "connection_lost"}),
        Event::TryToReconnect => json!({"event": "try_to_reconnect"}),
        Event::ConnectionRecovery => json!({"event": "connection_recovery"}),
        Event::RecvCustomCmdMsg { user: u, cmd_id, seq, data } => {
            json!({"event": "message", "user": user(u), "cmd_id": cmd_id, "seq": seq, "bytes": data.len()})
        }
        Event::MissCustomCmdMsg { user: u, cmd_id, missed, .. } => {
            json!({"event": "messages_missed", "user": user(u), "cmd_id": cmd_id, "missed": missed})
        }
        Event::NetworkQuality { local, remote } => json!({"event": "network_quality", "local": *local as i32,
            "remote": remote.iter().map(|(u, quality)| (user(u), json!(*quality as i32))).collect::<serde_json::Map<_, _>>()}),
        Event::Statistics(s) => json!({"event": "statistics", "rtt_ms": s.rtt_ms, "up_loss_percent": s.up_loss_percent,
            "down_loss_percent": s.down_loss_percent, "sent_bytes": s.sent_bytes, "received_bytes": s.received_bytes,
            "local": s.local.iter().map(|l| json!({"stream": l.stream as i32, "width": l.width, "fps": l.frame_rate, "kbps": l.video_bitrate_kbps}))
                .collect::<Vec<_>>()}),
        _ => return None,
    })
}

/// How far each picture has come, when it moved.
fn shown(remotes: &Remotes, stay: &mut Stay) {
    let remotes = remotes.lock().unwrap_or_else(PoisonError::into_inner);
    for (user, remote) in remotes.iter() {
        let frames = remote.video.frames();
        if stay.told_frames.insert(user.clone(), frames) != Some(frames) {
            say(&json!({"event": "frames", "user": user, "frames": frames, "index": remote.video.newest_index()}));
        }
    }
}

fn progress(remotes: &Remotes, stay: &Stay, start: Instant) {
    let remotes = remotes.lock().unwrap_or_else(PoisonError::into_inner);
    let seen: Vec<String> = remotes
        .iter()
        .map(|(user, r)| format!("{user}: {} frames", r.video.summary()["frames"].as_u64().unwrap_or(0)))
        .collect();
    eprint!("\r{:4} s  {}  messages {}/{}   ", start.elapsed().as_secs(), seen.join(", "), stay.received, stay.sent);
}

fn finish(arguments: &Arguments, remotes: &Remotes, stay: &Stay) -> Result<(), String> {
    let remotes = remotes.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(dir) = &arguments.save {
        for (user, remote) in remotes.iter() {
            save(dir, user, remote)?;
        }
    }
    let figures: Vec<Value> = remotes
        .iter()
        .map(|(user, r)| json!({"user": user, "video": r.video.summary(), "audio": r.audio.summary()}))
        .collect();
    let summary = json!({"event": "summary", "remote": figures, "join_ms": stay.join_ms, "first_frame_ms": stay.first_frame_ms,
        "messages": {"sent": stay.sent, "refused": stay.refused, "received": stay.received, "missed": stay.missed}});
    if arguments.json {
        if stay.ended.is_none() {
            say(&summary);
        }
    } else {
        println!("\n{summary:#}");
    }
    stay.ended.clone().map_or(Ok(()), Err)
}

/// One PNG and one WAV file; the user's name is made safe for a file name.
fn save(dir: &Path, user: &str, remote: &Remote) -> Result<(), String> {
    let name: String =
        user.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect();
    let failed = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, &e))?;
    if let Some(frame) = &remote.video.last {
        let path = dir.join(format!("{name}.png"));
        write_png(&path, &frame.picture).map_err(|e| failed(&path, &e))?;
    }
    if !remote.audio.samples().is_empty() {
        let path = dir.join(format!("{name}.wav"));
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: RATE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::create(&path, spec).map_err(|e| failed(&path, &e))?;
        for sample in remote.audio.samples() {
            wav.write_sample(*sample).map_err(|e| failed(&path, &e))?;
        }
        wav.finalize().map_err(|e| failed(&path, &e))?;
    }
    Ok(())
}

fn write_png(path: &Path, picture: &I420) -> Result<(), Box<dyn std::error::Error>> {
    let file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut encoder = png::Encoder::new(file, u32::try_from(picture.width())?, u32::try_from(picture.height())?);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    Ok(encoder.write_header()?.write_image_data(&convert::to_rgba(picture))?)
}

fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn said(error: trtc_sdk::types::Error) -> String {
    error.to_string()
}
