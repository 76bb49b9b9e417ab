"""examples/c/hello_room.c under valgrind, in a real call: no invalid access, no definite leak."""
import concurrent.futures

from builds import HERE, build, run
from rig import Checks, Server, member

checks = Checks()
program = build(HERE.parent.parent / "examples" / "c" / "hello_room.c", "c99")
if checks.that(program, "builds against the stage"):
    server = Server("trtc")
    other = member(server, "memory", "bert", "--publish", "pattern", "--subscribe", "--seconds", "25")
    valgrind = ["valgrind", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite",
                "--num-callers=30", "--fair-sched=yes"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        job = pool.submit(run, program, server.url, server.token("memory", "anna"), 15, timeout=240, before=valgrind)
        code, output = job.result()
    other.kill()
    server.kill()
    clean = "ERROR SUMMARY: 0 errors" in output
    checks.that(clean and code in (0, 1), "no invalid access and no definite leak", output if not clean else "")
    checks.that("enter: " in output and "first picture" in output, "the call took place", "" if "first picture" in output else output[-3000:])
checks.finish()
