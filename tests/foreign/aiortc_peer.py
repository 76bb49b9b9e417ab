"""`aiortc` as a WHIP client and as a WHEP player: nothing of it was written here. Publishes a known picture and tone, or
judges by content what it watches, and prints one JSON object a line."""
import argparse
import asyncio
import fractions
import json
import os
import sys
import time
import urllib.request

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError

import timecode
from peer import RATE, Picture, Sound


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class ClipTrack(VideoStreamTrack):
    """Frame n of the clip carries index n."""

    def __init__(self, clip):
        super().__init__()
        self.clip, self.index, self.start = clip, 0, None

    async def recv(self):
        self.start = self.start or time.monotonic()
        await asyncio.sleep(max(0, self.start + self.index / self.clip.fps - time.monotonic()))
        data = np.frombuffer(self.clip.frame(self.index), np.uint8)
        frame = av.VideoFrame.from_ndarray(data.reshape(self.clip.height * 3 // 2, self.clip.width), format="yuv420p")
        frame.pts, frame.time_base = self.index * 90_000 // self.clip.fps, fractions.Fraction(1, 90_000)
        self.index += 1
        return frame


class ToneTrack(MediaStreamTrack):
    kind = "audio"

    def __init__(self, hz):
        super().__init__()
        self.hz, self.sent, self.start = hz, 0, None

    async def recv(self):
        self.start = self.start or time.monotonic()
        await asyncio.sleep(max(0, self.start + self.sent / RATE - time.monotonic()))
        t = (np.arange(960) + self.sent) / RATE
        frame = av.AudioFrame.from_ndarray((np.sin(2 * np.pi * self.hz * t) * 8000).astype(np.int16).reshape(1, -1), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.sent, fractions.Fraction(1, RATE)
        self.sent += 960
        return frame


class Frame:
    """What the meter wants to know of a picture."""

    def __init__(self, frame):
        luma = frame.to_ndarray(format="yuv420p")[: frame.height, : frame.width]
        self.width, self.height, self.data = frame.width, frame.height, np.ascontiguousarray(luma).tobytes()


async def watch(track, picture, sound):
    resampler = av.AudioResampler("s16", "mono", RATE)
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        if track.kind == "video":
            picture.take(Frame(frame))
        else:
            for part in resampler.resample(frame):
                block = part.to_ndarray().reshape(-1)
                sound.blocks.append(block.astype(np.int16).copy())


def request(method, url, token, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    ask = urllib.request.Request(url, data=body, method=method, headers={"Authorization": f"Bearer {token}", **headers})
    with urllib.request.urlopen(ask, timeout=20) as answer:
        return answer.status, answer.headers, answer.read().decode()


async def main(args):
    pc = RTCPeerConnection()
    picture, sound, tasks = Picture(timecode.Clip(args.clip, 640, 360, 30) if args.clip else None), Sound(), []
    if args.do == "publish":
        transceiver = pc.addTransceiver(ClipTrack(picture.clip), direction="sendonly")
        wanted = [c for c in RTCRtpSender.getCapabilities("video").codecs if args.codec in c.mimeType.lower() or "rtx" in c.mimeType]
        transceiver.setCodecPreferences(wanted)
        pc.addTransceiver(ToneTrack(args.tone), direction="sendonly")
    else:
        pc.addTransceiver("video", direction="recvonly")
        pc.addTransceiver("audio", direction="recvonly")
        pc.on("track", lambda track: tasks.append(asyncio.ensure_future(watch(track, picture, sound))))
    pc.on("connectionstatechange", lambda: say(pc.connectionState))
    await pc.setLocalDescription(await pc.createOffer())
    status, headers, answer = await asyncio.to_thread(
        request, "POST", args.url, args.token, pc.localDescription.sdp.encode(), Content_Type="application/sdp")
    location = args.url.split("/wh")[0] + headers["Location"]
    say("created", status=status, location=location, etag=headers["ETag"], type=headers["Content-Type"])
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.sleep(args.seconds)
    status, _, _ = await asyncio.to_thread(request, "DELETE", location, args.token)
    say("verdict", deleted=status, video=picture.verdict(), audio=sound.verdict())


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("do", choices=["publish", "watch"])
    for name, kind, default in [
        ("url", str, None), ("token", str, None), ("seconds", float, 6), ("clip", str, None), ("tone", float, 660), ("codec", str, "vp8"),
    ]:
        parser.add_argument(f"--{name}", type=kind, default=default)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parse()))
    sys.stdout.flush()
    os._exit(0)
