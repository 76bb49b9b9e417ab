"""npm `livekit-client` with its defaults in two pages of headless Chromium: simulcast, dynacast, adaptive stream, RED.

Argument: the video codec, vp8 or h264.
"""
import json
import os
import pathlib
import sys

from rig import HERE, Checks, Lines, Server, log_file


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
    checks.that(said("dynacast").get("stopped", {}).get("ok"), "layers that nobody wants are switched off")
    grew = said("rest").get("grew", [0, 1, 1])
    checks.that(grew[0] > 5 and grew[1] == 0 and grew[2] == 0, "and not encoded any more", grew)
    checks.that(said("back").get("b", {}).get("ok"), "HIGH brings the highest back")
    checks.that(said("medium").get("b", {}).get("ok"), "MEDIUM brings the middle one")
    disabled = said("disabled")
    checks.that(disabled.get("off", {}).get("ok"), "a track that nobody shows is not sent")
    checks.that(disabled.get("b", {}).get("ok"), "and comes back")
    verdict = said("verdict")
    a = verdict.get("a", {}).get("video", {})
    checks.that(a.get("frames", 0) > 200, "a decoded all the time", a)
    checks.that(verdict.get("b", {}).get("video", {}).get("lost", 1) == 0, "no switch looks like loss")
    checks.that(not any(e.get("event") == "page_error" for e in pages.events), "no page error")
    server.kill()
    checks.finish()


if __name__ == "__main__":
    main(sys.argv[1])
