//! `camera-vm`: the camera test in a qemu guest with `vivid`, the kernel's virtual camera. The guest is a Debian kernel, busybox
//! and the example `camera` of `trtc-device`, on an emulated processor: no camera, no /dev/kvm and no root needed.
use crate::foreign::cache_dir;
use crate::run::{Outcome, cargo, have, output, run as execute, target};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: &str = "qemu-system-x86 busybox-static cpio kmod";
/// What `vivid` needs, in no order: modprobe knows.
const MODULES: &[&str] = &["vivid", "virtio_console"];
/// Seconds after which a guest hangs. A good one takes about 20.
const LIMIT_S: &str = "110";

/// Runs the test; a machine on which it cannot run is told by name.
pub(crate) fn run() -> Outcome {
    if let Err(why) = possible() {
        println!("SKIPPED camera in a virtual machine: {why}");
        return Ok(());
    }
    let kernel = match kernel(&cache_dir().join("vm")) {
        Ok(kernel) => kernel,
        Err(why) => {
            println!("SKIPPED camera in a virtual machine: no kernel: {why}");
            return Ok(());
        }
    };
    execute(&mut cargo(&["build", "--quiet", "--package", "trtc-device", "--example", "camera"]))?;
    let work = target("camera-vm");
    let image = image(&work, &kernel)?;
    let said = boot(&kernel.join("vmlinuz"), &image)?;
    judge(&said)
}

fn possible() -> Outcome {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("it is for Linux on x86-64".into());
    }
    let missing: Vec<&str> = ["qemu-system-x86_64", "busybox", "cpio", "depmod", "apt-get", "dpkg", "timeout"]
        .into_iter()
        .filter(|p| !have(p) && !Path::new("/usr/sbin").join(p).is_file() && !Path::new("/sbin").join(p).is_file())
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("{} missing; apt-get install {PACKAGES}", missing.join(", "))) }
}

/// A directory with `vmlinuz` and the modules of Debian's kernel; downloaded once, unpacked, never installed.
fn kernel(cache: &Path) -> Outcome<PathBuf> {
    let ready = cache.join("kernel");
    if ready.join("vmlinuz").is_file() {
        return Ok(ready);
    }
    let text = |e: std::io::Error| e.to_string();
    fs::create_dir_all(cache).map_err(text)?;
    let names = output(Command::new("apt-cache").args(["depends", "linux-image-amd64"]))?;
    let name =
        names.split_whitespace().find(|w| w.starts_with("linux-image-") && w.ends_with("-amd64") && w.len() > 20);
    let name = name.ok_or("apt knows no linux-image-amd64")?;
    if package(cache, name).is_none() {
        output(Command::new("apt-get").args(["download", "-qq", name]).current_dir(cache))?;
    }
    let package = package(cache, name).ok_or("apt-get download left no package")?;
    let unpacked = cache.join("unpacked");
    let _ = fs::remove_dir_all(&unpacked);
    output(Command::new("dpkg").arg("-x").arg(&package).arg(&unpacked))?;
    let version = name.trim_start_matches("linux-image-");
    output(Command::new(tool("depmod")).arg("-b").arg(&unpacked).arg(version))?;
    // Only what the test needs stays.
    let partial = cache.join("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(partial.join("modules")).map_err(text)?;
    fs::copy(unpacked.join("boot").join(format!("vmlinuz-{version}")), partial.join("vmlinuz")).map_err(text)?;
    let mut order = Vec::new();
    for module in MODULES {
        let list = output(Command::new(tool("modprobe")).args(["-d"]).arg(&unpacked).args([
            "-S",
            version,
            "--show-depends",
            module,
        ]))?;
        for path in list.lines().filter_map(|l| l.strip_prefix("insmod ")).map(|l| l.split(' ').next().unwrap_or(l)) {
            let file = Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
            fs::copy(path, partial.join("modules").join(&file)).map_err(|e| format!("{path}: {e}"))?;
            if !order.contains(&file) {
                order.push(file);
            }
        }
    }
    fs::write(partial.join("order"), order.join("\n")).map_err(text)?;
    fs::rename(&partial, &ready).map_err(text)?;
    fs::remove_dir_all(&unpacked).map_err(text)?;
    fs::remove_file(&package).map_err(text)?;
    Ok(ready)
}

fn package(cache: &Path, name: &str) -> Option<PathBuf> {
    let files = fs::read_dir(cache).ok()?.flatten().map(|f| f.path());
    let prefix = format!("{name}_");
    files.into_iter().find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix)))
}

fn tool(name: &str) -> PathBuf {
    ["/usr/sbin", "/sbin", "/usr/bin"]
        .iter()
        .map(|d| Path::new(d).join(name))
        .find(|p| p.is_file())
        .unwrap_or_else(|| name.into())
}

