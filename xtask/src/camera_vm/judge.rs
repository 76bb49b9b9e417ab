//! What the guest said, and whether that is good.
use crate::run::Outcome;
use base64::Engine as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The bars of vivid's test picture, 75 % of full: white, yellow, cyan, green, magenta, red, blue, black.
const BARS: [[i64; 3]; 8] =
    [[191, 191, 191], [191, 191, 0], [0, 191, 191], [0, 191, 0], [191, 0, 191], [191, 0, 0], [0, 0, 191], [0, 0, 0]];
/// How far a coded picture may be from them.
const TOLERANCE: i64 = 24;

/// The serial line, taken apart.
#[derive(Default)]
struct Said {
    /// JSON lines by the file they were in; "" before the first.
    files: BTreeMap<String, Vec<Value>>,
    /// PNG files of the watching member, in base64, by their path.
    pictures: BTreeMap<String, String>,
}

impl Said {
    fn read(said: &str) -> Self {
        let (mut all, mut file, mut picture) = (Self::default(), String::new(), None::<String>);
        for line in said.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("file ") {
                name.clone_into(&mut file);
            } else if let Some(path) = line.strip_prefix("picture ") {
                picture = (path != "end").then(|| path.to_owned());
            } else if let Some(path) = &picture {
                all.pictures.entry(path.clone()).or_default().push_str(line);
            } else if let Ok(value) = serde_json::from_str(line) {
                all.files.entry(file.clone()).or_default().push(value);
            }
        }
        all
    }

    fn of(&self, file: &str, event: &str) -> Vec<&Value> {
        self.files.get(file).into_iter().flatten().filter(|l| l["event"] == event).collect()
    }
}

/// Pictures came in every format with the test picture's colours, and reached another member of a room.
pub(super) fn judge(text: &str, work: &Path) -> Outcome {
    let said = Said::read(text);
    let mut problems = Vec::new();
    let mut need = |good: bool, what: &str| {
        println!("{} {what}", if good { "ok  " } else { "FAIL" });
        if !good {
            problems.push(what.to_owned());
        }
    };
    formats(&said, &mut need);
    need(said.of("script", "missing").is_empty(), "nothing was waited for in vain");
    by_the_command_line(&said, work, &mut need);
    by_the_c_door(&said, work, &mut need);
    if problems.is_empty() { Ok(()) } else { Err(format!("{}\n{}", problems.join("; "), without_pictures(text))) }
}

fn formats(said: &Said, need: &mut impl FnMut(bool, &str)) {
    let watched = said.of("", "watched");
    watched.iter().for_each(|w| println!("camera-vm: {w}"));
    need(said.of("", "end").len() == 1, "the program came to its end");
    need(
        said.of("", "camera").iter().any(|c| c["name"].as_str().is_some_and(|n| n.contains("vivid"))),
        "the camera is listed by its name",
    );
    let seen = |pixel: &str, library: &str| {
        watched.iter().any(|w| w["pixel"] == pixel && w["library"] == library && w["pictures"] == 8)
    };
    need(seen("Yuyv", "nokhwa") && seen("Nv12", "nokhwa"), "YUYV and NV12 came through nokhwa");
    need(seen("Yuyv", "v4l") && seen("Nv12", "v4l") && seen("I420", "v4l"), "what it refuses came through v4l");
    need(watched.iter().all(|w| w["pictures"] == 8), "no format gave no pictures");
    let whole = watched.iter().filter(|w| w["fps"][1] == 1).count();
    need(whole >= 3 && watched.len() >= whole + 3, "at whole and fractional rates");
    need(said.of("", "nearest").iter().any(|w| w["width"] == 640 && w["height"] == 360), "the nearest format is found");
    let stalled = said.of("", "stalled");
    need(stalled.len() == 2 && stalled.iter().all(|s| s["good"] == true), "a camera that stalls holds nobody up");
    need(!watched.is_empty() && watched.iter().all(|w| is_bars(&w["colours"])), "with the bars of the test picture");
}

fn by_the_command_line(said: &Said, work: &Path, need: &mut impl FnMut(bool, &str)) {
    need(!said.of("line", "camera_ready").is_empty(), "trtc join --publish camera: the camera is ready");
    received(said, work, "line", need);
    let warned = |code: i64| said.of("line", "warning").iter().filter(|w| w["code"] == code).count();
    need(warned(1116) == 1, "a camera that is pulled out is told once");
    let changed =
        |state: i64| said.of("line", "device_change").iter().filter(|c| c["type"] == 2 && c["state"] == state).count();
    need((changed(1), changed(0), changed(2)) == (1, 1, 2), "as gone, as plugged in, and as used again");
    need(
        said.of("late", "warning").iter().any(|w| w["code"] == 1114),
        "who comes second is told that the camera is occupied",
    );
    need(!said.of("line", "summary").is_empty(), "and the call went on when it came back");
}

