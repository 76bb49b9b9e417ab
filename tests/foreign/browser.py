"""npm `livekit-client` in headless Chromium and a library member in one room of `trtc serve`."""
import base64
import json
import os
import pathlib

import timecode
from rig import HERE, Checks, Lines, Server, log_file, member


def codes(frames):
    """Time codes of base64 luma pictures of 640x360."""
    return [timecode.read_bytes(base64.b64decode(frame), 640, 360) for frame in frames]


def main():
    checks, server = Checks(), Server("trtc")
    ours = member(server, "web", "ours", "--publish", "pattern", "--subscribe", "--seconds", "28")
    checks.that(ours.wait("joined", 10), "our member joins")
    args = {
        "modules": str(pathlib.Path(os.environ["TRTC_NODE_MODULES"])), "page": server.http, "url": server.url,
        "token": server.token("web", "browser"), "listenerToken": server.token("web", "listener"), "seconds": 15,
    }
    page = Lines(["node", HERE / "browser.mjs", json.dumps(args)], stderr=log_file("browser"))
    joined = page.wait("joined", 20)
    checks.that(joined, "the browser joins", joined and f"{joined['ms']:.0f} ms")
    verdict = page.wait("verdict", 60)
    if checks.that(verdict, "the browser gives a verdict"):
        first, later = codes(verdict["frames"]), codes(verdict["later"])
        checks.that(verdict["total"] > 60, "it plays our H.264", verdict["total"])
        checks.that(all(first) and len(set(first)) > 2, "it shows our time codes, moving", first)
        checks.that(abs(verdict["toneHz"] - 440) <= 2, "it hears our tone within 2 Hz", verdict["toneHz"])
        checks.that(len(verdict["data"]) > 5 and verdict["data"] == sorted(verdict["data"]), "it gets our messages in order", len(verdict["data"]))
        checks.that(verdict["speakers"] == ["browser", "ours"], "it is told that both speak", verdict["speakers"])
        sound = verdict["listener"]
        checks.that(sound["peak"] > 0.1, "another browser hears its sound", sound)
        checks.that(sound["repeats"] >= sound["packets"] * 0.8, "with repetitions of earlier frames (RED)", sound)
        rated = verdict["quality"]
        checks.that(rated.get("ours") == rated.get("browser") == "excellent", "and that both are well connected", rated)
        checks.that(verdict["reconnected"] and verdict["state"] == "connected", "it comes back after its WebSocket is cut")
        checks.that(all(later) and first and later[0] and first[-1] and later[0][1] > first[-1][1], "and sees new pictures", later)
    summary = ours.wait("summary", 40)
    if checks.that(summary, "our member gives a summary"):
        remote = next((r for r in summary["remote"] if r["user"] == "browser"), {})
        video, audio = remote.get("video") or {}, remote.get("audio") or {}
        print("we received:", remote, summary["messages"])
        checks.that(video.get("frames", 0) > 60, "we decode the browser's H.264", video.get("frames"))
        checks.that((audio.get("tone_hz") or 0) and abs(audio["tone_hz"] - 880) <= 2, "we hear the browser's tone within 2 Hz", audio.get("tone_hz"))
        checks.that(summary["messages"]["received"] >= 20, "we get the browser's messages", summary["messages"])
    server.kill()
    checks.finish()


if __name__ == "__main__":
    main()