/// The guest's file system: busybox, the modules, the program and the libraries that it links.
fn image(work: &Path, kernel: &Path) -> Outcome<PathBuf> {
    let root = work.join("root");
    let _ = fs::remove_dir_all(&root);
    let text = |e: std::io::Error| e.to_string();
    for dir in ["bin", "dev", "proc", "sys", "modules"] {
        fs::create_dir_all(root.join(dir)).map_err(text)?;
    }
    let busybox = output(Command::new("sh").args(["-c", "command -v busybox"]))?;
    fs::copy(busybox.trim(), root.join("bin/busybox")).map_err(text)?;
    let program = target("debug").join("examples/camera");
    fs::copy(&program, root.join("bin/camera")).map_err(|e| format!("{}: {e}", program.display()))?;
    for line in output(Command::new("ldd").arg(&program))?.lines() {
        if let Some(library) = line.split_whitespace().find(|w| w.starts_with('/')) {
            let to = root.join(library.trim_start_matches('/'));
            fs::create_dir_all(to.parent().ok_or("a library without a directory")?).map_err(text)?;
            fs::copy(library, to).map_err(|e| format!("{library}: {e}"))?;
        }
    }
    let order = fs::read_to_string(kernel.join("order")).map_err(text)?;
    for module in order.lines() {
        fs::copy(kernel.join("modules").join(module), root.join("modules").join(module)).map_err(text)?;
    }
    let inserts: String = order.lines().map(|m| format!("$b insmod /modules/{m} 2>/dev/null\n")).collect();
    let init = format!(
        "#!/bin/busybox sh\nb=/bin/busybox\n$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc; $b mount -t sysfs sys /sys\n\
         {inserts}/bin/camera; echo \"camera ended with $?\"\n$b poweroff -f\n"
    );
    fs::write(root.join("init"), init).map_err(text)?;
    let image = work.join("guest.cpio");
    let pack = "chmod 755 init && find . | cpio -o -H newc --quiet > \"$0\"";
    execute(Command::new("sh").args(["-c", pack]).arg(&image).current_dir(&root))?;
    Ok(image)
}

/// What the guest said on its serial line.
fn boot(kernel: &Path, image: &Path) -> Outcome<String> {
    let mut qemu = Command::new("timeout");
    qemu.args([LIMIT_S, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nographic", "-no-reboot"]);
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(image).args(["-append", "console=ttyS0 quiet panic=-1"]);
    let start = std::time::Instant::now();
    let said = output(&mut qemu).map_err(|e| format!("the guest did not end by itself: {e}"))?;
    println!("camera-vm: the guest took {:.1} s", start.elapsed().as_secs_f64());
    Ok(said)
}

/// Pictures came in whole and fractional rates, with the test picture's colours.
fn judge(said: &str) -> Outcome {
    let lines: Vec<Value> = said.lines().filter_map(|l| serde_json::from_str(l.trim()).ok()).collect();
    let of = |name: &str| lines.iter().filter(|l| l["event"] == name).collect::<Vec<_>>();
    let watched = of("watched");
    watched.iter().for_each(|w| println!("camera-vm: {w}"));
    let mut problems = Vec::new();
    let mut need = |good: bool, what: &str| {
        println!("{} {what}", if good { "ok  " } else { "FAIL" });
        if !good {
            problems.push(what.to_owned());
        }
    };
    need(of("end").len() == 1, "the program came to its end");
    need(
        of("camera").iter().any(|c| c["name"].as_str().is_some_and(|n| n.contains("vivid"))),
        "the camera is listed by its name",
    );
    let seen = |pixel: &str, library: &str| {
        watched.iter().any(|w| w["pixel"] == pixel && w["library"] == library && w["pictures"] == 8)
    };
    need(seen("Yuyv", "nokhwa") && seen("Nv12", "nokhwa"), "YUYV and NV12 came through nokhwa");
    need(seen("Yuyv", "v4l") && seen("Nv12", "v4l") && seen("I420", "v4l"), "what it refuses came through v4l");
    need(watched.iter().all(|w| w["pictures"] == 8), "no format gave no pictures");
    let whole = watched.iter().filter(|w| w["fps"][1] == 1).count();
    need(whole >= 3 && watched.len() >= whole + 3, "at whole and fractional rates");
    need(of("nearest").iter().any(|w| w["width"] == 640 && w["height"] == 360), "the nearest format is found");
    need(!watched.is_empty() && watched.iter().all(|w| colours(w) >= 6), "with the bars of the test picture");
    if problems.is_empty() { Ok(()) } else { Err(format!("{}\n{said}", problems.join("; "))) }
}

/// How many clearly different colours a picture had.
fn colours(watched: &Value) -> usize {
    let mut seen: Vec<[i64; 3]> = Vec::new();
    for colour in watched["colours"].as_array().into_iter().flatten() {
        let colour = [0, 1, 2].map(|i| colour[i].as_i64().unwrap_or_default());
        if seen.iter().all(|s| s.iter().zip(&colour).map(|(a, b)| (a - b).abs()).sum::<i64>() > 40) {
            seen.push(colour);
        }
    }
    seen.len()
}
