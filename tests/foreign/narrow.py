"""A client's network whose link carries only so much: two TUN devices, one in its namespace and one in the server's, and between
them a thread with a rate and a queue for each direction. The kernel here has no netem."""
import collections
import ctypes
import fcntl
import os
import random
import select
import struct
import threading
import time

import netns

CLONE_NEWNET = 0x40000000
# A link that is itself later than this for more than one packet in a hundred proves nothing about who uses it.
LATE_SECONDS, LATE_PART = 0.005, 0.01
TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x0001 | 0x1000


class NarrowNetwork(netns.Network):
    """Clients made with `narrow_client` have a link instead of a veth pair."""

    def narrow_client(self, number):
        name = self._namespace(f"n{number}")
        near, far = self._tun(self.server, f"near{number}"), self._tun(name, f"far{number}")
        address, gateway = f"10.77.{number}.2", f"10.77.{number}.1"
        for place, device, own, other in ((self.server, f"near{number}", gateway, address), (name, f"far{number}", address, gateway)):
            self._in(place, "ip", "addr", "add", own, "peer", other, "dev", device)
            self._in(place, "ip", "link", "set", device, "up")
        self._in(name, "ip", "route", "add", "default", "via", gateway)
        return ["ip", "netns", "exec", name], Link(near, far)

    @staticmethod
    def _tun(namespace, device):
        """Opens the device inside the namespace; this thread returns to its own."""
        libc = ctypes.CDLL(None, use_errno=True)
        home, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(f"/var/run/netns/{namespace}", os.O_RDONLY)
        try:
            if libc.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN_NO_PI))
            return tun
        finally:
            libc.setns(home, CLONE_NEWNET)
            os.close(home)
            os.close(there)


class Link:
    """`limit(down, up)` in bit/s, None for no limit; `lose(part)` of all packets, both ways. Both take effect at once."""

    def __init__(self, near, far, queue_seconds=0.4):
        self.queue_seconds = queue_seconds
        self.down, self.up = Lane(near, far), Lane(far, near)
        threading.Thread(target=self._run, daemon=True).start()

    def limit(self, down=None, up=None):
        self.down.bps, self.up.bps = down, up

    def lose(self, part):
        self.down.loss = self.up.loss = part

    def is_void(self):
        passed, late = self.down.passed + self.up.passed, self.down.late + self.up.late
        return f"{late} of {passed} packets late by the link itself" if late > LATE_PART * passed else None

    def _run(self):
        lanes = (self.down, self.up)
        while True:
            due = min((lane.waiting[0][0] for lane in lanes if lane.waiting), default=None)
            timeout = None if due is None else max(due - time.monotonic(), 0)
            readable, _, _ = select.select([lane.source for lane in lanes], [], [], timeout)
            for lane in lanes:
                if lane.source in readable:
                    lane.read(self.queue_seconds)
                lane.write()


class Lane:
    def __init__(self, source, sink):
        self.source, self.sink, self.bps = source, sink, None
        self.loss, self.random = 0.0, random.Random(1)
        self.waiting, self.free, self.dropped, self.passed, self.late = collections.deque(), 0.0, 0, 0, 0

    def read(self, queue_seconds):
        for _ in range(64):
            try:
                packet = os.read(self.source, 65535)
            except BlockingIOError:
                return
            now = time.monotonic()
            if self.random.random() < self.loss:
                self.dropped += 1
                continue
            if self.bps is None:
                self.waiting.append((now, packet))
                continue
            if self.free - now > queue_seconds:
                self.dropped += 1
                continue
            self.free = max(self.free, now) + len(packet) * 8 / self.bps
            self.waiting.append((self.free, packet))

    def write(self):
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            due, packet = self.waiting.popleft()
            self.passed += 1
            self.late += time.monotonic() - due > LATE_SECONDS
            try:
                os.write(self.sink, packet)
            except OSError:
                self.dropped += 1  # nobody is there yet, or any more
