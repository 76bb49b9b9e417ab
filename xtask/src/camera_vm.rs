//! `camera-vm`: the camera tests in a qemu guest with `vivid`, the kernel's virtual camera. The guest is a Debian kernel, busybox,
//! the example `camera` of `trtc-device`, the `trtc` command and a C program with the library, on an emulated processor: no camera,
//! no /dev/kvm and no root needed.
mod judge;

use crate::foreign::cache_dir;
use crate::run::{Outcome, cargo, have, output, root, run as execute, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: &str = "qemu-system-x86 busybox-static cpio kmod";
/// What `vivid` needs, in no order: modprobe knows.
const MODULES: &[&str] = &["vivid", "virtio_console"];
/// Seconds after which a guest hangs. A good one takes about 40.
const LIMIT_S: &str = "400";

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
    let work = target("camera-vm");
    let image = image(&work, &kernel, &programs(&work)?)?;
    let said = boot(&kernel.join("vmlinuz"), &image)?;
    judge::judge(&said, &work)
}

fn possible() -> Outcome {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("it is for Linux on x86-64".into());
    }
    let missing: Vec<&str> =
        ["qemu-system-x86_64", "busybox", "cpio", "depmod", "apt-get", "dpkg", "timeout", "cc", "strip"]
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

/// What runs in the guest, built; the library stands beside them by its SONAME.
fn programs(work: &Path) -> Outcome<Vec<PathBuf>> {
    execute(&mut cargo(&["build", "--quiet", "--package", "trtc-device", "--example", "camera"]))?;
    execute(&mut cargo(&["build", "--quiet", "--package", "trtc", "--package", "trtc-cli"]))?;
    fs::create_dir_all(work).map_err(|e| e.to_string())?;
    let built = target("debug");
    let library = work.join("libtrtc.so.0");
    fs::copy(built.join("libtrtc.so"), &library).map_err(|e| e.to_string())?;
    let devices = work.join("devices");
    let mut compile = Command::new("cc");
    compile.args(["-std=c11", "-D_DEFAULT_SOURCE", "-o"]).arg(&devices).arg("-I").arg(root().join("include"));
    execute(compile.arg(root().join("tests/c/devices.c")).arg(&library))?;
    Ok(vec![built.join("examples/camera"), built.join("trtc"), devices, library])
}

/// The guest's file system: busybox, the modules, the programs and the libraries that they link.
fn image(work: &Path, kernel: &Path, programs: &[PathBuf]) -> Outcome<PathBuf> {
    let root = work.join("root");
    let _ = fs::remove_dir_all(&root);
    let text = |e: std::io::Error| e.to_string();
    for dir in ["bin", "dev", "proc", "sys", "modules"] {
        fs::create_dir_all(root.join(dir)).map_err(text)?;
    }
    let busybox = output(Command::new("sh").args(["-c", "command -v busybox"]))?;
    fs::copy(busybox.trim(), root.join("bin/busybox")).map_err(text)?;
    for program in programs {
        let name = program.file_name().ok_or("a program without a name")?;
        let to = if name.to_string_lossy().contains(".so") { root.join("lib") } else { root.join("bin") };
        fs::create_dir_all(&to).map_err(text)?;
        execute(Command::new("strip").arg("-o").arg(to.join(name)).arg(program))?;
        let ldd = output(Command::new("ldd").arg(program).env("LD_LIBRARY_PATH", work))?;
        for library in ldd.lines().filter_map(|l| l.split_whitespace().find(|w| w.starts_with('/'))) {
            let to = root.join(library.trim_start_matches('/'));
            if !Path::new(library).starts_with(work) && !to.exists() {
                fs::create_dir_all(to.parent().ok_or("a library without a directory")?).map_err(text)?;
                fs::copy(library, to).map_err(|e| format!("{library}: {e}"))?;
            }
        }
    }
    let order = fs::read_to_string(kernel.join("order")).map_err(text)?;
    for module in order.lines() {
        fs::copy(kernel.join("modules").join(module), root.join("modules").join(module)).map_err(text)?;
    }
    fs::copy(kernel.join("order"), root.join("modules/order")).map_err(text)?;
    fs::write(root.join("init"), include_str!("camera_vm/guest.sh")).map_err(text)?;
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
