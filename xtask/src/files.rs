//! No giant files: 1,000 lines is a wall, 600 a wish.
use crate::run::{Outcome, output, root};
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
    if over.is_empty() { Ok(()) } else { Err(over.join("\n")) }
}
