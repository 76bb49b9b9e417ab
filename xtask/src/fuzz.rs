//! Fuzzing: libFuzzer on the stable compiler, and how much of each parser the corpus reaches.
//!
//! `RUSTFLAGS` adds libFuzzer's counters (`-Cpasses=sancov-module` and the options that `cargo fuzz` gives to LLVM) and
//! `-Cinstrument-coverage`, whose regions are counted with the toolchain's own llvm-tools.
use crate::run::{Outcome, cargo, output, root, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Share of its parser's regions that a target's corpus must reach.
const REGIONS_MIN_PERCENT: usize = 60;
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cinstrument-coverage --cfg fuzzing";

struct Fuzzer {
    binary: PathBuf,
    work: PathBuf,
    tools: PathBuf,
}

struct Target {
    name: String,
    sources: Vec<String>,
}

/// What became of one target.
struct Row {
    name: String,
    executions: u64,
    inputs: usize,
    covered: usize,
    regions: usize,
    crash: Option<String>,
}

/// `--seconds N` for each target (0: only the table), `--target T` for one, `--keep` puts a minimal corpus into `fuzz/corpus`.
pub(crate) fn fuzz(args: &[String]) -> Outcome {
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1));
    let seconds = value("--seconds").map_or(Ok(60), |n| n.parse::<u64>());
    let seconds = seconds.map_err(|_| "--seconds must be a number of seconds for each target".to_owned())?;
    let fuzzer = Fuzzer::build()?;
    let mut targets = fuzzer.targets()?;
    if let Some(name) = value("--target") {
        targets.retain(|t| t.name == *name);
        if targets.is_empty() {
            return Err(format!("no target {name}"));
        }
    }
    let mut rows = Vec::new();
    for target in &targets {
        rows.push(fuzzer.run(target, seconds)?);
        if args.iter().any(|a| a == "--keep") {
            fuzzer.keep(target)?;
        }
    }
    report(&rows)
}

impl Fuzzer {
    fn build() -> Outcome<Self> {
        let version = output(Command::new("rustc").arg("-vV").current_dir(root()))?;
        let host = version.lines().find_map(|l| l.strip_prefix("host: ")).ok_or("rustc tells no host")?;
        let target = root().join("target/fuzz");
        let manifest = root().join("fuzz/Cargo.toml");
        let mut build = cargo(&["build", "--quiet", "--target", host, "--manifest-path"]);
        run(build.arg(manifest).arg("--target-dir").arg(&target).env("RUSTFLAGS", FLAGS))?;
        let tools = tools(host)?;
        Ok(Self { binary: target.join(host).join("debug/trtc-fuzz"), work: target.join("work"), tools })
    }

