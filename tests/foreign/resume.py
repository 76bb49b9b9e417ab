"""Clients lose their connection in four ways and come back: client x cause, with the longest pause of what flows and the time until
the client says that it is back. The path is cut in a network namespace. Numbered reliable messages and pictures run both ways all
the time, and the picture's time code is read before and after. As long as the server lives nobody joins anew: what comes back is
the same member with the same tracks, over an ICE restart of both connections."""
import base64
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import netns
import timecode
from rig import HERE, TRTC, Checks, Lines, clip, counters, has_browser, log_file, mint

WIDTH, HEIGHT, FPS = 320, 180, 15
STAY = 400
KEY, SECRET = "testkey", "a-secret-of-the-tests-with-enough-characters"
CAUSES = ["WebSocket cut", "changed address", "path dead 8 s", "server restart"]
RESTARTS = ["media_publisher_restarts", "media_subscriber_restarts"]


class Far:
    """A server in its own namespace that can be killed and started again on the same ports."""

    def __init__(self, kind, network, port):
        self.kind, self.network, self.port = kind, network, port
        self.url, self.page = f"ws://{netns.SERVER_ADDRESS}:{port}", f"http://{netns.SERVER_ADDRESS}:{port}"
        self.config = pathlib.Path(tempfile.mkdtemp()) / "config"
        address = netns.SERVER_ADDRESS
        if kind == "trtc":
            self.config.write_text(
                f'bind = "{address}"\nport = {port}\nudp_port = {port + 2}\ntcp_port = {port + 1}\n[keys]\n{KEY} = "{SECRET}"\n'
            )
            self.command = [TRTC, "serve", "--config", self.config]
        else:
            self.config.write_text(
                f"port: {port}\nbind_addresses: ['{address}']\nkeys: {{{KEY}: {SECRET}}}\n"
                f"rtc: {{udp_port: {port + 2}, tcp_port: 0, use_external_ip: false, node_ip: {address}, interfaces: {{includes: [trtc0]}},"
                f" stun_servers: ['{address}:3478']}}\nlogging: {{level: warn}}\n"
            )
            self.command = [os.environ["LIVEKIT_SERVER"], "--config", self.config]
        self.start()

    def start(self):
        self.lines = Lines([*self.network.at_server(), *self.command], stderr=log_file(f"resume-{self.kind}-{self.port}"))
        listens = f"import socket; socket.create_connection(('{netns.SERVER_ADDRESS}', {self.port}), 1)"
        for _ in range(200):
            tried = subprocess.run([*self.network.at_server(), "/usr/bin/python3", "-c", listens], capture_output=True, check=False)
            if tried.returncode == 0:
                return
            time.sleep(0.05)
        raise SystemExit(f"{self.kind} did not start")

    def token(self, room, identity):
        return mint(KEY, SECRET, room, identity)

    def counts(self):
        """The counters of /metrics by name, of `trtc serve`."""
        read = f"import urllib.request; print(urllib.request.urlopen('{self.page}/metrics', timeout=10).read().decode())"
        page = subprocess.run([*self.network.at_server(), "/usr/bin/python3", "-c", read], capture_output=True, check=True, text=True).stdout
        return counters(page)


def join(prefix, server, room, user):
    command = [TRTC, "join", "--url", server.url, "--token", server.token(room, user), "--json", "--allow-plain", "--publish", "pattern",
               "--subscribe", "--size", f"{WIDTH}x{HEIGHT}", "--fps", FPS, "--kbps", 200, "--seconds", STAY]
    return Lines([*prefix, *command], stderr=log_file(f"resume-{room}-{user}"))


