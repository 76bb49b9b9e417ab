//! Joins a room with the built-in pattern and prints what it sees, hears and reads.
//!
//! `cargo run --example hello_room -- SERVER_URL ACCESS_TOKEN [SECONDS]`; exit code 0 when somebody was seen and heard.
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use trtc::types::{AppScene, Error, StreamType};
use trtc::{Cloud, CloudOptions, EnterParams, Event, PatternSource, PlayedAudio, RenderFrame};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, url, token, rest @ ..] = &args[..] else {
        eprintln!("usage: hello_room SERVER_URL ACCESS_TOKEN [SECONDS]");
        return ExitCode::from(2);
    };
    let seconds = rest.first().and_then(|s| s.parse().ok()).unwrap_or(5);
    match run(url, token, Duration::from_secs(seconds)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str, token: &str, length: Duration) -> Result<bool, Error> {
    let (tell, events) = channel();
    let cloud = Cloud::new(&CloudOptions::default(), move |event| {
        let _ = tell.send(event);
    })?;
    let pictures = Arc::new(AtomicU64::new(0));
    let blocks = Arc::new(AtomicU64::new(0));
    let heard = blocks.clone();
    cloud.set_remote_audio_tap(Some(Arc::new(move |sound: PlayedAudio<'_>| {
        if sound.samples.iter().any(|s| s.unsigned_abs() > 1000) {
            heard.fetch_add(1, Ordering::Relaxed);
        }
    })))?;
    cloud.start_pattern_source(StreamType::Big, PatternSource::default())?;
    cloud.enter_room(&EnterParams::with_token(url, token), AppScene::VideoCall)?;
    let end = Instant::now() + length;
    while let Ok(event) = events.recv_timeout(end.saturating_duration_since(Instant::now())) {
        match event {
            Event::EnterRoom(result) if result < 0 => return Ok(false),
            Event::UserVideoAvailable(user, true) => {
                let seen = pictures.clone();
                let count = move |_: &RenderFrame| {
                    seen.fetch_add(1, Ordering::Relaxed);
                };
                cloud.set_remote_video_callback(&user, StreamType::Big, Some(Arc::new(count)))?;
                cloud.start_remote_view(&user, StreamType::Big)?;
            }
            Event::RemoteUserEnterRoom(user) => {
                println!("{user} is here");
                cloud.send_custom_cmd_msg(1, format!("hello {user}").as_bytes(), true, true)?;
            }
            Event::RecvCustomCmdMsg { user, data, .. } => println!("{user} says: {}", String::from_utf8_lossy(&data)),
            other => println!("{other:?}"),
        }
    }
    cloud.exit_room()?;
    let (pictures, blocks) = (pictures.load(Ordering::Relaxed), blocks.load(Ordering::Relaxed));
    println!("pictures {pictures}, sound {} ms", blocks * 10);
    Ok(pictures > 0 && blocks > 0)
}
