"""Builds C programs outside of the tree, against the staged directory only."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "foreign"))
from rig import STAGE  # noqa: E402

WORK = pathlib.Path(tempfile.mkdtemp(prefix="trtc-c-"))
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
ENVIRONMENT = {**os.environ, "LD_LIBRARY_PATH": str(STAGE / "lib"), "PKG_CONFIG_PATH": str(STAGE / "lib" / "pkgconfig")}


def flags(*options):
    """What pkg-config says, as a host's build system would ask."""
    if shutil.which("pkg-config"):
        text = subprocess.run(["pkg-config", *options, "trtc"], env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout
        return text.split()
    return [f"-I{STAGE}/include"] + ([f"-L{STAGE}/lib", "-ltrtc"] if "--libs" in options else [])


def build(source, standard="c11", name=None, libraries=None, language="c"):
    """Compiles and links; returns the program, or None after printing what the compiler said."""
    program = WORK / (name or f"{pathlib.Path(source).stem}-{standard}")
    compiler = "c++" if language == "c++" else "cc"
    command = [compiler, f"-std={standard}", *STRICT, "-g", "-D_DEFAULT_SOURCE", "-x", language, str(source), "-x", "none"]
    command += flags("--cflags") + (libraries if libraries is not None else flags("--libs")) + ["-o", str(program)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        print(" ".join(command), result.stderr, sep="\n")
        return None
    return program


def run(program, *arguments, timeout=60, before=()):
    """Runs to the end; returns (code, output)."""
    command = [*before, str(program), *map(str, arguments)]
    try:
        done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        return -1, f"no end after {timeout} s: {late.stdout}"
    return done.returncode, done.stdout