class Pair:
    """A client behind a path that is cut, and one of ours at the server's side."""

    def __init__(self, checks, network, number, name, kind, start):
        self.checks, self.network, self.number, self.name, self.start = checks, network, number, name, start
        self.server = Far(kind, network, 7880 + 10 * number)
        room = f"room{number}"
        self.near = join(network.at_server(), self.server, room, "near")
        self.far = start(network.client(number), self.server, room)
        self.figures = {}

    def run(self):
        joined = self.far.wait("joined", 60) and self.near.wait("joined", 10)
        flows = joined and self.messages_after(self.near, 0, 60) and all(self.picture_after(lines, 0, 60) for lines in (self.near, self.far))
        if not self.checks.that(flows, f"{self.name} is in a call"):
            return
        for act in (self.cut_websocket, self.change_address, self.dead_path):
            act()
            time.sleep(1)
        self.restart()

    def after(self, lines, begin, timeout, fits):
        """Seconds from `begin` to the first event that fits, or None."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for event in list(lines.events):
                if event["_t"] > begin and fits(event):
                    return event["_t"] - begin
            time.sleep(0.02)
        return None

    def messages_after(self, lines, begin, timeout):
        return self.after(lines, begin, timeout, lambda e: e["event"] == "message" and e.get("cmd_id", 1) == 1)

    def picture_after(self, lines, begin, timeout):
        return self.after(lines, begin, timeout, lambda e: e["event"] in ("frames", "picture"))

    def noticed(self, begin, timeout):
        return self.after(self.far, begin, timeout, lambda e: e["event"] in ("lost", "connection_lost"))

    def back(self, begin, timeout):
        return self.after(self.far, begin, timeout, lambda e: e["event"] in ("back", "connection_recovery"))

    def measure(self, cause, begin, opened, comes_back):
        """From the moment that the path was open again: the client's word, and what still flows after it."""
        told = self.back(begin, 40) if comes_back else None
        since = max(opened, begin + (told or 0))
        up, down = (self.messages_after(lines, since, 30) for lines in (self.near, self.far))
        sends, sees = (self.picture_after(lines, since, 30) for lines in (self.near, self.far))
        ok = all(t is not None for t in (up, down, sends, sees)) and (told is not None or not comes_back)
        self.checks.that(ok, f"{self.name} after {cause}", self.show(opened - begin, told, up, down, sends, sees))
        word = "-" if told is None else f"{max(begin + told - opened, 0):.1f} s"
        self.figures[cause] = f"{self.pause(begin):.1f} s, {word}" if ok else "failed"

    def pause(self, begin):
        """The longest time since then without a message or a picture, up or down."""
        message, picture = lambda e: e["event"] == "message", lambda e: e["event"] in ("frames", "picture")
        longest = 0
        for lines, fits in itertools.product((self.near, self.far), (message, picture)):
            times = [e["_t"] for e in list(lines.events) if fits(e)]
            longest = max([longest, *(b - a for a, b in itertools.pairwise(times) if b > begin)])
        return longest

    @staticmethod
    def show(cut, told, up, down, sends, sees):
        text = lambda t: "never" if t is None else f"{t:.2f} s"  # noqa: E731
        return f"cut {cut:.1f} s; recovered {text(told)} after the cut; from then up {text(up)}, down {text(down)}, picture up {text(sends)}, down {text(sees)}"

    def kept(self, cause, begin, before, noticed):
        """Others saw the same member with the same tracks all the time, and the client restarted ICE instead of joining anew."""
        gone = [e for e in list(self.near.events) if e["_t"] > begin
                and (e["event"] == "user_left" or (e["event"] == "user_video_available" and not e["available"]))]
        self.checks.that(not gone, f"{self.name} after {cause} has left nobody, and no picture ended", gone)
        if not before:
            return
        end, least = time.monotonic() + 20, 1 if noticed else 0
        while True:
            after = self.server.counts()
            grew = {name: after[name] - before[name] for name in ("joins", "resumes", "resumes_declined", *RESTARTS)}
            restarted = all(grew[name] >= least for name in ("resumes", *RESTARTS))
            if restarted or time.monotonic() > end:
                break
            time.sleep(0.2)
        ok = restarted and grew["joins"] == grew["resumes_declined"] == 0
        how = "resumed with new ICE credentials on both connections" if noticed else "noticed nothing"
        self.checks.that(ok, f"{self.name} after {cause} has {how}, and not joined anew", grew)

    def counts(self):
        return self.server.counts() if self.server.kind == "trtc" else None

    def cut_websocket(self):
        # The others' first attempt is let through. With any server, livekit-client 2.23 loses a message that was published while
        # an attempt ran that failed (the next one overtakes it), and PyPI's 1.2 joins anew after one.
        cut = self.network.cut_websocket if self.start is ours else self.network.cut_open_websockets
        before, begin = self.counts(), time.monotonic()
        cut(self.number, self.server.port)
        self.noticed(begin, 20)
        self.network.heal(self.number)
        self.measure(CAUSES[0], begin, time.monotonic(), True)
        self.kept(CAUSES[0], begin, before, True)

    def change_address(self):
        before, begin = self.counts(), time.monotonic()
        self.network.change_address(self.number)
        self.measure(CAUSES[1], begin, time.monotonic(), True)
        self.kept(CAUSES[1], begin, before, True)

    def dead_path(self):
        before, begin = self.counts(), time.monotonic()
        self.network.cut_path(self.number)
        time.sleep(8)
        self.network.heal(self.number)
        opened = time.monotonic()
        # Who noticed has to say that it is back; who did not has nothing to say.
        noticed = self.noticed(begin, 0.1) is not None
        self.measure(CAUSES[2], begin, opened, noticed)
        self.kept(CAUSES[2], begin, before, noticed)

    def restart(self):
        begin = time.monotonic()
        self.server.lines.kill()
        time.sleep(1)
        self.server.start()
        self.measure(CAUSES[3], begin, time.monotonic(), True)
        time.sleep(1)
        self.judge(begin)

    def judge(self, restart):
        """Before the restart no number may be missing; none may come twice ever."""
        for lines, way in ((self.near, f"{self.name} sends"), (self.far, f"{self.name} receives")):
            events = [e for e in lines.events if e["event"] == "message" and e.get("cmd_id", 1) == 1]
            before = [e["seq"] for e in events if e["_t"] < restart]
            numbers = [e["seq"] for e in events]
            missing = sorted(set(range(before[0], before[-1] + 1)) - set(before)) if before else ["all"]
            doubled = len(numbers) - len(set(numbers))
            lost = (max(numbers) - min(numbers) + 1 - len(set(numbers))) if numbers else None
            self.checks.that(not missing and not doubled and numbers == sorted(numbers), f"{way}: no message lost, none doubled, in order",
                             f"{len(numbers)} messages, missing {missing[:8]}, doubled {doubled}; {lost} lost with the killed server")
        indices = [code for code in map(self.index, self.far.events) if code is not None]
        self.checks.that(len(set(indices)) > 20, f"{self.name} reads time codes", len(set(indices)))

    @staticmethod
    def index(event):
        if event["event"] == "picture":
            code = timecode.read_bytes(base64.b64decode(event["luma"]), WIDTH, HEIGHT)
            return code and code[1]
        return event.get("index") if event["event"] == "frames" else None


