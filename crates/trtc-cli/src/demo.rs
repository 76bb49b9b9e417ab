//! `trtc demo`: a server and two members in three processes, over real sockets, judged by what was seen and heard.
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Options of `trtc demo`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Send this clip (.h264, .y4m, .yuv, .wav) instead of the built-in pattern.
    #[arg(long)]
    input: Option<PathBuf>,
    /// Picture size that is sent; a raw .yuv file needs it: WIDTHxHEIGHT.
    #[arg(long)]
    size: Option<String>,
    /// Frames per second that are sent, and of a raw .yuv file.
    #[arg(long)]
    fps: Option<u32>,
    /// Length of the call in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..=3600))]
    seconds: u32,
    /// Where snapshots and recordings go.
    #[arg(long, default_value = "demo-output")]
    save: PathBuf,
}

/// A child that never outlives the demo.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the demo; success only if both members saw, heard and read each other.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    call(arguments).map_err(|reason| format!("demo: failed: {reason}"))?;
    println!("demo: passed");
    Ok(())
}

fn call(arguments: &Arguments) -> Result<(), String> {
    let me = std::env::current_exe().map_err(|e| format!("own program not found: {e}"))?;
    let (mut server, url) = start_server(&me)?;
    println!("demo: server is up at {url} (pid {})", server.0.id());
    let members: Vec<_> =
        ["alice", "bob"].iter().map(|user| start_member(&me, arguments, &url, user)).collect::<Result<_, _>>()?;
    println!("demo: alice and bob call each other for {} s", arguments.seconds);
    let deadline = Instant::now() + Duration::from_secs(u64::from(arguments.seconds) + 20);
    let mut summaries = Vec::new();
    for (user, mut child, reader) in members {
        loop {
            if let Ok(Some(status)) = server.0.try_wait() {
                return Err(format!("the server process ended in mid-call ({status})"));
            }
            if reader.is_finished() {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!("{user} did not finish in time"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        let last = reader.join().map_err(|_| format!("{user}'s output could not be read"))?;
        let status = child.0.wait().map_err(|e| e.to_string())?;
        let summary = last.map_err(|why| format!("{user} {why} ({status})"))?;
        summaries.push((user, summary));
    }
    let mut problems = Vec::new();
    for (user, summary) in &summaries {
        problems.extend(judge(user, summary, arguments));
    }
    println!("demo: snapshots and recordings are in {}", arguments.save.display());
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

fn start_server(me: &Path) -> Result<(Reaped, String), String> {
    let mut child = Command::new(me)
        .args(["serve", "--dev", "--port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("the server did not start: {e}"))?;
    let out = child.stdout.take().ok_or("the server has no output")?;
    let server = Reaped(child);
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).map_err(|e| format!("the server's ready line: {e}"))?;
    let ready: Value =
        serde_json::from_str(&line).map_err(|_| format!("the server gave no ready line but {line:?}"))?;
    let url = ready["ws"].as_str().ok_or("the ready line has no ws address")?.to_owned();
    Ok((server, url))
}

/// Gives the summary, or why there is none.
type Reader = thread::JoinHandle<Result<Value, String>>;

fn start_member(
    me: &Path,
    arguments: &Arguments,
    url: &str,
    user: &'static str,
) -> Result<(&'static str, Reaped, Reader), String> {
    let mut join = Command::new(me);
    join.args(["join", "--dev", "--url", url, "--room", "demo", "--user", user, "--subscribe", "--json"])
        .args(["--seconds", &arguments.seconds.to_string()])
        .arg("--publish")
        .arg(arguments.input.as_deref().unwrap_or(Path::new("pattern")))
        .arg("--save")
        .arg(arguments.save.join(user));
    if let Some(size) = &arguments.size {
        join.args(["--size", size]);
    }
    if let Some(fps) = arguments.fps {
        join.args(["--fps", &fps.to_string()]);
    }
    let mut child = join.stdout(Stdio::piped()).spawn().map_err(|e| format!("{user} did not start: {e}"))?;
    let out = child.stdout.take().ok_or("a member has no output")?;
    let reader = thread::spawn(move || {
        let mut end = Err("ended early".to_owned());
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            if event["event"] == "summary" {
                end = Ok(event);
            } else if event["event"] == "connection_lost" {
                println!("demo: {user} lost the connection to the server");
                end = Err("lost the connection to the server".to_owned());
            }
        }
        end
    });
    Ok((user, Reaped(child), reader))
}

/// What a member saw, heard and read; what was not measured (a clip has no time code, say) is left out.
fn experience(summary: &Value, remote: &Value) -> String {
    let (video, audio, messages) = (&remote["video"], &remote["audio"], &summary["messages"]);
    let mut text = format!("met {}", remote["user"].as_str().unwrap_or("somebody"));
    let mut add = |before: &str, value: &Value, after: &str| {
        if !value.is_null() {
            text.push_str(&format!("{before}{value}{after}"));
        }
    };
    add("; saw ", &video["width"], "");
    add("x", &video["height"], "");
    add(", ", &video["frames"], " frames");
    add(" at ", &video["fps"], " per second");
    add(", frozen for ", &video["freeze_ratio"], " of the time");
    add(", PSNR ", &video["psnr_db"], " dB");
    add(", latency p50 ", &video["latency_ms"]["p50"], " ms");
    add("; heard ", &audio["seconds"], " s");
    add(", tone ", &audio["tone_hz"], " Hz");
    add(", longest gap ", &audio["longest_gap_ms"], " ms");
    add("; read ", &messages["received"], " messages");
    add(", sent ", &messages["sent"], "");
    add("; joined in ", &summary["join_ms"], " ms");
    add(", first frame after ", &summary["first_frame_ms"], " ms");
    text
}

/// Prints what a member experienced and returns what was wrong with it.
fn judge(user: &str, summary: &Value, arguments: &Arguments) -> Vec<String> {
    let Some(remote) = summary["remote"].as_array().and_then(|r| r.first()) else {
        return vec![format!("{user} met nobody")];
    };
    let (video, audio, messages) = (&remote["video"], &remote["audio"], &summary["messages"]);
    println!("demo: {user} {}", experience(summary, remote));
    let mut problems = Vec::new();
    let mut want = |ok: bool, what: String| {
        if !ok {
            problems.push(format!("{user}: {what}"));
        }
    };
    let file = arguments.input.as_ref().map(|p| p.extension().unwrap_or_default().to_string_lossy().to_lowercase());
    if file.as_deref() != Some("wav") {
        want(
            video["frames"].as_u64().unwrap_or(0) >= u64::from(arguments.seconds) * 5,
            format!("only {} frames seen", video["frames"]),
        );
    }
    if file.is_none() {
        want(video["psnr_db"].as_f64().unwrap_or(0.0) >= 28.0, format!("PSNR {} dB is under 28", video["psnr_db"]));
        want(audio["tone_hz"].as_f64().unwrap_or(0.0) > 0.0, "no tone heard".into());
        want(
            audio["longest_gap_ms"].as_f64().unwrap_or(1e9) <= 60.0,
            format!("audio gap of {} ms", audio["longest_gap_ms"]),
        );
    }
    want(messages["received"].as_u64().unwrap_or(0) > 0, "no message received".into());
    problems
}
