//! include/trtc.h: written by cbindgen from the C door, checked in, compared in every test run.
use crate::run::{Outcome, root};

pub(crate) fn run(check: bool) -> Outcome {
    let path = root().join("include/trtc.h");
    let fresh = generate()?;
    if !check {
        std::fs::create_dir_all(root().join("include")).map_err(|e| e.to_string())?;
        return std::fs::write(&path, fresh).map_err(|e| e.to_string());
    }
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    if old == fresh {
        println!("header: include/trtc.h is current");
        return Ok(());
    }
    let line = old
        .lines()
        .zip(fresh.lines())
        .position(|(a, b)| a != b)
        .unwrap_or(old.lines().count().min(fresh.lines().count()));
    Err(format!("include/trtc.h differs from the code at line {}: run `cargo xtask header`", line + 1))
}

fn generate() -> Outcome<String> {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml"))?;
    let bindings = cbindgen::Builder::new()
        .with_crate(root())
        .with_config(config)
        .generate()
        .map_err(|e| format!("cbindgen: {e}"))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).map_err(|e| e.to_string())
}
