"""Shared by the suites: servers, members, checks. Every process that is started here is killed here."""
import atexit
import base64
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
STAGE = pathlib.Path(os.environ.get("TRTC_STAGE", HERE.parent.parent / "target" / "stage"))
TRTC = STAGE / "bin" / "trtc"
CHILDREN = []


@atexit.register
def _reap():
    for child in CHILDREN:
        if child.poll() is None:
            child.kill()


class Checks:
    """Counts; a failed check is printed and never retried."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def that(self, ok, what, saw=""):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{'ok  ' if ok else 'FAIL'} {what} {saw}", flush=True)
        return ok

    def timed(self, ok, late, what, saw=""):
        """A figure that depends on the machine's speed: where the machine itself was late (`late` says how), a bad one is void."""
        if ok or not late:
            return self.that(ok, what, saw)
        print(f"void: {what}: {saw}; {late}", flush=True)
        return False

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.stdout.flush()
        _reap()
        os._exit(1 if self.failed or not self.passed else 0)


class Lines:
    """A child whose standard output is one JSON object a line, read as it comes."""

    def __init__(self, command, **kwargs):
        self.child = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True, **kwargs)
        CHILDREN.append(self.child)
        self.events, self.changed = [], threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            event["_t"] = time.monotonic()
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()
        with self.changed:
            self.events.append({"event": "_end", "_t": time.monotonic()})
            self.changed.notify_all()

    def wait(self, name, timeout=20, **fields):
        """The first event of that name (and fields), or None."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                for event in self.events:
                    if event.get("event") == name and all(event.get(k) == v for k, v in fields.items()):
                        return event
                left = end - time.monotonic()
                if left <= 0 or (self.events and self.events[-1]["event"] == "_end"):
                    return None
                self.changed.wait(left)

    def kill(self):
        self.child.kill()

    def leave(self, timeout=20):
        """Asks a member to leave; its summary."""
        self.child.terminate()
        return self.wait("summary", timeout)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """`trtc serve --dev`, or the real livekit-server on loopback."""

    def __init__(self, kind):
        self.kind = kind
        if kind == "trtc":
            self.lines = Lines([TRTC, "serve", "--dev", "--port", "0"], stderr=log_file("serve"))
            ready = self.lines.wait("ready", 10)
            if not ready:
                raise SystemExit("trtc serve gave no ready line")
            self.url, self.http = ready["ws"], ready["http"]
            self.key, self.secret = ready["api_key"], ready["api_secret"]
            return
        port, udp = free_port(), free_port()
        self.key, self.secret = "devkey", "secretsecretsecretsecretsecretse"
        self.url, self.http = f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}"
        config = pathlib.Path(tempfile.mkdtemp()) / "livekit.yaml"
        config.write_text(
            f"port: {port}\nbind_addresses: ['127.0.0.1']\nkeys: {{{self.key}: {self.secret}}}\n"
            f"rtc: {{udp_port: {udp}, tcp_port: 0, use_external_ip: false, node_ip: 127.0.0.1, enable_loopback_candidate: true,"
            " interfaces: {includes: [lo]}, stun_servers: ['127.0.0.1:3478']}\nlogging: {level: warn}\n"
        )
        self.lines = Lines([os.environ["LIVEKIT_SERVER"], "--config", config], stderr=log_file("livekit"))
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("livekit-server did not start")

    def token(self, room, identity, **grant):
        return mint(self.key, self.secret, room, identity, **grant)

    def counts(self):
        """The counters of /metrics by name, of `trtc serve`."""
        with urllib.request.urlopen(f"{self.http}/metrics", timeout=10) as page:
            return counters(page.read().decode())

    def kill(self):
        self.lines.kill()


def counters(page):
    """Name (without `trtc_` and `_total`) and value of what a metrics page counts."""
    lines = (line.split() for line in page.splitlines() if line.startswith("trtc_"))
    return {name.removeprefix("trtc_").removesuffix("_total"): int(value) for name, value in lines}


def mint(key, secret, room, identity, valid_s=3600, **grant):
    """A LiveKit token, made without any code of ours."""
    now = int(time.time())
    claims = {
        "iss": key, "sub": identity, "nbf": now - 900, "exp": now + valid_s,
        "video": {"roomJoin": True, "room": room, "canPublish": True, "canSubscribe": True, "canPublishData": True, **grant},
    }

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    body = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(claims)
    mac = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return (body + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def has_browser():
    """Whether Chromium with livekit-client can be tried."""
    return "TRTC_NODE_MODULES" in os.environ and all(map(shutil.which, ("chromium", "node")))


def log_file(name):
    path = pathlib.Path(os.environ.get("TRTC_TEST_LOGS", tempfile.gettempdir())) / f"trtc-test-{name}-{os.getpid()}.log"
    return open(path, "ab")  # noqa: SIM115 - lives as long as the child


def member(server, room, user, *options):
    """One of our members: `trtc join`."""
    return Lines([TRTC, "join", "--url", server.url, "--token", server.token(room, user), "--json", *options], stderr=log_file(user))


def python_peer(server, room, user, *options):
    """The official Python client."""
    return Lines([sys.executable, HERE / "peer.py", "--url", server.url, "--token", server.token(room, user), *options], stderr=log_file(user))


def void(ours, what):
    """Whether `ours` was sent VP8 by a Python client that publishes H.264, which it does now and then, when several start at
    once, to livekit-server and to `trtc serve` alike. Such a try says nothing about us: it is named, and tried once more."""
    warned = [e["message"] for e in list(ours.events) if e["event"] == "warning" and "video/VP8" in e["message"]]
    if warned:
        print(f"void: {what}: {warned[0]}", flush=True)
    return bool(warned)


def clip(seconds=20, width=640, height=360, fps=30):
    """The built-in pattern as a raw I420 file: what the foreign side sends and compares with."""
    path = pathlib.Path(tempfile.mkdtemp()) / "pattern.yuv"
    subprocess.run(
        [TRTC, "pattern", "--width", str(width), "--height", str(height), "--fps", str(fps), "--seconds", str(seconds), "--output", path],
        check=True,
    )
    return path
