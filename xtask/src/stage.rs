//! `stage DIR`: the layout that hosts link against. Examples and C tests build only against it.
use crate::run::{Outcome, cargo, root, run as execute, target};
use crate::symbols;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn lay_out(dir: &Path, dev: bool) -> Outcome {
    let profile = if dev { "debug" } else { "release" };
    let mut build = cargo(&["build", "--package", "trtc", "--package", "trtc-cli"]);
    if !dev {
        build.arg("--release");
    }
    execute(&mut build)?;
    let lib = dir.join("lib");
    for sub in ["include", "lib/pkgconfig", "lib/cmake/trtc", "bin"] {
        fs::create_dir_all(dir.join(sub)).map_err(|e| format!("{}: {e}", dir.join(sub).display()))?;
    }
    copy(&root().join("include/trtc.h"), &dir.join("include/trtc.h"))?;
    copy(&target(profile).join("trtc"), &dir.join("bin/trtc"))?;
    shared_library(&target(profile).join("libtrtc.so"), &lib, dev)?;
    static_library(&target(profile).join("libtrtc.a"), &lib)?;
    let prefix = fs::canonicalize(dir).map_err(|e| e.to_string())?;
    write(&lib.join("pkgconfig/trtc.pc"), &pkg_config(&prefix))?;
    write(&lib.join("cmake/trtc/trtc-config.cmake"), CMAKE)?;
    println!("stage: {} ({profile})", dir.display());
    Ok(())
}

pub(crate) fn run(args: &[String]) -> Outcome {
    let dir = args.iter().find(|a| !a.starts_with("--")).ok_or("usage: cargo xtask stage DIR [--dev]")?;
    lay_out(&PathBuf::from(dir), args.iter().any(|a| a == "--dev"))
}

fn shared_library(built: &Path, lib: &Path, dev: bool) -> Outcome {
    let real = lib.join(format!("libtrtc.so.{VERSION}"));
    copy(built, &real)?;
    if !dev {
        execute(Command::new("strip").arg("--strip-unneeded").arg(&real))?;
    }
    for link in ["libtrtc.so.0", "libtrtc.so"] {
        let _ = fs::remove_file(lib.join(link));
    }
    symlink(&format!("libtrtc.so.{VERSION}"), &lib.join("libtrtc.so.0"))?;
    symlink("libtrtc.so.0", &lib.join("libtrtc.so"))
}

/// One pre-linked object in which only `trtc_*` is global, so that a host with its own libopus links.
fn static_library(built: &Path, lib: &Path) -> Outcome {
    let object = lib.join("trtc.o");
    let archive = lib.join("libtrtc.a");
    execute(Command::new("ld").args(["-r", "--whole-archive"]).arg(built).arg("-o").arg(&object))?;
    let names = symbols::exported(&object, "--syms")?;
    let keep = lib.join("exports.txt");
    let exports: String = names.iter().filter(|n| n.starts_with("trtc_")).map(|n| format!("{n}\n")).collect();
    write(&keep, &exports)?;
    let mut flag = std::ffi::OsString::from("--keep-global-symbols=");
    flag.push(&keep);
    // Rust's own library carries bitcode; joined by `ld -r` it is garbage that binutils' LLVM plug-in trips over.
    execute(Command::new("objcopy").args(["-R", ".llvmbc", "-R", ".llvmcmd"]).arg(flag).arg(&object))?;
    let _ = fs::remove_file(&archive);
    execute(Command::new("ar").arg("rcs").arg(&archive).arg(&object))?;
    let _ = fs::remove_file(&object);
    fs::remove_file(&keep).map_err(|e| e.to_string())
}

fn pkg_config(prefix: &Path) -> String {
    format!(
        "prefix={}\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include\n\nName: trtc\nDescription: Real-time call library\n\
         Version: {VERSION}\nLibs: -L${{libdir}} -ltrtc\nLibs.private: -lasound -lstdc++ -lpthread -ldl -lm\nCflags: -I${{includedir}}\n",
        prefix.display()
    )
}

const CMAKE: &str = "\
get_filename_component(_trtc_prefix \"${CMAKE_CURRENT_LIST_DIR}/../../..\" ABSOLUTE)
if(NOT TARGET trtc::trtc)
  add_library(trtc::trtc SHARED IMPORTED)
  set_target_properties(trtc::trtc PROPERTIES
    IMPORTED_LOCATION \"${_trtc_prefix}/lib/libtrtc.so\"
    INTERFACE_INCLUDE_DIRECTORIES \"${_trtc_prefix}/include\")
endif()
";

fn copy(from: &Path, to: &Path) -> Outcome {
    let _ = fs::remove_file(to);
    fs::copy(from, to).map(|_| ()).map_err(|e| format!("{} -> {}: {e}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(unix)]
fn symlink(to: &str, at: &Path) -> Outcome {
    std::os::unix::fs::symlink(to, at).map_err(|e| format!("{}: {e}", at.display()))
}

#[cfg(not(unix))]
fn symlink(_: &str, at: &Path) -> Outcome {
    Err(format!("{}: staging is for Unix hosts", at.display()))
}
