"""WHIP and WHEP of `trtc serve` with programs nobody here wrote: the page in Chromium, aiortc and the official Python client,
in and out of one room with our own member, judged by content."""
import base64
import itertools
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import urllib.request

import timecode
from rig import HERE, STAGE, Checks, Lines, Server, clip, log_file, member, python_peer

SHOTS = STAGE.parent / "page"


class Page(Lines):
    """Chromium on the page, told what to do."""

    def __init__(self, **args):
        args["modules"] = str(pathlib.Path(os.environ["TRTC_NODE_MODULES"]))
        super().__init__(["node", HERE / "page.mjs", json.dumps(args)], stderr=log_file("page"), stdin=subprocess.PIPE)
        self.numbers, self.lock = itertools.count(1), threading.Lock()

    def do(self, order, on="a", **fields):
        n = next(self.numbers)
        with self.lock:
            self.child.stdin.write(json.dumps({"do": order, "on": on, "n": n, **fields}) + "\n")
            self.child.stdin.flush()
        done = self.wait("done", 60, n=n)
        if not done or "error" in done:
            raise RuntimeError(f"{order} on {on}: {done and done['error']}")
        return done["value"]

    def tries(self, order, on="a", **fields):
        try:
            return self.do(order, on, **fields)
        except RuntimeError as error:
            print(error, flush=True)
            return None


def aiortc(server, do, room, user, *options, query=""):
    kind = "whip" if do == "publish" else "whep"
    command = [sys.executable, HERE / "aiortc_peer.py", do, "--url", f"{server.http}/{kind}/{room}{query}", "--token", server.token(room, user)]
    return Lines([*command, *options], stderr=log_file(f"aiortc-{user}"))


def ffmpeg(server, room, clip, seconds, *options):
    """FFmpeg's WHIP muxer, or None where PyAV comes without."""
    command = [sys.executable, HERE / "ffmpeg_peer.py", "--url", f"{server.http}/whip/{room}", "--token", server.token(room, "ffmpeg")]
    peer = Lines([*command, "--clip", clip, "--seconds", str(seconds), *options], stderr=log_file("ffmpeg"))
    started = peer.wait("started", 30)
    if started and not started["version"]:
        print("SKIPPED FFmpeg: this PyAV has no WHIP muxer", flush=True)
        return None
    return peer


def get(server, path, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(server.http + path, headers=headers), timeout=10) as answer:
        return answer.read().decode()


def seen(picture):
    """The time code of a picture that the page shows."""
    return timecode.read_bytes(base64.b64decode(picture["luma"]), 640, 360)


