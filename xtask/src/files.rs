//! No giant files: 1,000 lines is a wall, 600 a wish. And fuzz/Cargo.lock, which nothing else here looks at, is not stale.
use crate::run::{Outcome, cargo, output, root};
use std::process::Command;

pub(crate) fn run() -> Outcome {
    let list = output(Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()))?;
    let mut over = Vec::new();
    for name in list.lines().filter(|n| [".rs", ".c", ".h", ".py", ".js", ".sh"].iter().any(|e| n.ends_with(e))) {
        if name == "include/trtc.h" {
            continue; // generated
        }
        let Ok(text) = std::fs::read_to_string(root().join(name)) else { continue };
        match text.lines().count() {
            1001.. => over.push(format!("{name}: {} lines (1,000 is the wall)", text.lines().count())),
            601.. => println!("files: note: {name} has {} lines", text.lines().count()),
            _ => {}
        }
    }
    over.extend(fuzz_lock().err());
    if over.is_empty() { Ok(()) } else { Err(over.join("\n")) }
}

/// Each new dependency of the workspace belongs into it too.
fn fuzz_lock() -> Outcome {
    let fetch = "cargo metadata --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null";
    let manifest = root().join("fuzz/Cargo.toml");
    let mut metadata = cargo(&["metadata", "--locked", "--format-version", "1", "--manifest-path"]);
    let stale = |e: String| format!("fuzz/Cargo.lock is stale: run `{fetch}` and commit it\n{e}");
    output(metadata.arg(manifest)).map(drop).map_err(stale)
}
