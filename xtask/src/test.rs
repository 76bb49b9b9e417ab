//! `check` is the quick loop, `test` is everything.
use crate::run::{Outcome, cargo, root, run, run_lines, target, times};
use crate::{camera_vm, files, foreign, header, layers, stage, symbols};
use std::process::Command;
use std::time::Instant;

type Step = (&'static str, fn() -> Outcome);

pub(crate) fn check() -> Outcome {
    in_order(&[
        ("fmt", fmt),
        ("layers", layers::run),
        ("files", files::run),
        ("clippy", clippy),
        ("header", || header::run(true)),
        ("fast tests", || run(&mut cargo(&["test", "--workspace", "--lib", "--quiet"]))),
    ])
}

pub(crate) fn run_everything() -> Outcome {
    in_order(&[
        ("fmt", fmt),
        ("layers", layers::run),
        ("files", files::run),
        ("clippy", clippy),
        ("docs", docs),
        ("header", || header::run(true)),
        ("cargo tests", cargo_tests),
        ("stage", || stage::lay_out(&target("stage"), true)),
        ("symbols", || symbols::check(&target("stage"))),
        ("foreign", || foreign::run("")),
        ("camera in a virtual machine", camera_vm::run),
    ])
}

fn in_order(steps: &[Step]) -> Outcome {
    let (mut failed, mut table) = (Vec::new(), Vec::new());
    for (name, step) in steps {
        let start = Instant::now();
        println!("== {name}");
        let outcome = step();
        let (verdict, took) = (if outcome.is_ok() { "ok" } else { "FAILED" }, start.elapsed().as_secs_f64());
        println!("== {name}: {verdict} in {took:.1} s");
        table.push((took, name, verdict));
        if let Err(message) = outcome {
            failed.push(format!("{name}: {message}"));
        }
    }
    times("steps", table);
    println!("steps: {} passed, {} failed", steps.len() - failed.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// All tests, and at the end how long each binary took and what was skipped.
fn cargo_tests() -> Outcome {
    let mut test = Command::new("sh");
    // cargo names the binaries on its standard error.
    test.args(["-c", "exec \"$0\" test --workspace --no-fail-fast 2>&1"])
        .arg(cargo(&[]).get_program())
        .current_dir(root());
    let (mut binary, mut table, mut skipped) = (String::new(), Vec::new(), Vec::new());
    let outcome = run_lines(&mut test, |line| {
        if let Some(named) = line.trim_start().strip_prefix("Running ").or(line.trim_start().strip_prefix("Doc-tests "))
        {
            binary = named.rsplit_once("/deps/").map_or(named, |(_, file)| file.trim_end_matches(')')).to_owned();
        } else if let Some((verdict, took)) =
            line.strip_prefix("test result: ").and_then(|r| r.rsplit_once("; finished in "))
        {
            let verdict = verdict.split("; 0 measured").next().unwrap_or(verdict);
            table.push((took.trim_end_matches('s').parse().unwrap_or(0.0), binary.clone(), verdict.to_owned()));
        } else if line.contains(" ... ignored") || line.contains("SKIPPED ") {
            skipped.push(format!("{binary}: {line}"));
        }
    });
    times("cargo tests", table);
    skipped.iter().for_each(|what| println!("SKIPPED in {what}"));
    outcome
}

fn fmt() -> Outcome {
    run(&mut cargo(&["fmt", "--all", "--check"]))
}

fn clippy() -> Outcome {
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
}

fn docs() -> Outcome {
    run(cargo(&["doc", "--workspace", "--no-deps", "--quiet", "--lib"]).env("RUSTDOCFLAGS", "-D warnings"))
}