def rooms(checks, server, picture):
    """aiortc publishes VP8 and H.264; our member, the Python client and aiortc watch; both sides judge."""
    sdk = member(server, "doors", "sdk", "--publish", "pattern", "--subscribe", "--seconds", "60")
    checks.that(sdk.wait("joined", 15), "our member joins")
    vp8 = aiortc(server, "publish", "doors", "vp8", "--clip", picture, "--codec", "vp8", "--seconds", "26")
    h264 = aiortc(server, "publish", "doors", "h264", "--clip", picture, "--codec", "h264", "--tone", "880", "--seconds", "26")
    muxer = ffmpeg(server, "doors", picture, 26)
    active = muxer and ffmpeg(server, "active", picture, 26, "--active")
    if muxer:
        checks.that(muxer.wait("connected", 40), "FFmpeg publishes H.264 by its WHIP muxer")
    for name, peer in [("VP8", vp8), ("H.264", h264)]:
        created = peer.wait("created", 40)
        checks.that(created and created["status"] == 201 and created["etag"], f"aiortc publishes {name} by WHIP", created)
        checks.that(peer.wait("connected", 20), "its connection comes up")
    # Two viewers of a browser's kind of codec list, and one who takes whoever is first.
    watchers = [
        ("the WHIP publisher in VP8", 660, aiortc(server, "watch", "doors", "w1", "--clip", picture, "--seconds", "8", query="?userid=vp8")),
        ("the WHIP publisher in H.264", 880, aiortc(server, "watch", "doors", "w2", "--clip", picture, "--seconds", "8", query="?userid=h264")),
        ("the SDK member, who was first", 440, aiortc(server, "watch", "doors", "w3", "--seconds", "8")),
    ]
    if muxer:
        watcher = aiortc(server, "watch", "doors", "w4", "--clip", picture, "--seconds", "8", query="?userid=ffmpeg")
        watchers.append(("FFmpeg", 550, watcher))
        checks.that(active.wait("connected", 40), "FFmpeg publishes as the DTLS client")
        watchers.append(("FFmpeg, DTLS client", 550, aiortc(server, "watch", "active", "w5", "--clip", picture, "--seconds", "8")))
    wanted = {"sdk": ("standard", "video/H264"), "vp8": ("ingress", "video/VP8"), "h264": ("ingress", "video/H264")}
    if muxer:
        wanted["ffmpeg"] = ("ingress", "video/H264")
    for _ in range(100):
        listed = json.loads(get(server, "/trtc/v1/streams?room=doors", server.token("doors", "x")))["streams"]
        kinds = {s["identity"]: (s["kind"], (s["video"] or {}).get("codec")) for s in listed}
        if kinds == wanted:
            break
        time.sleep(0.2)
    checks.that(kinds == wanted, "the list of streams names everybody with kind and codec, and no viewer", kinds)
    for who, hz, peer in watchers:
        verdict = peer.wait("verdict", 60)
        if not checks.that(verdict, f"aiortc watches {who} by WHEP"):
            continue
        video, audio = verdict["video"], verdict["audio"]
        checks.that(video["frames"] > 60 and video["in_order"], "pictures, in order", video["frames"])
        checks.that(video["seen_ratio"] >= 0.95, "the time code of 95 % of them", video["seen_ratio"])
        checks.that(audio["tone_hz"] and abs(audio["tone_hz"] - hz) <= 2, f"its tone of {hz} Hz", audio["tone_hz"])
        checks.that(verdict["deleted"] == 200, "DELETE ends it")
    return sdk, vp8, h264, [muxer, active] if muxer else []


def python_client(checks, server, picture):
    """The official client sees an ingress, and a WHEP player sees the official client."""
    whip = aiortc(server, "publish", "lk", "whip", "--clip", picture, "--codec", "h264", "--seconds", "30")
    checks.that(whip.wait("connected", 40), "a WHIP publisher for the Python client")
    peer = python_peer(server, "lk", "python", "--publish", "--clip", picture, "--seconds", "14")
    checks.that(peer.wait("first_frame", 30), "the Python client sees the WHIP publisher")
    player = aiortc(server, "watch", "lk", "player", "--clip", picture, "--seconds", "6", query="?userid=python")
    watched, verdict = player.wait("verdict", 60), peer.wait("verdict", 60)
    if checks.that(verdict, "the Python client gives a verdict"):
        checks.that(verdict["video"]["seen_ratio"] >= 0.9 and verdict["video"]["frames"] > 60, "it reads the publisher's time codes", verdict["video"])
        checks.that(verdict["audio"]["tone_hz"] and abs(verdict["audio"]["tone_hz"] - 660) <= 2, "and hears its tone", verdict["audio"]["tone_hz"])
    if checks.that(watched, "a WHEP player watches the Python client"):
        checks.that(watched["video"]["frames"] > 60 and watched["video"]["seen_ratio"] >= 0.9, "its time codes", watched["video"])
        checks.that(watched["audio"]["tone_hz"] and abs(watched["audio"]["tone_hz"] - 660) <= 2, "its tone", watched["audio"]["tone_hz"])


