//! The hostile clients at full length: what each tried, how it was refused, and what that cost the server.
use crate::run::{Outcome, cargo, run};

pub(crate) fn hostile() -> Outcome {
    let test =
        |name: &str| cargo(&["test", "--quiet", "--package", "trtc-testkit", "--test", name, "--", "--nocapture"]);
    run(&mut test("forbidden"))?;
    run(test("load").env("TRTC_LOAD", "long"))?;
    println!("hostile: every forbidden act was refused, and every flood was bounded");
    Ok(())
}