fn by_the_c_door(said: &Said, work: &Path, need: &mut impl FnMut(bool, &str)) {
    let listed = said.of("door", "device");
    let has_sizes = |d: &&Value| d["properties"]["SupportedResolution"].as_array().is_some_and(|s| s.len() > 2);
    let camera = listed.iter().find(|d| d["type"] == 2 && has_sizes(d));
    need(
        camera.is_some_and(|d| d["name"].as_str().is_some_and(|n| n.contains("vivid"))),
        "trtc_device_*: the camera, its sizes",
    );
    let current = said.of("door", "current").into_iter().find(|c| c["type"] == 2);
    need(current.is_some() && current.map(|c| &c["id"]) == camera.map(|c| &c["id"]), "it is selected and in use");
    need(!said.of("door", "camera_ready").is_empty(), "trtc_cloud_start_local_preview: it is ready");
    need(
        said.of("door", "local").iter().any(|l| is_bars(&l["colours"])),
        "trtc_video_acquire: the local picture has the bars",
    );
    need(
        said.of("door", "warning").iter().any(|w| w["code"] == 1201),
        "trtc_cloud_start_local_audio: no microphone is told",
    );
    received(said, work, "door", need);
    need(said.of("door", "end").iter().any(|e| e["good"] == true), "every call was accepted");
}

/// The watching member saw this one's camera.
fn received(said: &Said, work: &Path, user: &str, need: &mut impl FnMut(bool, &str)) {
    let figures = said.of("eye", "summary").into_iter().flat_map(|s| s["remote"].as_array().into_iter().flatten());
    let figures = figures.filter(|r| r["user"] == user).map(|r| &r["video"]).next();
    println!("camera-vm: {user} at the other member: {}", figures.unwrap_or(&Value::Null));
    let frames = figures.and_then(|f| f["frames"].as_u64()).unwrap_or(0);
    need(frames >= 15, "its pictures arrive at another member");
    let picture = said.pictures.get(&format!("/seen/{user}.png")).ok_or("none was saved".to_owned());
    let colours = picture.and_then(|text| colours(text, &work.join(format!("{user}.png"))));
    match colours {
        Ok(colours) => {
            println!("camera-vm: colours {colours:?}");
            let near = |(a, b): (&[i64; 3], &[i64; 3])| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE);
            need(colours.iter().zip(&BARS).all(near), "with the bars of the test picture");
        }
        Err(why) => need(false, &format!("the picture at the other member: {why}")),
    }
}

/// Red, green and blue at eight places near the lower edge, below vivid's text; the picture is kept for people.
fn colours(base64: &str, keep: &Path) -> Outcome<[[i64; 3]; 8]> {
    let file = base64::engine::general_purpose::STANDARD.decode(base64).map_err(|e| e.to_string())?;
    std::fs::write(keep, &file).map_err(|e| e.to_string())?;
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().map_err(|e| e.to_string())?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("too large")?];
    let info = reader.next_frame(&mut pixels).map_err(|e| e.to_string())?;
    let (width, row) = (info.width as usize, info.height as usize * 15 / 16);
    Ok(std::array::from_fn(|bar| {
        let at = (row * width + (2 * bar + 1) * width / 16) * info.color_type.samples();
        std::array::from_fn(|channel| i64::from(pixels[at + channel]))
    }))
}

/// Eight bars in Y, U and V, clearly different from each other.
fn is_bars(colours: &Value) -> bool {
    let colours: Vec<[i64; 3]> =
        colours.as_array().into_iter().flatten().map(|c| [0, 1, 2].map(|i| c[i].as_i64().unwrap_or(0))).collect();
    let far = |a: &[i64; 3], b: &[i64; 3]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<i64>() > 40;
    colours.len() == 8 && (0..8).all(|i| (0..i).all(|j| far(&colours[i], &colours[j])))
}

fn without_pictures(text: &str) -> String {
    text.lines()
        .filter(|l| l.len() < 2_000 && (l.trim_start().starts_with('{') || l.contains(' ')))
        .collect::<Vec<_>>()
        .join("\n")
}
