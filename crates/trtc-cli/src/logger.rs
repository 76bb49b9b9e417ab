//! Log lines on standard error. `TRTC_LOG` is `off`, `error`, `warn`, `info`, `debug` or `trace`; the default is `warn`.
use log::{LevelFilter, Log, Metadata, Record};
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Instant;

static START: OnceLock<Instant> = OnceLock::new();
static LOGGER: Stderr = Stderr;

/// Installs the logger; the first call wins.
pub fn install() {
    let level = std::env::var("TRTC_LOG").ok().and_then(|v| v.parse().ok()).unwrap_or(LevelFilter::Warn);
    START.get_or_init(Instant::now);
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level);
    }
}

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Other people's crates only with their errors: their debug output is about themselves.
        metadata.target().starts_with("trtc") || metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let seconds = START.get().map_or(0.0, |start| start.elapsed().as_secs_f64());
            // A closed standard error is no reason to stop.
            let _ = writeln!(
                std::io::stderr().lock(),
                "{seconds:9.3} {:5} {}: {}",
                record.level(),
                record.target(),
                record.args()
            );
        }
    }

    fn flush(&self) {}
}
