"""Calls over the paths that real networks leave: IPv6, TLS, no UDP, only a TURN server. Foreign clients, judged by content."""
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
import time
import urllib.request

from rig import CHILDREN, HERE, TRTC, Checks, Lines, Server, clip, free_port, has_browser, log_file, void

KEY, SECRET = "network", "a-secret-for-tests-of-the-network-only"
# Of this process, so that two runs at once do not meet.
SPACE, SUBNET = f"trtc{os.getpid() % 10000}", f"10.{88 + os.getpid() // 256 % 64}.{os.getpid() % 256}"
OUTSIDE, INSIDE = f"{SUBNET}.1", f"{SUBNET}.2"
SECONDS = 6
# Our member is on this side of the cable, and plain ws is for loopback.
BOTH = f"public_ips = ['{OUTSIDE}', '127.0.0.1']"


class Configured(Server):
    """`trtc serve --config`, with its own keys."""

    def __init__(self, name, settings, tables="", scheme="ws", host=None):
        path = pathlib.Path(tempfile.mkdtemp()) / f"{name}.toml"
        path.write_text(f"port = 0\nudp_port = 0\ntcp_port = 0\n{settings}\n[keys]\n{KEY} = '{SECRET}'\n{tables}")
        self.kind, self.key, self.secret = "trtc", KEY, SECRET
        self.lines = Lines([TRTC, "serve", "--config", path], stderr=log_file(name))
        self.ready = self.lines.wait("ready", 15)
        if not self.ready:
            raise SystemExit(f"trtc serve ({name}) gave no ready line")
        port = self.ready["http"].rsplit(":", 1)[1]
        host = host or self.ready["http"].split("//")[1].rsplit(":", 1)[0]
        self.near = f"{scheme}://127.0.0.1:{port}"
        self.url, self.http = f"{scheme}://{host}:{port}", f"{scheme.replace('ws', 'http')}://{host}:{port}"

    def metric(self, name):
        page = urllib.request.urlopen(self.http + "/metrics", timeout=5).read().decode()
        return int(next(line.split(" ")[1] for line in page.splitlines() if line.startswith(name + " ")))


