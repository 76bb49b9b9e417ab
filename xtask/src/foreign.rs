//! Programs nobody here wrote, and programs that see only the staged header. Every suite is a script that prints
//! `N passed, N failed`. A peer that cannot be installed is tried once more, then skipped by name.
use crate::run::{Outcome, have, root, run as execute, run_lines, target, times};
use crate::stage;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs, process};

/// The last livekit-server that `go install` can build (later ones carry replace directives).
const LIVEKIT_SERVER: &str = "github.com/livekit/livekit-server/cmd/server@v1.13.5";
const PYTHON_PACKAGES: &[&str] = &["livekit==1.2.0", "aiortc==1.16.0", "numpy"];
const NODE_PACKAGES: &[&str] = &["livekit-client@2.23.0", "playwright-core@1.65.1"];

struct Suite {
    name: &'static str,
    script: &'static str,
    args: &'static [&'static str],
    needs: &'static [Need],
}

#[derive(Clone, Copy, PartialEq)]
enum Need {
    Python,
    LivekitServer,
    Browser,
    Valgrind,
    Sound,
}

const SUITES: &[Suite] = &[
    Suite { name: "staged header and library", script: "tests/c/run.py", args: &[], needs: &[] },
    Suite { name: "staged library under valgrind", script: "tests/c/valgrind.py", args: &[], needs: &[Need::Valgrind] },
    Suite { name: "python binding", script: "bindings/python/tests/test_call.py", args: &[], needs: &[Need::Python] },
    Suite { name: "demo", script: "tests/foreign/demo.py", args: &[], needs: &[] },
    Suite {
        name: "python client, livekit-server",
        script: "tests/foreign/call.py",
        args: &["livekit"],
        needs: &[Need::Python, Need::LivekitServer],
    },
    Suite {
        name: "python client, trtc serve",
        script: "tests/foreign/call.py",
        args: &["trtc"],
        needs: &[Need::Python],
    },
    Suite { name: "IPv6, TLS, no UDP, TURN", script: "tests/foreign/network.py", args: &[], needs: &[Need::Python] },
    Suite { name: "tickets and rights", script: "tests/foreign/tickets.py", args: &[], needs: &[Need::Python] },
    Suite {
        name: "simulcast, livekit-server",
        script: "tests/foreign/layers.py",
        args: &["livekit"],
        needs: &[Need::Python, Need::LivekitServer],
    },
    Suite { name: "simulcast, trtc serve", script: "tests/foreign/layers.py", args: &["trtc"], needs: &[Need::Python] },
    Suite {
        name: "sound devices on PulseAudio",
        script: "tests/foreign/sound.py",
        args: &[],
        needs: &[Need::Python, Need::Sound],
    },
    Suite {
        name: "browser client, trtc serve",
        script: "tests/foreign/browser.py",
        args: &[],
        needs: &[Need::Browser],
    },
    Suite {
        name: "browser simulcast VP8, trtc serve",
        script: "tests/foreign/simulcast.py",
        args: &["vp8"],
        needs: &[Need::Browser],
    },
    Suite {
        name: "browser simulcast H.264, trtc serve",
        script: "tests/foreign/simulcast.py",
        args: &["h264"],
        needs: &[Need::Browser],
    },
    Suite { name: "resume over cut paths", script: "tests/foreign/resume.py", args: &[], needs: &[Need::Python] },
    Suite { name: "narrow links", script: "tests/foreign/link.py", args: &[], needs: &[Need::Python] },
    Suite {
        name: "whip, whep and the page",
        script: "tests/foreign/whip.py",
        args: &[],
        needs: &[Need::Python, Need::Browser],
    },
];

/// `cargo xtask foreign [WORD]`: stages what is there now, then the suites whose names contain the word.
pub(crate) fn some(args: &[String]) -> Outcome {
    stage::lay_out(&target("stage"), true)?;
    run(args.first().map_or("", String::as_str))
}

