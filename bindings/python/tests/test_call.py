"""Two clouds of the Python binding in a call on `trtc serve`: squares, tones and messages, judged by content."""
import pathlib
import os
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "bindings/python"), str(ROOT / "tests/foreign")]

import numpy as np  # noqa: E402
from rig import Checks, Server  # noqa: E402

import trtc  # noqa: E402
from trtc import _abi  # noqa: E402

RATE, WIDTH, HEIGHT = 48_000, 640, 360
COLOURS = [(200, 60, 40), (40, 180, 60), (50, 60, 210), (160, 160, 160)]  # B, G, R of the four quarters
YUV = [(90, 180, 70), (140, 90, 60), (80, 100, 190), (170, 128, 128)]


def quarters(plane):
    """The middles of the four quarters of a plane."""
    h, w = plane.shape[0] // 2, plane.shape[1] // 2
    return [plane[y * h + h // 8:(y + 1) * h - h // 8, x * w + w // 8:(x + 1) * w - w // 8] for y in (0, 1) for x in (0, 1)]


def squares(height, width, values):
    grid = np.array(values, np.uint8).reshape(2, 2, -1)
    return grid.repeat(height // 2, 0).repeat(width // 2, 1)


def planes(i420):
    y, chroma = i420[:HEIGHT], i420[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    return y, chroma[0], chroma[1]


def tone(hz, step):
    at = np.arange(step * RATE // 50, (step + 1) * RATE // 50)
    return (8000 * np.sin(2 * np.pi * hz * at / RATE)).astype(np.int16)


def loudest_hz(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), RATE * 8))
    return np.argmax(spectrum) / 8


def header(checks):
    """_abi.py says what include/trtc.h says."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "include/trtc.h").read_text(), flags=re.S)
    structs = {name: body for body, name in re.findall(r"typedef struct \{(.*?)\} (\w+);", text, re.S)}
    ours = {t.__name__: t for t in vars(_abi).values() if isinstance(t, type) and t.__name__.startswith("trtc_")}
    checks.that(set(structs) == set(ours), "every struct of the header is there", len(ours))
    wrong = []
    for name, body in structs.items():
        found = re.findall(r"\(\*(\w+)\)\((.*?)\);|(\w+)(?:\[3\])?;", body, re.S)
        members = [(function or field, args.count(",") if function else None) for function, args, field in found]
        mine = [(n, len(t._argtypes_) - 1 if hasattr(t, "_argtypes_") else None) for n, t in ours[name]._fields_]
        wrong += [name] if members != mine else []
    checks.that(not wrong, "with its members, in order", wrong)
    wrong = [t.__name__ for t in _abi.PARAMS if not trtc._params(t).struct_size]
    checks.that(not wrong, "and with the library's size", wrong)
    for name, args in _abi.FUNCTIONS.items():
        listed = re.search(rf"\b{name}\((.*?)\);", text, re.S)
        wrong += [name] if not listed or listed[1].count(",") + 1 != len(args) else []
    checks.that(not wrong, "every function takes what the header says", wrong)


def call(checks, server, alice, bob):
    bgra = np.dstack([squares(HEIGHT, WIDTH, COLOURS), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    yuv = [squares(HEIGHT // n, WIDTH // n, [c[i] for c in YUV]).tobytes() for i, n in enumerate((1, 2, 2))]
    heard, seen, read = {alice: [], bob: []}, {alice: [], bob: []}, {alice: [], bob: []}
    alice.enter(server.url, server.token("py", "alice"))
    bob.enter(url=server.url, token=server.token("py", "bob"))
    start = time.monotonic()
    for step in range(300):
        if step % 3 == 0:
            alice.send_video(bgra)
            bob.send_video(b"".join(yuv), size=(WIDTH, HEIGHT))
        alice.send_audio(tone(440, step))
        bob.send_audio(tone(1000, step).tobytes(), RATE, 1)
        if step >= 100 and step % 10 == 0 and step < 200:
            alice.send_command(1, b"a%d" % (step // 10 - 10))
            bob.send_command(2, b"b%d" % (step // 10 - 10), reliable=True)
        for me, other, form in ((alice, "bob", "i420"), (bob, "alice", "bgra")):
            picture = me.latest_video(other, form)
            if picture is not None:
                seen[me].append(picture)
            heard[me].append(me.read_audio(20))
            read[me] += me.messages()
        time.sleep(max(0, start + (step + 1) / 50 - time.monotonic()))
    for me, name, other, sent, mark in ((alice, "alice", "bob", YUV, "b"), (bob, "bob", "alice", COLOURS, "a")):
        if checks.that(len(seen[me]) > 30, f"{name} sees pictures", len(seen[me])):
            last = seen[me][-1]
            channels = planes(last) if me is alice else [last[..., i] for i in range(3)]
            means = [[q.mean() for q in quarters(c)] for c in channels]
            error = np.abs(np.array(means).T - np.array(sent)).max()
            checks.that(error <= 10, f"{name} sees the sent colours", f"{last.shape}, off by {error:.1f} at most")
        hz, want = loudest_hz(np.concatenate(heard[me][-100:])), 1000 if me is alice else 440
        checks.that(abs(hz - want) <= 2, f"{name} hears the tone", f"{hz:.2f} Hz")
        texts = [m.data.decode() for m in read[me]]
        checks.that(texts == [f"{mark}{i}" for i in range(10)] and {m.user for m in read[me]} == {other},
                    f"{name} reads 10 messages in order", texts)
    names = [e.name for e in alice.events()]
    checks.that("remote_user_enter_room" in names and "statistics" in names, "alice is told about bob", sorted(set(names)))
    bob.exit()
    time.sleep(0.5)
    checks.that(("remote_user_leave_room", ("bob", 0)) in alice.events(), "and that bob left")


def errors(checks, server, cloud):
    def code(act, *args):
        try:
            act(*args)
        except trtc.Error as error:
            return error.code if error.message else None
    checks.that(code(cloud.send_command, 1, b"x") == _abi.ERR_REFUSED, "no messages outside of rooms")
    checks.that(code(cloud.enter, server.url, "rubbish") == -3320, "no entry with a rubbish token")
    checks.that(code(cloud.send_audio, b"\0\0" * 480, 12345) == -1306, "no sound at 12345 Hz")
    cloud.close()
    checks.that(code(cloud.poll) == _abi.ERR_INVALID_HANDLE, "a closed cloud is closed")


def example(checks, server):
    """examples/python/hello_room.py, twice in a room: it ends with 0 when it saw, heard and read the other."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "bindings/python"))
    def start(user):
        command = [sys.executable, ROOT / "examples/python/hello_room.py", server.url, server.token("hello", user), "6"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for program in [start("anna"), start("bert")]:
        output = program.communicate(timeout=60)[0]
        checks.that(program.returncode == 0, "hello_room.py saw, heard and read the other", output.replace("\n", "; "))


def main():
    checks, server = Checks(), Server("trtc")
    header(checks)
    with trtc.Cloud() as alice, trtc.Cloud() as bob:
        call(checks, server, alice, bob)
    errors(checks, server, trtc.Cloud())
    example(checks, server)
    server.kill()
    checks.finish()


main()