class Livekit(Server):
    """livekit-server at the outer end of the cable."""

    def __init__(self, name, ways):
        port = free_port()
        self.kind, self.key, self.secret = "livekit", KEY, SECRET
        self.url = self.near = f"ws://{OUTSIDE}:{port}"
        config = pathlib.Path(tempfile.mkdtemp()) / "livekit.yaml"
        config.write_text(
            f"port: {port}\nbind_addresses: ['{OUTSIDE}']\nkeys: {{{KEY}: {SECRET}}}\n"
            f"rtc: {{udp_port: {free_port()}, {ways}, use_external_ip: false, node_ip: {OUTSIDE},"
            f" interfaces: {{includes: [{SPACE}]}}, stun_servers: ['{OUTSIDE}:3478']}}\nlogging: {{level: warn}}\n"
        )
        self.lines = Lines([os.environ["LIVEKIT_SERVER"], "--config", config], stderr=log_file(name))
        for _ in range(200):
            try:
                socket.create_connection((OUTSIDE, port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("livekit-server did not start")


def run(*command):
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20)


def python_peer(server, room, user, picture, within=(), **env):
    """What starts it."""
    command = [*within, sys.executable, HERE / "peer.py", "--url", server.url, "--token", server.token(room, user)]
    options = ["--publish", "--clip", picture, "--seconds", SECONDS]
    return lambda: Lines([*command, *options], stderr=log_file(user), env={**os.environ, **env})


def browser(server, room, page, within=(), flags=()):
    """What starts it."""
    args = {
        "modules": os.environ["TRTC_NODE_MODULES"], "page": page, "url": server.url, "token": server.token(room, "browser"),
        "seconds": SECONDS, "flags": list(flags),
    }
    return lambda: Lines([*within, "node", HERE / "network.mjs", json.dumps(args)], stderr=log_file("network-browser"))


class Call:
    """Our member in the room, and one foreign client, which `foreign` starts; both run while others do."""

    def __init__(self, what, server, room, foreign, url=None, within=(), **env):
        self.what, self.foreign, self.tries = what, foreign, 0
        options = ["--publish", "pattern", "--subscribe", "--seconds", str(SECONDS + 14), "--json", *(["--allow-plain"] if within else [])]
        command = [*within, TRTC, "join", "--url", url or server.url, "--token", server.token(room, "ours"), *options]
        self.member = lambda: Lines(command, stderr=log_file(room), env={**os.environ, **env})
        self.start()

    def start(self):
        self.tries += 1
        self.ours, self.theirs = self.member(), self.foreign()

    def judge(self, checks, user):
        verdict, summary = self.theirs.wait("verdict", 60), self.ours.wait("summary", 60)
        if not checks.that(verdict and summary, f"{self.what}: both sides give a verdict"):
            return None
        seen = verdict["video"]["frames"] if "video" in verdict else verdict["frames"]
        checks.that(seen > 60, f"{self.what}: the {user} sees our pictures", seen)
        remote = next((r for r in summary["remote"] if r["user"] == user), {})
        frames = (remote.get("video") or {}).get("frames", 0)
        if not void(self.ours, f"{self.what}: we see the {user}'s pictures"):
            checks.that(frames > 60, f"{self.what}: we see the {user}'s pictures", frames)
        elif self.tries == 1:
            self.start()
            return self.judge(checks, user)
        else:
            checks.that(False, f"{self.what}: the {user} sends H.264 in one of two tries")
        if "video" in verdict:
            checks.that(verdict["video"]["seen_ratio"] >= 0.75, f"{self.what}: it reads the time codes of most frames", verdict["video"]["seen_ratio"])
            hears = verdict["audio"]["tone_hz"] and abs(verdict["audio"]["tone_hz"] - 440) <= 2
            checks.that(hears, f"{self.what}: it hears our tone within 2 Hz", verdict["audio"]["tone_hz"])
        return verdict


def certificate():
    """A CA and a certificate for localhost, as files."""
    at = pathlib.Path(tempfile.mkdtemp())
    ca, key, request, cert = (at / name for name in ("ca.pem", "key.pem", "request.pem", "cert.pem"))
    extensions = at / "extensions"
    extensions.write_text(f"subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1,IP:{OUTSIDE}\n")
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("openssl", "req", "-x509", *ec, "-keyout", at / "ca-key.pem", "-out", ca, "-subj", "/CN=test CA", "-days", "2")
    run("openssl", "req", *ec, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    run("openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", at / "ca-key.pem", "-CAcreateserial", "-out", cert,
        "-days", "2", "-extfile", extensions)
    return ca, cert, key


def namespace():
    """A network of its own, one cable away. Rules decide what leaves it."""
    inside = ["ip", "netns", "exec", SPACE]
    run("ip", "netns", "add", SPACE)
    atexit.register(remove_namespace)
    run("ip", "link", "add", SPACE, "type", "veth", "peer", "name", "cable", "netns", SPACE)
    run("ip", "address", "add", f"{OUTSIDE}/24", "dev", SPACE)
    run("ip", "link", "set", SPACE, "up")
    run(*inside, "ip", "address", "add", f"{INSIDE}/24", "dev", "cable")
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "link", "set", "cable", "up")
    run(*inside, "ip", "route", "add", "default", "via", OUTSIDE)
    # UDP reaches a TURN server's port and nothing else. Dropped at the far end, as a firewall does it: a sender sees no error
    # (Chromium closes the socket on one).
    drop = f"iifname {SPACE} udp dport != 3478 drop"
    hook = f"chain inet {SPACE} arriving {{ type filter hook prerouting priority -300; }}"
    run("nft", f"add table inet {SPACE}; add {hook}; add rule inet {SPACE} arriving {drop}")
    return inside


def remove_namespace():
    """With the cable, whose end is in it."""
    subprocess.run(["nft", "delete", "table", "inet", SPACE], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "del", SPACE], check=False, capture_output=True)


