"""The staged header and libraries, as hosts see them: standards, defaults, unloading, static linking, a call in C."""
import concurrent.futures
import pathlib

from builds import HERE, STAGE, build, run
from rig import Checks, Server

EXAMPLE = HERE.parent.parent / "examples" / "c" / "hello_room.c"
checks = Checks()

for standard in ["c99", "c11"]:
    program = build(HERE / "header.c", standard)
    checks.that(program and run(program)[0] == 0, f"header and defaults as {standard}")
for standard in ["c++11", "c++17"]:
    program = build(HERE / "header.c", standard, language="c++")
    checks.that(program and run(program)[0] == 0, f"header and defaults as {standard}")

program = build(HERE / "unload.c", "gnu11", libraries=["-ldl"])
code, output = run(program, STAGE / "lib" / "libtrtc.so", timeout=120) if program else (-1, "")
checks.that(code == 0, "dlopen, create, destroy, dlclose a hundred times", output)

static = [str(STAGE / "lib" / "libtrtc.a"), "-lasound", "-lstdc++", "-lpthread", "-ldl", "-lm"]
program = build(HERE / "own_opus.c", "c11", libraries=static)
code, output = run(program) if program else (-1, "")
checks.that(code == 0, "static link beside a program with its own opus_encode", output)

assert len(pathlib.Path(EXAMPLE).read_text().splitlines()) < 200
program = build(EXAMPLE, "c99")
if checks.that(program, "examples/c/hello_room.c builds against the stage"):
    server = Server("trtc")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        jobs = [pool.submit(run, program, server.url, server.token("hello", user), 6) for user in ["anna", "bert"]]
        for job in jobs:
            code, output = job.result()
            checks.that(code == 0, "hello_room saw, heard and read the other", output.replace("\n", "; "))
    server.kill()
    code, output = run(program, "ws://127.0.0.1:9", server.token("hello", "anna"), 2)
    checks.that(code == 1, "hello_room without a server says why", output.replace("\n", "; "))
checks.finish()
