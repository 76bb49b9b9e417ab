//! Log lines on standard error. `TRTC_LOG` is `off`, `error`, `warn`, `info`, `debug` or `trace` and goes before everything else;
//! the default is `warn`. A line begins with whom it is about, up to the first `: `. What one of them makes a place in the code
//! say is cut to [`LINES_A_SECOND`], so that no client fills a disk, nor hides what is said about others.
use log::{LevelFilter, Log, Metadata, Record};
use serde::Serialize;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Lines of one place about one client.
const LINES_A_SECOND: u32 = 5;
/// Lines of all: also the most that a second is remembered of.
const ALL_A_SECOND: usize = 500;

static START: OnceLock<Instant> = OnceLock::new();
static LOGGER: Stderr = Stderr { json: AtomicBool::new(false), limit: Mutex::new(None) };

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
    limit: Mutex<Option<Limit>>,
}

/// What was said this second.
struct Limit {
    since: Instant,
    shown: usize,
    /// Lines by place and subject. Keys are hashes: a name that collides with another one cannot be found.
    lines: HashMap<u64, u32>,
    hasher: RandomState,
    /// Lines cut since the last one that was shown.
    cut: u64,
}

/// A JSON line.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    target: &'a str,
    message: String,
    #[serde(skip_serializing_if = "is_zero")]
    suppressed: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Limit {
    fn new(now: Instant) -> Self {
        Self { since: now, shown: 0, lines: HashMap::new(), hasher: RandomState::new(), cut: 0 }
    }

    /// How many lines were cut since the last one shown; `None` for a line to be cut.
    fn admit(&mut self, place: (&str, u32), message: &str, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            self.since = now;
            self.shown = 0;
            self.lines.clear();
        }
        // A name in quotes may contain what ends a subject.
        let end = message.split_once("\": ").or_else(|| message.split_once(": "));
        let subject = end.map_or("", |(subject, _)| subject);
        let key = self.hasher.hash_one((place, subject));
        let said = self.lines.get(&key).copied().unwrap_or(0);
        if said >= LINES_A_SECOND || self.shown >= ALL_A_SECOND {
            self.cut += 1;
            return None;
        }
        self.lines.insert(key, said + 1);
        self.shown += 1;
        Some(std::mem::take(&mut self.cut))
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
        let (target, level, now) = (record.target(), record.level(), Instant::now());
        let message = record.args().to_string();
        let suppressed = match level {
            // Asked for, by somebody who wants them all.
            log::Level::Debug | log::Level::Trace => Some(0),
            _ => {
                let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
                let limit = limit.get_or_insert_with(|| Limit::new(now));
                limit.admit((target, record.line().unwrap_or(0)), &message, now)
            }
        };
        let Some(suppressed) = suppressed else { return };
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

    #[test]
    fn what_one_client_causes_is_cut_and_says_so() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let mut shown = |place, message: &str| limit.admit(place, message, start);
        let flood = (0..1000).filter(|n| shown(("a", 1), &format!("\"mallory\": nonsense {n}")).is_some()).count();
        assert_eq!(flood, LINES_A_SECOND as usize);
        assert_eq!(shown(("a", 1), "\"alice\": nonsense"), Some(995), "others are heard");
        assert_eq!(shown(("a", 2), "\"mallory\": leaves"), Some(0), "and so is what else there is to say of him");
        assert_eq!(shown(("a", 1), "\"mallory\": nonsense"), None);
        let later = start + Duration::from_secs(1);
        assert_eq!(limit.admit(("a", 1), "\"mallory\": nonsense", later), Some(1));
    }

    #[test]
    fn a_colon_in_a_name_hides_nobody() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let mut shown = |who, n| limit.admit(("a", 1), &format!("room \"a: b\" {who:?}: {n}"), start).is_some();
        assert_eq!((0..1000).filter(|n| shown("bob", *n)).count(), LINES_A_SECOND as usize);
        assert!(shown("carol", 0));
    }

    #[test]
    fn many_names_are_bounded_too() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let shown =
            (0..100_000).filter(|n| limit.admit(("a", 1), &format!("user {n}: joins"), start).is_some()).count();
        assert_eq!((shown, limit.lines.len(), limit.cut), (ALL_A_SECOND, ALL_A_SECOND, 100_000 - ALL_A_SECOND as u64));
    }
}
