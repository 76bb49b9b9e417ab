//! libFuzzer around the targets: `TRTC_FUZZ_TARGET` names the one to run. `cargo xtask fuzz` builds and calls this.
#![no_main]
mod seeds;
#[path = "../targets/mod.rs"]
mod targets;

use std::sync::OnceLock;
use targets::Target;

fn target() -> &'static Target {
    static TARGET: OnceLock<&'static Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("TRTC_FUZZ_TARGET").unwrap_or_default();
        targets::ALL.iter().find(|t| t.name == name).unwrap_or_else(|| {
            eprintln!("TRTC_FUZZ_TARGET must be one of {:?}", targets::ALL.map(|t| t.name));
            std::process::exit(2)
        })
    })
}

libfuzzer_sys::fuzz_target!(
    init: {
        // `list` prints names with their sources, `seeds DIR` writes inputs to begin with.
        match std::env::var("TRTC_FUZZ_DO").as_deref() {
            Ok("list") => {
                targets::ALL.iter().for_each(|t| println!("{} {}", t.name, t.sources.join(" ")));
                std::process::exit(0);
            }
            Ok("seeds") => {
                seeds::write(target().name);
                std::process::exit(0);
            }
            _ => {}
        }
    },
    |data: &[u8]| (target().run)(data)
);
