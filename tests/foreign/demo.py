"""`trtc demo`: passes by itself; with the server killed in mid-call it fails and says why."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile

from rig import TRTC, Checks


def main():
    checks, save = Checks(), tempfile.mkdtemp()
    good = subprocess.run([TRTC, "demo", "--seconds", "6", "--save", save], capture_output=True, text=True, timeout=90)
    print(good.stdout)
    checks.that(good.returncode == 0, "the demo passes")
    snapshots = list(pathlib.Path(save).glob("*/*.png")) + list(pathlib.Path(save).glob("*/*.wav"))
    checks.that(len(snapshots) == 4 and all(p.stat().st_size > 1000 for p in snapshots), "two pictures and two recordings", len(snapshots))

    bad = subprocess.Popen([TRTC, "demo", "--seconds", "10", "--save", save], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = ""
    for line in bad.stdout:
        said += line
        pid = re.search(r"server is up .*pid (\d+)", line)
        if pid:
            server = int(pid.group(1))
        if "call each other" in line:
            subprocess.run(["sleep", "2"], check=True)
            os.kill(server, signal.SIGKILL)
    bad.wait(60)
    checks.that(bad.returncode != 0, "with its server killed the demo fails", bad.returncode)
    checks.that(re.search(r"failed: .*server", said), "and says why", said.strip().splitlines()[-1:])
    checks.finish()


if __name__ == "__main__":
    main()
