//! Only `trtc_*` leaves the library.
use crate::run::{Outcome, output};
use std::path::Path;
use std::process::Command;

pub(crate) fn run(args: &[String]) -> Outcome {
    check(Path::new(args.first().ok_or("usage: cargo xtask symbols DIR (a staged directory)")?))
}

pub(crate) fn check(dir: &Path) -> Outcome {
    let dynamic = output(Command::new("readelf").arg("-d").arg(dir.join("lib/libtrtc.so")))?;
    if !dynamic.contains("libtrtc.so.0") {
        return Err("libtrtc.so has no SONAME libtrtc.so.0".into());
    }
    let mut counts = Vec::new();
    for (name, flag) in [("libtrtc.so", "--dyn-syms"), ("libtrtc.a", "--syms")] {
        let names = exported(&dir.join("lib").join(name), flag)?;
        let foreign: Vec<&String> = names.iter().filter(|n| !n.starts_with("trtc_")).collect();
        if !foreign.is_empty() {
            return Err(format!(
                "{name} exports {} foreign symbols, first: {:?}",
                foreign.len(),
                &foreign[..foreign.len().min(5)]
            ));
        }
        if names.is_empty() {
            return Err(format!("{name} exports nothing"));
        }
        counts.push(names.len());
    }
    if counts[0] != counts[1] {
        return Err(format!("libtrtc.so exports {} functions, libtrtc.a {}", counts[0], counts[1]));
    }
    println!("symbols: {} trtc_* exports in the .so and the .a, nothing else", counts[0]);
    Ok(())
}

/// Names that a file defines for others. `readelf`, because `nm` stumbles over bitcode sections through its plug-ins.
pub(crate) fn exported(file: &Path, flag: &str) -> Outcome<Vec<String>> {
    let table = output(Command::new("readelf").args(["--wide", flag]).arg(file))?;
    // Num: Value Size Type Bind Vis Ndx Name
    let name = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let defined = columns.len() >= 8
            && ["GLOBAL", "WEAK"].contains(&columns[4])
            && columns[5] == "DEFAULT"
            && columns[6] != "UND";
        defined.then(|| columns[7].to_owned())
    };
    Ok(table.lines().filter_map(name).collect())
}
