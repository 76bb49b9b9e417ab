//! What fuzzing has found and kept (`fuzz/corpus`, `fuzz/regressions`), run again without a fuzzer.
#![allow(clippy::unwrap_used, missing_docs, dead_code, reason = "tests")]
#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Panics on any thread, also those that a thread of ours catches.
static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn every_input_returns() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, SeqCst);
        hook(info);
    }));
    for target in &targets::ALL {
        let files: Vec<PathBuf> = ["corpus", "regressions"].iter().flat_map(|kind| inputs(kind, target.name)).collect();
        for file in &files {
            let input = std::fs::read(file).unwrap();
            let end = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(end.is_ok() && PANICS.load(SeqCst) == 0, "{}", file.display());
        }
        println!("{}: {} inputs", target.name, files.len());
        assert!(!files.is_empty(), "{} has nothing to run", target.name);
    }
}

fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}