    fn targets(&self) -> Outcome<Vec<Target>> {
        let list =
            output(Command::new(&self.binary).env("TRTC_FUZZ_DO", "list").env("LLVM_PROFILE_FILE", "/dev/null"))?;
        let target = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            Some(Target { name: words.next()?, sources: words.collect() })
        };
        Ok(list.lines().filter_map(target).collect())
    }

    /// libFuzzer on a target, silent unless it ends badly.
    fn command(&self, target: &Target, profile: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("TRTC_FUZZ_TARGET", &target.name).env("LLVM_PROFILE_FILE", profile).current_dir(&self.work);
        command.args(["-timeout=30", "-rss_limit_mb=3072", "-max_len=8192", "-print_final_stats=1"]);
        command
    }

    /// Where inputs come from; new ones go to the first.
    fn folders(&self, target: &Target) -> Outcome<Vec<PathBuf>> {
        let name = &target.name;
        let made = [self.work.join("corpus").join(name), self.work.join("seeds").join(name)];
        let kept = [root().join("fuzz/corpus").join(name), root().join("fuzz/regressions").join(name)];
        for folder in &made {
            std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        }
        let mut seeds = Command::new(&self.binary);
        seeds.env("TRTC_FUZZ_DO", "seeds").env("TRTC_FUZZ_TARGET", name).env("LLVM_PROFILE_FILE", "/dev/null");
        output(seeds.current_dir(&made[1]))?;
        Ok(made.into_iter().chain(kept.into_iter().filter(|folder| folder.is_dir())).collect())
    }

    fn run(&self, target: &Target, seconds: u64) -> Outcome<Row> {
        let folders = self.folders(target)?;
        let mut row = Row { name: target.name.clone(), executions: 0, inputs: 0, covered: 0, regions: 0, crash: None };
        if seconds > 0 {
            println!("fuzz: {} for {seconds} s", target.name);
            let mut command = self.command(target, Path::new("/dev/null"));
            command.arg(format!("-max_total_time={seconds}"));
            let dictionary = root().join("fuzz/dictionaries").join(format!("{}.dict", target.name));
            if dictionary.is_file() {
                command.arg(format!("-dict={}", dictionary.display()));
            }
            let artifacts = root().join("fuzz/regressions").join(&target.name);
            std::fs::create_dir_all(&artifacts).map_err(|e| e.to_string())?;
            command.arg(format!("-artifact_prefix={}/", artifacts.display())).args(&folders);
            let ended = command.output().map_err(|e| e.to_string())?;
            // Empty when nothing was found.
            let _ = std::fs::remove_dir(&artifacts);
            let said = String::from_utf8_lossy(&ended.stderr);
            let number = |name: &str| said.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok());
            row.executions = number("stat::number_of_executed_units:").unwrap_or(0);
            if !ended.status.success() {
                let tail: Vec<&str> = said.lines().rev().take(60).collect();
                row.crash = Some(tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
        }
        let profile = self.work.join(format!("{}.profraw", target.name));
        let ended = self.command(target, &profile).arg("-runs=0").args(&folders).output().map_err(|e| e.to_string())?;
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            row.crash.get_or_insert_with(|| format!("an input that is kept ends badly:\n{said}"));
            return Ok(row);
        }
        let count = |folder: &PathBuf| std::fs::read_dir(folder).map_or(0, Iterator::count);
        row.inputs = folders.iter().map(count).sum();
        (row.covered, row.regions) = self.coverage(target, &profile)?;
        Ok(row)
    }

    /// Regions of the parser's own files that were reached, and all of them.
    fn coverage(&self, target: &Target, profile: &Path) -> Outcome<(usize, usize)> {
        let merged = profile.with_extension("profdata");
        run(Command::new(self.tools.join("llvm-profdata")).args(["merge", "-sparse", "-o"]).arg(&merged).arg(profile))?;
        let mut export = Command::new(self.tools.join("llvm-cov"));
        export.args(["export", "-summary-only", "-instr-profile"]).arg(&merged).arg(&self.binary);
        let export: serde_json::Value = serde_json::from_str(&output(&mut export)?).map_err(|e| e.to_string())?;
        let (mut covered, mut all) = (0, 0);
        for file in export["data"][0]["files"].as_array().into_iter().flatten() {
            let name = file["filename"].as_str().and_then(|n| Path::new(n).strip_prefix(root()).ok());
            let name = name.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if target.sources.iter().any(|source| name.starts_with(source.as_str())) {
                let regions = |what: &str| file["summary"]["regions"][what].as_u64().unwrap_or(0) as usize;
                println!("fuzz:   {name}: {} of {} regions", regions("covered"), regions("count"));
                (covered, all) = (covered + regions("covered"), all + regions("count"));
            }
        }
        Ok((covered, all))
    }

    /// The fewest inputs that reach the same, next to those that are there already.
    fn keep(&self, target: &Target) -> Outcome {
        let kept = root().join("fuzz/corpus").join(&target.name);
        std::fs::create_dir_all(&kept).map_err(|e| e.to_string())?;
        let mut merge = self.command(target, Path::new("/dev/null"));
        merge.arg("-set_cover_merge=1").arg(&kept).args(&self.folders(target)?[..2]);
        output(&mut merge).map(drop)
    }
}

/// The toolchain's llvm-tools; rustup fetches them.
fn tools(host: &str) -> Outcome<PathBuf> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()))?;
    let folder = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin");
    if !folder.join("llvm-cov").is_file() {
        run(Command::new("rustup").args(["component", "add", "llvm-tools"]).current_dir(root()))?;
    }
    Ok(folder)
}

fn report(rows: &[Row]) -> Outcome {
    println!("| target | executions | inputs | regions | reached |\n| --- | --- | --- | --- | --- |");
    let mut wrong = Vec::new();
    for row in rows {
        let percent = row.covered * 100 / row.regions.max(1);
        println!(
            "| {} | {} | {} | {} of {} | {percent} % |",
            row.name, row.executions, row.inputs, row.covered, row.regions
        );
        match &row.crash {
            Some(text) => {
                wrong.push(format!("{}: an input is kept in fuzz/regressions/{}:\n{text}", row.name, row.name))
            }
            None if percent < REGIONS_MIN_PERCENT => {
                wrong.push(format!(
                    "{}: {percent} % of its regions, at least {REGIONS_MIN_PERCENT} % are wanted",
                    row.name
                ));
            }
            None => {}
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    println!("fuzz: {} targets, nothing found, each reaches at least {REGIONS_MIN_PERCENT} %", rows.len());
    Ok(())
}