pub(crate) fn run(word: &str) -> Outcome {
    let suites: Vec<&Suite> = SUITES.iter().filter(|s| s.name.to_lowercase().contains(&word.to_lowercase())).collect();
    if suites.is_empty() {
        let names: Vec<&str> = SUITES.iter().map(|s| s.name).collect();
        return Err(format!("no suite is called like {word:?}; there are: {}", names.join("; ")));
    }
    let tools = Tools { cache: cache_dir(), python: None, livekit: None, node: None };
    let tools = tools.install();
    let (mut failed, mut skipped, mut table) = (Vec::new(), Vec::new(), Vec::new());
    for suite in suites {
        let start = Instant::now();
        if let Some(missing) = suite.needs.iter().find(|n| !tools.has(**n)) {
            println!("SKIPPED {}: {}", suite.name, tools.why(*missing));
            skipped.push(format!("{}: {}", suite.name, tools.why(*missing)));
            continue;
        }
        println!("-- {}", suite.name);
        let mut verdict = "no verdict".to_owned();
        // What a suite leaves behind, for instance hundreds of megabytes of pictures, goes with it.
        let scratch = env::temp_dir().join(format!("trtc-suite-{}", process::id()));
        fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
        let logs = env::var_os("TRTC_TEST_LOGS").unwrap_or_else(|| env::temp_dir().into());
        let mut command = tools.command(suite);
        command.env("TMPDIR", &scratch).env("TRTC_TEST_LOGS", logs);
        let outcome = run_lines(&mut command, |line| {
            if line.contains(" passed, ") && line.ends_with(" failed") {
                line.clone_into(&mut verdict);
            } else if let Some(what) = line.strip_prefix("SKIPPED ") {
                skipped.push(format!("in {}: {what}", suite.name));
            }
        });
        if let Err(e) = fs::remove_dir_all(&scratch) {
            println!("{}: {e}", scratch.display());
        }
        if let Err(message) = outcome {
            println!("FAILED {}: {message}", suite.name);
            failed.push(suite.name);
        }
        table.push((start.elapsed().as_secs_f64(), suite.name, verdict));
    }
    times("foreign", table);
    skipped.iter().for_each(|what| println!("SKIPPED {what}"));
    println!("foreign: {} suites failed, {} skips", failed.len(), skipped.len());
    if failed.is_empty() { Ok(()) } else { Err(failed.join(", ")) }
}

/// What could be installed.
struct Tools {
    cache: PathBuf,
    python: Option<PathBuf>,
    livekit: Option<PathBuf>,
    node: Option<PathBuf>,
}

impl Tools {
    fn install(mut self) -> Self {
        self.python = twice("python packages", || python(&self.cache));
        self.livekit = twice("livekit-server", || livekit_server(&self.cache));
        self.node = twice("node packages", || node(&self.cache));
        self
    }

    fn has(&self, need: Need) -> bool {
        match need {
            Need::Python => self.python.is_some(),
            Need::LivekitServer => self.livekit.is_some(),
            Need::Browser => self.node.is_some() && have("chromium"),
            Need::Valgrind => have("valgrind"),
            Need::Sound => have("pulseaudio") && have("pactl"),
        }
    }

    fn why(&self, need: Need) -> &'static str {
        match need {
            Need::Python => "the PyPI packages could not be installed",
            Need::LivekitServer => "livekit-server could not be built (needs Go 1.26)",
            Need::Browser => "chromium or livekit-client could not be installed",
            Need::Valgrind => "valgrind is missing",
            Need::Sound => "PulseAudio is missing",
        }
    }

    fn command(&self, suite: &Suite) -> Command {
        let python = self.python.clone().unwrap_or_else(|| "python3".into());
        let mut command = Command::new(python);
        command.arg(root().join(suite.script)).args(suite.args).current_dir(root());
        command.env("TRTC_STAGE", target("stage"));
        for (name, value) in [("LIVEKIT_SERVER", &self.livekit), ("TRTC_NODE_MODULES", &self.node)] {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command
    }
}

fn twice<T>(what: &str, install: impl Fn() -> Outcome<T>) -> Option<T> {
    install()
        .or_else(|first| {
            println!("note: {what}: {first}; trying once more");
            install()
        })
        .map_err(|second| println!("note: {what}: {second}"))
        .ok()
}

/// Where foreign programs are kept.
pub(crate) fn cache_dir() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| env::var_os("HOME").map(|h| Path::new(&h).join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("libtrtc")
}

fn python(cache: &Path) -> Outcome<PathBuf> {
    let venv = cache.join("venv");
    let program = venv.join("bin/python");
    let ready = Command::new(&program)
        .args(["-c", "import livekit.rtc, aiortc, numpy"])
        .output()
        .is_ok_and(|o| o.status.success());
    if !ready {
        execute(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        execute(Command::new(&program).args(["-m", "pip", "install", "--quiet"]).args(PYTHON_PACKAGES))?;
    }
    Ok(program)
}

/// The real server, built once.
pub(crate) fn livekit_server(cache: &Path) -> Outcome<PathBuf> {
    let program = cache.join("bin/livekit-server");
    if !program.is_file() {
        if !have("go") {
            return Err("Go is not installed".into());
        }
        let bin = cache.join("bin");
        execute(Command::new("go").args(["install", LIVEKIT_SERVER]).env("GOBIN", &bin).env("GOTOOLCHAIN", "local"))?;
        fs::rename(bin.join("server"), &program).map_err(|e| e.to_string())?;
    }
    Ok(program)
}

fn node(cache: &Path) -> Outcome<PathBuf> {
    let dir = cache.join("node");
    let modules = dir.join("node_modules");
    if !modules.join("livekit-client").is_dir() || !modules.join("playwright-core").is_dir() {
        fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
        execute(Command::new("npm").args(["install", "--silent", "--no-save"]).args(NODE_PACKAGES).current_dir(&dir))?;
    }
    Ok(modules)
}
