//! The picture of ARCHITECTURE.md, enforced: dependencies between our crates point down only.
use crate::run::{Outcome, cargo, output};
use std::collections::BTreeMap;

/// Layer of each crate. Within L1 only the pairs of `SIDEWAYS` may depend on each other.
const LAYERS: &[(&str, u8)] = &[
    ("trtc-types", 0),
    ("trtc-proto", 0),
    ("trtc-bitstream", 0),
    ("trtc-rtp", 1),
    ("trtc-peer", 1),
    ("trtc-session", 1),
    ("trtc-media", 1),
    ("trtc-sfu", 1),
    ("trtc-stream", 1),
    ("trtc-codec", 2),
    ("trtc-device", 2),
    ("trtc-net", 2),
    ("trtc-member", 3),
    ("trtc-sdk", 4),
    ("trtc-worker", 4),
    ("trtc-server", 4),
    ("trtc", 5),
    ("trtc-cli", 5),
];

/// Arrows inside one layer.
const SIDEWAYS: &[(&str, &str)] = &[
    ("trtc-proto", "trtc-types"),
    ("trtc-bitstream", "trtc-types"),
    ("trtc-peer", "trtc-rtp"),
    ("trtc-sfu", "trtc-rtp"),
];

/// Never counted: they exist for development only.
const TOOLS: &[&str] = &["xtask", "trtc-testkit"];

pub(crate) fn run() -> Outcome {
    let text = output(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        if TOOLS.contains(&name) {
            continue;
        }
        let Some(&from) = layers.get(name) else {
            wrong.push(format!("{name}: has no layer in xtask/src/layers.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to_name = dependency["name"].as_str().unwrap_or_default();
            let dev = dependency["kind"].as_str() == Some("dev");
            if !dev && TOOLS.contains(&to_name) {
                wrong.push(format!("{name} -> {to_name}: a product may not need a development tool"));
            }
            let Some(&to) = layers.get(to_name) else { continue };
            if dev {
                continue;
            }
            arrows += 1;
            if to > from || (to == from && !SIDEWAYS.contains(&(name, to_name))) {
                wrong.push(format!("{name} (L{from}) -> {to_name} (L{to}): arrows point down only"));
            }
        }
    }
    if wrong.is_empty() {
        println!("layers: {arrows} arrows, all down");
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}
