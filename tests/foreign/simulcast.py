"""npm `livekit-client` with its defaults in two pages of headless Chromium: simulcast, dynacast, adaptive stream, RED.

Argument: the video codec, vp8 or h264.
"""
import json
import os
import pathlib
import sys

from rig import HERE, Checks, Lines, Server, log_file

# LiveKit's promise to publishers.
STOP_MS = 5000
FROZEN_S = 0.5
# A machine later than this proves nothing about who runs on it.
LATE_MS = 100


def main(codec):
    checks, server = Checks(), Server("trtc")
    args = {
        "modules": str(pathlib.Path(os.environ["TRTC_NODE_MODULES"])), "page": server.http, "url": server.url, "codec": codec,
        "tokens": [server.token("layers", name) for name in ("a", "b")],
    }
    pages = Lines(["node", HERE / "simulcast.mjs", json.dumps(args)], stderr=log_file("simulcast"))

    def said(event, seconds=60):
        seen = pages.wait(event, seconds)
        print(event, json.dumps(seen))
        return seen or {}

    high = said("high")
    for name in ("a", "b"):
        checks.that(high.get(name, {}).get("ok"), f"{name} plays the highest layer and hears sound", high.get(name, {}).get("video"))
        checks.that(high.get(name, {}).get("codec", "").lower() == f"video/{codec}", f"{name} sends {codec}")
    checks.that(said("low").get("b", {}).get("ok"), "LOW brings the lowest layer")
    stopped = said("dynacast")
    if checks.that(stopped.get("ok"), "layers that nobody wants are switched off"):
        late = stopped["late"] > LATE_MS and f"timers of the pages came {stopped['late']} ms late"
        checks.timed(stopped["ms"] <= STOP_MS, late, f"within {STOP_MS} ms", stopped["ms"])
    grew = said("rest").get("grew", [0, 1, 1])
    checks.that(grew[0] > 5 and grew[1] == 0 and grew[2] == 0, "and not encoded any more", grew)
    checks.that(said("back").get("b", {}).get("ok"), "HIGH brings the highest back")
    checks.that(said("medium").get("b", {}).get("ok"), "MEDIUM brings the middle one")
    frozen = said("frozen")
    late = frozen.get("late", 0) > LATE_MS and f"timers of the pages came {frozen['late']} ms late"
    checks.timed(frozen.get("seconds", 99) <= FROZEN_S, late, f"no switch freezes the picture: {FROZEN_S} s in all at most", frozen)
    resized = said("resized")
    checks.that(resized.get("small", {}).get("ok"), "an element of 200 pixels gets the lowest layer (adaptive stream)")
    checks.that(resized.get("hidden", {}).get("ok"), "a hidden one gets nothing")
    checks.that(resized.get("large", {}).get("ok"), "and one of 1280 pixels the highest again")
    disabled = said("disabled")
    checks.that(disabled.get("off", {}).get("ok"), "a track that nobody shows is not sent")
    checks.that(disabled.get("b", {}).get("ok"), "and comes back")
    verdict = said("verdict")
    a = verdict.get("a", {}).get("video", {})
    # It was hidden and shown small for a while.
    checks.that(a.get("frames", 0) > 60, "a decoded", a)
    checks.that(verdict.get("b", {}).get("video", {}).get("lost", 1) == 0, "no switch looks like loss")
    checks.that(not any(e.get("event") == "page_error" for e in pages.events), "no page error")
    counts = server.counts()
    checks.that(counts["media_path_feedbacks"] > 20, "Chromium's transport-wide feedback is taken", counts["media_path_feedbacks"])
    server.kill()
    checks.finish()


if __name__ == "__main__":
    main(sys.argv[1])
