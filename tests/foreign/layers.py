"""Simulcast: our library sends two layers that the official Python client chooses from, and chooses from that client's, on
livekit-server or on `trtc serve`; no choice may lose a picture."""
import sys

from rig import Checks, Server, clip, member, python_peer

BIG, SMALL = [640, 360], [320, 180]


def main(kind):
    checks, server = Checks(), Server(kind)
    ours_sends(checks, server)
    ours_watches(checks, server, clip(width=960, height=540, fps=15))
    server.kill()
    checks.finish()


def ours_sends(checks, server):
    """One of ours sends big and small; the Python client and another of ours change between them."""
    sender = member(server, "out", "sender", "--publish", "pattern", "--small-size", "320x180", "--seconds", "27")
    checks.that(sender.wait("joined", 10), "our sender joins")
    for stream in (0, 1):
        checks.that(sender.wait("send_first_local_video_frame", 10, stream=stream), f"it sends stream {stream}")
    peer = python_peer(server, "out", "python", "--quality-at", "3:low,6:high", "--seconds", "10")
    ours = member(server, "out", "ours", "--subscribe", "--switch-at", "3,6", "--seconds", "10")
    verdict, summary = peer.wait("verdict", 40), ours.wait("summary", 30)
    if checks.that(verdict, "the Python client gives a verdict"):
        video = verdict["video"]
        print("python watched:", video)
        # A server may begin with the small one.
        checks.that(video["sizes"][-3:] == [BIG, SMALL, BIG], "python sees big, small, big", video["sizes"])
        checks.that(video["seen_ratio"] >= 0.95, "python reads the time code of 95 % of the frames", video["seen_ratio"])
    changed = [(e["stream"], [e["width"], e["height"]]) for e in ours.events if e["event"] == "user_video_size_changed"]
    checks.that(changed == [(0, BIG), (1, SMALL), (0, BIG)], "our watcher sees big, small, big", changed)
    watched(checks, summary, "sender")
    # Layers that nobody asks for any longer stop after 5 s (LiveKit's debounce).
    sender.wait("summary", 30)
    rates = [{s["stream"]: s["kbps"] for s in e["local"]} for e in sender.events if e["event"] == "statistics"]
    print("sender's kbit/s by stream:", rates)
    checks.that(any(r.get(0, 0) > 300 and r.get(1, 0) > 50 for r in rates), "it sends both at once")
    checks.that(rates and rates[-1].get(0) == 0 and rates[-1].get(1) == 0, "it stops encoding what nobody watches", rates[-1:])


def ours_watches(checks, server, picture):
    """The Python client sends three layers of its own; ours changes between the ends."""
    peer = python_peer(server, "in", "python", "--publish", "--simulcast", "--clip", picture, "--width", "960", "--height", "540", "--fps", "15", "--seconds", "20")
    checks.that(peer.wait("joined", 30), "the Python client joins")
    ours = member(server, "in", "ours", "--subscribe", "--switch-at", "5,8", "--seconds", "12")
    summary = ours.wait("summary", 40)
    changed = [(e["stream"], e["width"]) for e in ours.events if e["event"] == "user_video_size_changed"]
    checks.that(any(stream == 1 and width < 960 for stream, width in changed), "we see its small layer", changed)
    checks.that(changed[-1:] == [(0, 960)], "and again its large one", changed)
    watched(checks, summary, "python")
    peer.wait("verdict", 20)


def watched(checks, summary, user):
    remote = next((r for r in summary["remote"] if r["user"] == user), None) if summary else None
    if checks.that(remote and remote["video"], f"our watcher has figures about {user}"):
        video = remote["video"]
        print("we watched:", video)
        checks.that(video["seen_ratio"] >= 0.95, "we read the time code of 95 % of the frames", video["seen_ratio"])


if __name__ == "__main__":
    main(sys.argv[1])