def browser(checks, server):
    """The page: two visitors, one publishes, and everything that goes wrong is said."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page = Page(denied=True, bare=True)
    checks.that(page.wait("ready", 40), "Chromium starts")
    visit = lambda on, room, **more: page.do("open", on, url=f"{server.http}/#{'&'.join(f'{k}={v}' for k, v in {'room': room, **more}.items())}", width=1280, height=800)
    visit("b", "studio", name="bob")
    checks.that(page.tries("wait", "b", target="#state[data-state=good]"), "the page opens a room with no set-up")
    page.do("shot", "b", file=str(SHOTS / "empty.png"))
    visit("a", "studio", name="alice")
    page.do("wait", "a", target="#state[data-state=good]")
    page.do("click", "a", target="#live")
    checks.that(page.tries("wait", "a", target="#on-air:not([hidden])"), "a visitor goes live by WHIP")
    if checks.that(page.tries("wait", "b", target=".tile[data-state=playing]"), "another visitor sees the tile play by WHEP"):
        first = page.do("picture", "b", target=".tile video")
        second = page.do("picture", "b", target=".tile video")
        checks.that(first["size"][0] >= 320 and first["frames"] > 5, "the camera's picture has its size", first["size"])
        red, green, blue = first["rgb"]
        checks.that(green > red + 40 and green > blue + 40, "it is the green test card of the browser's fake camera", first["rgb"])
        checks.that(second["frames"] > first["frames"] or second["luma"] != first["luma"], "it moves", [first["frames"], second["frames"]])
        page.do("click", "b", target="#sound")
        shot = SHOTS / "watching.png"
        page.do("shot", "b", file=str(shot))
        checks.that(green_share(shot, first["box"]) > 0.3, "the screenshot shows it where the tile is", str(shot))
    ours = member(server, "studio", "carol", "--publish", "pattern", "--seconds", "14")
    checks.that(ours.wait("joined", 15), "an SDK member joins")
    tile = ".tile:nth-child(2)[data-state=playing]"
    if checks.that(page.tries("wait", "b", target=tile), "the page shows it beside the other"):
        codes = [seen(page.do("picture", "b", target=f"{tile} video")) for _ in range(4)]
        checks.that(all(codes) and len(set(codes)) > 1, "with its time codes, moving", codes)
        page.do("shot", "b", file=str(SHOTS / "two.png"))
        page.do("size", "b", width=390, height=844)
        page.do("shot", "b", file=str(SHOTS / "phone.png"))
    page.do("shot", "a", file=str(SHOTS / "live.png"))
    tabs = page.do("tabs", "a", count=12)
    checks.that({"theme", "camera", "live"} <= set(tabs), "a keyboard reaches the controls", tabs)
    page.do("click", "a", target="#live")
    checks.that(page.tries("wait", "b", target=".tile:nth-child(1):last-child"), "the tile goes when the visitor stops")

    visit("denied", "studio", name="dora")
    page.do("wait", "denied", target="#state[data-state=good]")
    page.do("click", "denied", target="#live")
    said = page.tries("text", "denied", target="#notices .notice")
    checks.that(said and "No permission" in said, "a refused camera is said", said)
    visit("bare", "studio", name="finn")
    page.do("wait", "bare", target="#state[data-state=good]")
    page.do("click", "bare", target="#live")
    said = page.tries("text", "bare", target="#notices .notice")
    checks.that(said and "No camera and no microphone found" in said and "Plug one in" in said, "a machine without devices is told what to do", said)
    visit("old", "studio", token=server.token("studio", "gil", valid_s=-600))
    said = page.tries("text", "old", target="#notices .notice")
    checks.that(said and "token was refused" in said and "expired" in said, "an expired token is said", said)
    visit("strange", "studio", name="hal")
    said = page.tries("text", "strange", target="#notices .notice")
    checks.that(said and "needs a token" in said and "paste it" in said, "a visitor without a token is told to bring one", said)
    page.do("shot", "strange", file=str(SHOTS / "no-token.png"))
    visit("light", "studio", token=server.token("studio", "eve")[:-3] + "AAA")
    said = page.tries("text", "light", target="#notices .notice")
    checks.that(said and "token was refused" in said and "invalid" in said, "a refused token is said with the server's reason", said)
    page.do("shot", "light", file=str(SHOTS / "refused.png"))
    server.kill()
    checks.that(page.tries("wait", "b", target="#notices .notice"), "the end of the server is noticed")
    said = page.tries("text", "b", target="#notices .notice")
    checks.that(said and "does not answer" in said, "and said", said)
    page.do("text", "b", target="#state", last=True)
    problems = page.wait("problems", 20)
    checks.that(problems and not problems["problems"], "no script error and no breach of the policy", problems)


def ingest(checks, server):
    """Chromium with a WHIP client of the test's own: three layers, an ICE restart; livekit-client watches it."""
    args = {
        "modules": str(pathlib.Path(os.environ["TRTC_NODE_MODULES"])), "page": server.http, "whip": f"{server.http}/whip/ingest", "url": server.url,
        "tokens": {"whip": server.token("ingest", "whip"), "watch": server.token("ingest", "watch")},
    }
    pages = Lines(["node", HERE / "ingest.mjs", json.dumps(args)], stderr=log_file("ingest"))
    said = lambda event: pages.wait(event, 90) or {}
    created, high = said("created"), said("high")
    checks.that(created.get("status") == 201 and created.get("simulcast"), "Chromium publishes three layers by WHIP", created)
    trickled = said("trickled")
    patched = trickled.get("statuses") and set(trickled["statuses"]) == {204}
    checks.that(patched and trickled["announced"], "each candidate comes by PATCH, and one of them is used", trickled)
    checks.that(high.get("ok") and high.get("layers") == 3, "livekit-client plays the highest layer and hears sound", high)
    checks.that(high.get("kind") == 1, "of an ingress (ParticipantKind 1)", high.get("kind"))
    checks.that(said("low").get("ok"), "LOW brings it the lowest layer", said("low"))
    checks.that(said("back").get("ok"), "HIGH the highest", said("back"))
    restarted, after = said("restarted"), said("after")
    checks.that(restarted.get("status") == 200 and restarted.get("changed") and restarted.get("etag") not in (None, created.get("etag")),
                "a PATCH restarts ICE with new credentials and a new ETag", restarted)
    checks.that(restarted.get("used") and restarted.get("state") == "connected", "Chromium uses the new ones")
    checks.that(after.get("ok"), "and the pictures go on", after)
    checks.that(said("deleted").get("status") == 200, "DELETE ends it")
    checks.that(not any(e.get("event") == "page_error" for e in pages.events), "no page error")


