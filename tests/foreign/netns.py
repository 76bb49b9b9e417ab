"""Networks for one test: a server's namespace and clients' namespaces, each joined to it by a veth pair. A path is cut with
nftables, an address changed with `ip addr`: no socket object of anybody is touched."""
import atexit
import os
import shutil
import subprocess

SERVER_ADDRESS = "10.77.255.1"


def run(*words, check=True):
    return subprocess.run([str(w) for w in words], check=check, capture_output=True, text=True)


def missing():
    """Why namespaces cannot be used here, or None."""
    if os.geteuid() != 0:
        return "not root"
    for tool, package in [("ip", "iproute2"), ("nft", "nftables")]:
        if not shutil.which(tool):
            run("apt-get", "install", "-y", "-qq", package, check=False)
        if not shutil.which(tool):
            return f"{tool} cannot be installed"
    name = f"trtc-try-{os.getpid()}"
    made = run("ip", "netns", "add", name, check=False)
    ruled = run("ip", "netns", "exec", name, "nft", "add table inet t", check=False)
    run("ip", "netns", "del", name, check=False)
    return None if made.returncode == ruled.returncode == 0 else (made.stderr + ruled.stderr).strip()


class Network:
    """Clients are numbered from 1; client n is 10.77.n.2 at first."""

    def __init__(self):
        self.names = []
        self.server = self._namespace("s")
        # A pair instead of the loopback interface, which WebRTC stacks pass over.
        self._in(self.server, "ip", "link", "add", "trtc0", "type", "veth", "peer", "name", "trtc1")
        for device in ("trtc0", "trtc1"):
            self._in(self.server, "ip", "link", "set", device, "up")
        self._in(self.server, "ip", "addr", "add", f"{SERVER_ADDRESS}/32", "dev", "trtc0")
        self.clients, self.hosts = {}, {}
        atexit.register(self.close)

    def client(self, number):
        name = self._namespace(f"c{number}")
        near, far = f"t{os.getpid() % 100000}n{number}", f"t{os.getpid() % 100000}f{number}"
        run("ip", "link", "add", near, "netns", self.server, "type", "veth", "peer", "name", far, "netns", name)
        self._in(self.server, "ip", "addr", "add", f"10.77.{number}.1/24", "dev", near)
        self._in(self.server, "ip", "link", "set", near, "up")
        self.clients[number], self.hosts[number] = (name, far), 2
        self._in(name, "ip", "link", "set", far, "up")
        self._address(number)
        return ["ip", "netns", "exec", name]

    def at_server(self):
        return ["ip", "netns", "exec", self.server]

    def cut_websocket(self, number, port):
        """The client's TCP is reset as soon as it says anything, and cannot be opened again; UDP goes on."""
        self._rule(number, "output", f"tcp dport {port} reject with tcp reset")

    def cut_open_websockets(self, number, port):
        """As above, but new connections pass."""
        listed = self._in(self.clients[number][0], "ss", "-Htn", "state", "established", f"dport = :{port}").stdout
        ports = ", ".join(line.split()[2].rpartition(":")[2] for line in listed.splitlines())
        self._rule(number, "output", f"tcp sport {{ {ports} }} tcp dport {port} reject with tcp reset")

    def cut_path(self, number):
        """Everything vanishes, and nobody is told."""
        self._rule(number, "output", "drop")
        self._rule(number, "input", "drop")

    def heal(self, number):
        self._in(self.clients[number][0], "nft", "delete table inet cut")

    def change_address(self, number):
        self.hosts[number] += 1
        self._address(number)

    def close(self):
        for name in self.names:
            run("ip", "netns", "del", name, check=False)
        self.names = []

    def _namespace(self, suffix):
        name = f"trtc-{os.getpid()}-{suffix}"
        run("ip", "netns", "add", name)
        self.names.append(name)
        self._in(name, "ip", "link", "set", "lo", "up")
        return name

    def _address(self, number):
        name, device = self.clients[number]
        self._in(name, "ip", "addr", "flush", "dev", device)
        self._in(name, "ip", "addr", "add", f"10.77.{number}.{self.hosts[number]}/24", "dev", device)
        self._in(name, "ip", "route", "replace", "default", "via", f"10.77.{number}.1")

    def _rule(self, number, hook, rule):
        chain = f"add table inet cut; add chain inet cut {hook} {{ type filter hook {hook} priority 0; }};"
        self._in(self.clients[number][0], "nft", f"{chain} add rule inet cut {hook} {rule}")

    def _in(self, name, *words):
        return run("ip", "netns", "exec", name, *words)