def udp_is_blocked(within):
    """Sends from inside; nothing may come out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((OUTSIDE, 0))
        listening.settimeout(1)
        port = listening.getsockname()[1]
        send = f"import socket; socket.socket(2, 2).sendto(b'x', ('{OUTSIDE}', {port}))"
        subprocess.run([*within, sys.executable, "-c", send], check=False, capture_output=True)
        try:
            listening.recv(10)
            return False
        except TimeoutError:
            return True


def turn_server(secret, cert, key):
    """coturn: UDP and TCP on 3478, TLS on 5349."""
    config = pathlib.Path(tempfile.mkdtemp()) / "turnserver.conf"
    config.write_text(
        f"listening-ip={OUTSIDE}\nrelay-ip={OUTSIDE}\nlistening-port=3478\ntls-listening-port=5349\nuse-auth-secret\n"
        f"static-auth-secret={secret}\nrealm=test\ncert={cert}\npkey={key}\nno-dtls\nno-cli\nfingerprint\n"
        f"pidfile={config.parent}/pid\nlog-file=stdout\nuserdb={config.parent}/db\n"
    )
    child = subprocess.Popen(["turnserver", "-c", str(config)], stdout=log_file("turn"), stderr=subprocess.STDOUT)
    CHILDREN.append(child)
    for _ in range(100):
        try:
            return socket.create_connection((OUTSIDE, 5349), 1).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit("coturn did not start")


def main():
    checks, picture = Checks(), clip(12)
    calls = []
    six = Configured("network-v6", "bind = '::1'")
    calls.append((Call("IPv6", six, "six", python_peer(six, "six", "python", picture)), "python"))
    ca, cert, key = certificate()
    trust = {"SSL_CERT_FILE": str(ca)}
    tls = Configured("network-tls", "bind = '127.0.0.1'", f"[tls]\ncert = '{cert}'\nkey = '{key}'\n", "wss", "localhost")
    calls.append((Call("TLS", tls, "tls", python_peer(tls, "tls", "python", picture, **trust), **trust), "python"))
    if has_browser():
        page = browser(tls, "web", tls.http, flags=["--ignore-certificate-errors"])
        calls.append((Call("TLS, Chromium", tls, "web", page, **trust), "browser"))
    judge(checks, calls)
    try:
        within = namespace()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"SKIPPED networks without UDP: no network namespace ({error})")
        checks.finish()
    blocked(checks, within, picture)
    turn(checks, within, picture, (ca, cert, key))
    remove_namespace()  # finish leaves without the exit handlers
    checks.finish()


def judge(checks, calls):
    return [call.judge(checks, user) for call, user in calls]


def blocked(checks, within, picture):
    """No UDP at all: media over TCP."""
    server = Configured("network-tcp", BOTH, host=OUTSIDE)
    checks.that(udp_is_blocked(within), "UDP does not leave the namespace")
    calls = [(Call("no UDP", server, "tcp", python_peer(server, "tcp", "python", picture, within), server.near), "python")]
    if has_browser():
        calls.append((Call("no UDP, Chromium", server, "web", browser(server, "web", server.http, within), server.near), "browser"))
    # Our member has the network without UDP, the Python client the whole one.
    calls.append((Call("no UDP, our member", server, "ours", python_peer(server, "ours", "python", picture), within=within), "python"))
    if os.environ.get("LIVEKIT_SERVER"):
        livekit = Livekit("network-livekit", f"tcp_port: {free_port()}")
        near = python_peer(livekit, "ours", "python", picture)
        calls.append((Call("no UDP, our member, livekit-server", livekit, "ours", near, within=within), "python"))
    verdicts = judge(checks, calls)
    if has_browser() and verdicts[1]:
        routes = verdicts[1]["routes"].values()
        checks.that(all(r and r["protocol"] == "tcp" for r in routes), "no UDP, Chromium: over TCP, both ways", verdicts[1]["routes"])
    carried = [server.metric(f"trtc_media_tcp_{way}_total") for way in ("in", "out")]
    checks.that(min(carried) > 100, "no UDP: the server carried it over TCP", carried)


def turn(checks, within, picture, files):
    """Nothing but a TURN server can be reached: by clients of others, and by our member in each way that there is to it."""
    if not shutil.which("turnserver"):
        return print("SKIPPED TURN: coturn is missing")
    (ca, cert, key), secret = files, "shared-with-the-turn-server"
    turn_server(secret, cert, key)

    def server(name, url):
        table = f"[[ice_servers]]\nurls = ['{url}']\nshared_secret = '{secret}'\n"
        return Configured(f"network-{name}", BOTH + "\nice_tcp = false", table, host=OUTSIDE)

    def ours(what, server, room, **env):
        return Call(what, server, room, python_peer(server, room, "python", picture), within=within, **env), "python"

    udp = server("turn", f"turn:{OUTSIDE}:3478?transport=udp")
    calls = [(Call("TURN", udp, "turn", python_peer(udp, "turn", "python", picture, within), udp.near), "python")]
    if has_browser():
        calls.append((Call("TURN, Chromium", udp, "web", browser(udp, "web", udp.http, within), udp.near), "browser"))
    calls.append(ours("TURN, our member", udp, "ours"))
    verdicts = judge(checks, calls)
    if has_browser() and verdicts[1]:
        routes = verdicts[1]["routes"].values()
        checks.that(all(r and r["local"] == "relay" for r in routes), "TURN, Chromium: relayed, both ways", verdicts[1]["routes"])
    tcp, tls = server("turn-tcp", f"turn:{OUTSIDE}:3478?transport=tcp"), server("turn-tls", f"turns:{OUTSIDE}?transport=tcp")
    calls = [ours("TURN over TCP, our member", tcp, "tcp"), ours("TURN over TLS, our member", tls, "tls", SSL_CERT_FILE=str(ca))]
    if os.environ.get("LIVEKIT_SERVER"):
        user = f"{int(time.time()) + 3600}:livekit"
        password = base64.b64encode(hmac.new(secret.encode(), user.encode(), hashlib.sha1).digest()).decode()
        login = f"host: {OUTSIDE}, port: 3478, protocol: udp, username: '{user}', credential: '{password}'"
        livekit = Livekit("network-livekit-turn", f"tcp_port: 0, turn_servers: [{{{login}}}]")
        calls.append(ours("TURN, our member, livekit-server", livekit, "turn"))
    judge(checks, calls)


if __name__ == "__main__":
    main()
