//! Log lines on standard error. `TRTC_LOG` is `off`, `error`, `warn`, `info`, `debug` or `trace` and goes before everything else;
//! the default is `warn`. A place in the code that has much to say is cut to [`LINES_A_SECOND`], and what was cut is counted, so
//! that no client fills a disk.
use log::{LevelFilter, Log, Metadata, Record};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

/// Lines of one place.
const LINES_A_SECOND: u32 = 20;

static START: OnceLock<Instant> = OnceLock::new();
static LOGGER: Stderr = Stderr { json: AtomicBool::new(false), places: Mutex::new(BTreeMap::new()) };

/// Installs the logger; the first call wins.
pub fn install() {
    START.get_or_init(Instant::now);
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(wanted().unwrap_or(LevelFilter::Warn));
    }
}

/// One JSON object a line, or text; and the level unless the environment has one.
pub fn set(json: bool, level: LevelFilter) {
    LOGGER.json.store(json, Ordering::Relaxed);
    log::set_max_level(wanted().unwrap_or(level));
}

fn wanted() -> Option<LevelFilter> {
    std::env::var("TRTC_LOG").ok()?.parse().ok()
}

struct Stderr {
    json: AtomicBool,
    /// Lines of this second by place: its target and line.
    places: Mutex<BTreeMap<(String, u32), Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    since: Instant,
    lines: u32,
}

/// A JSON line.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    target: &'a str,
    message: String,
    #[serde(skip_serializing_if = "is_zero")]
    suppressed: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Stderr {
    /// How many lines were cut since the last one of this place; `None` for a line to be cut.
    fn admit(&self, target: &str, line: u32, now: Instant) -> Option<u32> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry((target.to_owned(), line)).or_insert(Place { since: now, lines: 0 });
        let mut cut = 0;
        if now.saturating_duration_since(place.since).as_secs() >= 1 {
            cut = place.lines.saturating_sub(LINES_A_SECOND);
            *place = Place { since: now, lines: 0 };
        }
        place.lines = place.lines.saturating_add(1);
        (place.lines <= LINES_A_SECOND).then_some(cut)
    }
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Other people's crates only with their errors: their debug output is about themselves.
        metadata.target().starts_with("trtc") || metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (target, level) = (record.target(), record.level());
        let suppressed = match level {
            // Asked for, by somebody who wants them all.
            log::Level::Debug | log::Level::Trace => Some(0),
            _ => self.admit(target, record.line().unwrap_or(0), Instant::now()),
        };
        let Some(suppressed) = suppressed else { return };
        let message = record.args().to_string();
        let line = if self.json.load(Ordering::Relaxed) {
            let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
            let line = Line { time, level: level.as_str(), target, message, suppressed };
            serde_json::to_string(&line).unwrap_or_default()
        } else {
            let seconds = START.get().map_or(0.0, |start| start.elapsed().as_secs_f64());
            let cut = if suppressed > 0 { format!(" ({suppressed} more were not shown)") } else { String::new() };
            // A line is a line, whatever a client put into it.
            let message = message.replace(['\n', '\r'], " ");
            format!("{seconds:9.3} {level:5} {target}: {message}{cut}")
        };
        // A closed standard error is no reason to stop.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_place_with_much_to_say_is_cut_and_says_so() {
        let (logger, start) = (Stderr { json: AtomicBool::new(false), places: Mutex::default() }, Instant::now());
        let shown = (0..100).filter(|_| logger.admit("a", 1, start).is_some()).count();
        assert_eq!(shown, LINES_A_SECOND as usize);
        assert_eq!(logger.admit("b", 1, start), Some(0), "other places are free");
        assert_eq!(logger.admit("a", 1, start + Duration::from_secs(1)), Some(80));
    }
}
