//! `check` is the quick loop, `test` is everything.
use crate::run::{Outcome, cargo, run, target};
use crate::{camera_vm, files, foreign, header, layers, stage, symbols};
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
        ("cargo tests", || run(&mut cargo(&["test", "--workspace", "--no-fail-fast"]))),
        ("stage", || stage::lay_out(&target("stage"), true)),
        ("symbols", || symbols::check(&target("stage"))),
        ("foreign", foreign::run),
        ("camera in a virtual machine", camera_vm::run),
    ])
}

fn in_order(steps: &[Step]) -> Outcome {
    let mut failed = Vec::new();
    for (name, step) in steps {
        let start = Instant::now();
        println!("== {name}");
        let outcome = step();
        println!(
            "== {name}: {} in {:.1} s",
            if outcome.is_ok() { "ok" } else { "FAILED" },
            start.elapsed().as_secs_f64()
        );
        if let Err(message) = outcome {
            failed.push(format!("{name}: {message}"));
        }
    }
    println!("steps: {} passed, {} failed", steps.len() - failed.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
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
