//! `demo`: two library members in separate processes call each other through our server.
use crate::run::{Outcome, cargo, root, run as execute, target};
use std::process::Command;

pub(crate) fn run(args: &[String]) -> Outcome {
    println!("demo: building (a first build takes some minutes)");
    execute(&mut cargo(&["build", "--release", "--quiet", "--package", "trtc-cli"]))?;
    execute(Command::new(target("release").join("trtc")).arg("demo").args(args).current_dir(root()))
        .map_err(|_| "demo: failed".to_owned())
}