def green_share(path, box):
    """The share of green pixels in a box of a PNG."""
    import av
    import numpy as np

    with av.open(str(path)) as image:
        rgb = next(image.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    x, y, width, height = (max(0, int(v)) for v in box)
    part = rgb[y : y + height, x : x + width]
    return float(np.mean((part[..., 1] > part[..., 0] + 30) & (part[..., 1] > part[..., 2] + 30))) if part.size else 0.0


def main():
    checks, server, picture = Checks(), Server("trtc"), clip()
    sdk, vp8, h264, muxers = rooms(checks, server, picture)
    python_client(checks, server, picture)
    for peer in (vp8, h264):
        verdict = peer.wait("verdict", 60)
        checks.that(verdict and verdict["deleted"] == 200, "a WHIP session ends by DELETE")
    for muxer in muxers:
        checks.that(muxer.wait("ended", 40), "FFmpeg ends its session by itself")
    sdk.kill()
    page = get(server, "/metrics")
    counts = {line.split()[0]: int(line.split()[1]) for line in page.splitlines() if line.startswith(("trtc_whip", "trtc_whep"))}
    checks.that(counts["trtc_whip_opened_total"] == 3 + len(muxers) and counts["trtc_whep_opened_total"] == 4 + len(muxers), "the metrics count them", counts)
    ingest(checks, server)
    browser(checks, server)
    checks.finish()


if __name__ == "__main__":
    main()