def python_client(picture):
    def start(prefix, server, room):
        options = ["--clip", picture, "--width", WIDTH, "--height", HEIGHT, "--fps", FPS, "--seconds", STAY]
        token = server.token(room, "far")
        return Lines([*prefix, sys.executable, HERE / "resume_peer.py", "--url", server.url, "--token", token, *options],
                     stderr=log_file(f"resume-python-{server.kind}"))
    return start


def browser(prefix, server, room):
    arguments = {"modules": os.environ["TRTC_NODE_MODULES"], "page": server.page, "url": server.url, "token": server.token(room, "far"),
                 "seconds": STAY}
    return Lines([*prefix, "node", HERE / "resume_browser.mjs", json.dumps(arguments)], stderr=log_file(f"resume-browser-{server.kind}"))


def ours(prefix, server, room):
    return join(prefix, server, room, "far")


def rows(picture):
    """Who is tried on which server."""
    livekit = os.environ.get("LIVEKIT_SERVER")
    yield "library on trtc serve", "trtc", ours
    yield "PyPI livekit on trtc serve", "trtc", python_client(picture)
    if has_browser():
        yield "Chromium on trtc serve", "trtc", browser
    else:
        print("SKIPPED Chromium on trtc serve: no livekit-client or no chromium")
    if livekit:
        yield "library on livekit-server", "livekit", ours
    # What foreign programs do among themselves: to compare with, when asked for.
    if livekit and os.environ.get("TRTC_RESUME_BASELINE"):
        yield "PyPI livekit on livekit-server", "livekit", python_client(picture)
        if has_browser():
            yield "Chromium on livekit-server", "livekit", browser


def main():
    reason = netns.missing()
    if reason:
        print(f"SKIPPED resume over cut paths: no network namespaces here ({reason})")
        return
    checks, network = Checks(), netns.Network()
    picture = clip(20, WIDTH, HEIGHT, FPS)
    only = os.environ.get("TRTC_RESUME_ONLY", "")
    wanted = [row for row in rows(picture) if only in row[0]]
    pairs = [Pair(checks, network, number, *row) for number, row in enumerate(wanted, 1)]
    with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
        list(pool.map(Pair.run, pairs))  # one that breaks off breaks the suite
    print(f"{'longest pause, back after':32}" + "".join(f"{cause:>18}" for cause in CAUSES))
    for pair in pairs:
        print(f"{pair.name:32}" + "".join(f"{pair.figures.get(cause, '-'):>18}" for cause in CAUSES))
    network.close()
    checks.finish()


if __name__ == "__main__":
    main()
