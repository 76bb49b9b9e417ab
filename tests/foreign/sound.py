"""Microphone and speaker on a PulseAudio server of this test's own: null sinks stand for the devices, PulseAudio's own
programs (pacat, parec, pactl) speak, hear and unplug."""
import array
import glob
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy
from rig import CHILDREN, HERE, TRTC, Checks, Lines, Server, log_file, member

sys.path.append(str(HERE.parent / "c"))
from builds import ENVIRONMENT, build  # noqa: E402

RATE = 48_000
WORK = pathlib.Path(tempfile.mkdtemp(prefix="trtc-pulse-"))
checks = Checks()


def skip(why):
    print(f"SKIPPED sound devices: {why}\n0 passed, 0 failed", flush=True)
    os._exit(0)


def start(*command, **kwargs):
    child = subprocess.Popen([str(c) for c in command], **kwargs)
    CHILDREN.append(child)
    return child


def pactl(*arguments):
    return subprocess.run(["pactl", *arguments], check=True, capture_output=True, text=True, timeout=20).stdout.strip()


def pulseaudio():
    """A server with its own socket and state; every program started from here finds it."""
    for name in ("pulseaudio", "pactl", "pacat", "parec"):
        if not shutil.which(name):
            skip(f"{name} is missing")
    socket = WORK / "native"
    for name, value in {"PULSE_SERVER": f"unix:{socket}", "HOME": WORK, "XDG_RUNTIME_DIR": WORK, "PULSE_RUNTIME_PATH": WORK / "run",
                        "PULSE_STATE_PATH": WORK / "state"}.items():
        os.environ[name] = str(value)
    server = start("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--log-level=error",
                   "-L", f"module-native-protocol-unix auth-anonymous=1 socket={socket}",
                   stdout=log_file("pulse"), stderr=subprocess.STDOUT)
    for _ in range(200):
        if server.poll() is not None:
            skip(f"pulseaudio ended with {server.returncode}")
        if subprocess.run(["pactl", "info"], capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    skip("pulseaudio did not answer")


def sink(name):
    pactl("load-module", "module-null-sink", f"sink_name={name}", f"rate={RATE}")


def microphone(name, of):
    """A microphone that hears what is played to a null sink; returns its module."""
    return pactl("load-module", "module-remap-source", f"source_name={name}", f"master={of}.monitor",
                 f"source_properties=device.description={name.title()}")


def speak(sink_name, hz):
    """A tone for ever."""
    play(sink_name, (int(12_000 * math.sin(2 * math.pi * hz * i / RATE)) for i in range(RATE)))


def bursts(sink_name):
    """20 ms of a tone, twice a second, for ever."""
    burst = [int(12_000 * math.sin(2 * math.pi * 1_000 * i / RATE)) for i in range(RATE // 50)]
    play(sink_name, [0] * (RATE // 4) + burst + [0] * (RATE // 2 - len(burst)) + burst + [0] * (RATE // 4 - len(burst)))


def play(sink_name, second):
    path = WORK / f"{sink_name}.raw"
    path.write_bytes(array.array("h", second).tobytes() * 120)
    start("pacat", "--playback", f"--device={sink_name}", f"--rate={RATE}", "--channels=1", "--format=s16le", "--latency-msec=40", path)


class Ear:
    """What a speaker plays, by its monitor."""

    def __init__(self, sink_name):
        self.sound, self.lock, self.began = bytearray(), threading.Lock(), math.inf
        child = start("parec", f"--device={sink_name}.monitor", f"--rate={RATE}", "--channels=1", "--format=s16le", "--latency-msec=20",
                      stdout=subprocess.PIPE)
        threading.Thread(target=self._read, args=(child.stdout,), daemon=True).start()

    def _read(self, pipe):
        while part := pipe.read1(65_536):
            with self.lock:
                self.sound += part
                # Chunks are late by different times: the promptest one tells when the first sample was played.
                self.began = min(self.began, time.monotonic() - len(self.sound) / 2 / RATE)

    def onsets(self):
        """The moments at which sound began after quiet."""
        with self.lock:
            sound, began = numpy.frombuffer(bytes(self.sound), dtype=numpy.int16), self.began
        loud = numpy.flatnonzero(abs(sound.astype(int)) > 2_000)
        return [began + at / RATE for at in loud[numpy.diff(loud, prepend=-RATE) > RATE // 10]]

    def last(self, seconds):
        with self.lock:
            return numpy.frombuffer(bytes(self.sound[-2 * RATE * seconds:]), dtype=numpy.int16).astype(float)

    def hears(self, hz, timeout=30):
        """Waits until three seconds are that tone, within 2 Hz and with no gap above 60 ms; says what was heard at last."""
        end, saw = time.monotonic() + timeout, None
        while time.monotonic() < end:
            saw = judged(self.last(3))
            if saw and abs(saw[0] - hz) < 2 and saw[1] <= 60:
                return True, saw
            time.sleep(0.25)
        return False, saw


def judged(sound):
    """(frequency in Hz, longest gap in ms), or None for silence or too little."""
    if len(sound) < 3 * RATE or abs(sound).max() < 500:
        return None
    loud = sound.reshape(-1, RATE // 200).__abs__().max(axis=1) > numpy.percentile(abs(sound), 90) / 10
    gap = longest = 0
    for on in loud:
        gap = 0 if on else gap + 5
        longest = max(longest, gap)
    power = abs(numpy.fft.rfft(sound * numpy.hanning(len(sound))))
    return round(float(power.argmax()) * RATE / len(sound), 2), longest


def latency(server, name):
    """From the microphone's sink to the speaker's monitor, in ms, of some bursts of one call."""
    heard = Ear("vmic3"), Ear("spk")
    talks = member(server, "sound", name, "--publish", "mic", "--mic", "Mic3", "--seconds", "60")
    talks.wait("mic_ready", 30)
    time.sleep(5)
    talks.leave()
    spoken, played = (ear.onsets() for ear in heard)
    ways = [min((at - word for at in played if at > word), default=math.inf) for word in spoken]
    return [1_000 * way for way in ways if way < 0.4]


pulseaudio()
for device in ("vmic", "vmic2", "vmic3", "spk", "spk2"):
    sink(device)
microphone("mic", "vmic")
second = microphone("mic2", "vmic2")
microphone("mic3", "vmic3")
pactl("set-default-source", "mic")
pactl("set-default-sink", "spk")
speak("vmic", 997)
speak("vmic2", 500)
bursts("vmic3")

server = Server("trtc")
ear = Ear("spk")
hears = member(server, "sound", "hears", "--subscribe", "--speaker", "default", "--seconds", "600")
checks.that(hears.wait("joined"), "a member with a speaker joined")
checks.that(hears.wait("device_change", device="spk", type=1, state=2), "the default speaker is in use")
talks = member(server, "sound", "talks", "--publish", "mic,camera", "--speaker", "default", "--seconds", "600")
checks.that(talks.wait("mic_ready", 30), "the default microphone delivers, with --publish mic,camera --speaker default")
if glob.glob("/dev/video*"):
    print("note: this machine has cameras; what happens without one is not tested")
else:
    saw = talks.wait("warning", code=1111)
    checks.that(saw and saw["message"].startswith("no camera"), "and the camera is said to be missing", saw)
    refused = subprocess.run([TRTC, "join", "--dev", "--url", server.url, "--publish", "camera", "--camera", "Desk"], capture_output=True, text=True)
    said = 'no camera "Desk"; there is none at all'
    checks.that(refused.returncode == 1 and said in refused.stderr, "as is one that was asked for by name", refused.stderr.strip())
ok, saw = ear.hears(997)
checks.that(ok, "997 Hz at the microphone come out at the speaker (Hz, longest gap in ms)", saw)
checks.that(talks.leave(), "the member left at a signal")

talks = member(server, "sound", "named", "--publish", "mic", "--mic", "Mic2", "--seconds", "600")
checks.that(talks.wait("device_change", 30, device="mic2", type=0, state=2), "a microphone is selected by name")
ok, saw = ear.hears(500)
checks.that(ok, "and it is the one that is heard", saw)
checks.that(talks.leave(), "the member left at a signal")

program = build(HERE.parent / "c" / "devices.c")
if checks.that(program, "tests/c/devices.c builds against the stage"):
    door = Lines([program, server.url, server.token("sound", "door"), "mic=Mic2", "speaker"],
                 env={**os.environ, "LD_LIBRARY_PATH": ENVIRONMENT["LD_LIBRARY_PATH"]})
    listed = [door.wait("device", 30, type=0, id=id) for id in ("mic", "mic2")]
    checks.that(all(listed) and listed[1]["name"] == "Mic2", "trtc_device_*: the microphones are listed", listed)
    checks.that(door.wait("device", type=1, id="spk") and door.wait("device", type=1, id="spk2"), "and the speakers")
    checks.that(door.wait("current", type=0, id="mic2"), "trtc_device_set_current_device: one is selected")
    checks.that(door.wait("mic_ready", 30), "trtc_cloud_start_local_audio: it delivers")
    ok, saw = ear.hears(500)
    checks.that(ok, "and is heard", saw)
    door.child.terminate()
    saw = door.wait("end", 30)
    checks.that(saw and saw["good"], "every call was accepted", saw)

runs = [latency(server, f"fast{run}") for run in range(3)]
for run in filter(None, runs):
    print(f"latency, PulseAudio to PulseAudio: {len(run)} bursts, median {statistics.median(run):.0f} ms, {min(run):.0f} to {max(run):.0f} ms")
checks.that(all(runs), "the latency was measured in three calls; no bar is set")

talks = member(server, "sound", "follows", "--publish", "mic", "--seconds", "600")
checks.that(talks.wait("device_change", 30, device="mic", type=0, state=2), "the default microphone is in use")
checks.that(ear.hears(997)[0], "and heard")
pactl("set-default-source", "mic2")
checks.that(talks.wait("device_change", device="mic2", state=3), "another default is told")
ok, saw = ear.hears(500)
checks.that(ok, "and followed", saw)
pactl("unload-module", second)
checks.that(talks.wait("device_change", device="mic2", state=1), "a microphone that is pulled out is told")
checks.that(talks.wait("warning", code=1204), "with the vendor's warning")
pactl("set-default-source", "mic")
ok, saw = ear.hears(997)
checks.that(ok, "the call goes on with the other one", saw)
second = microphone("mic2", "vmic2")
checks.that(talks.wait("device_change", device="mic2", state=0), "one that is plugged in is told")
pactl("set-default-source", "mic2")
ok, saw = ear.hears(500)
checks.that(ok, "and used again", saw)

other = Ear("spk2")
pactl("set-default-sink", "spk2")
ok, saw = other.hears(500)
checks.that(ok, "another default speaker is followed", saw)

for each in (hears, talks):
    each.kill()
checks.finish()
