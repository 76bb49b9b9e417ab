"""A foreign member: the official Python client, unmodified. Joins a room, publishes a known picture and tone, judges
by content what it receives from one other member, and prints one JSON verdict as its last line."""
import argparse
import asyncio
import json
import os
import struct
import sys
import time

import numpy as np
from livekit import rtc

import timecode

RATE = 48_000


class Picture:
    """Luma meter: time codes read, PSNR against the sent pattern."""

    def __init__(self, clip):
        self.clip, self.frames, self.indices, self.psnr, self.first_at, self.last_at = clip, 0, [], [], None, None
        self.size, self.sizes, self.kept = None, [], []

    def take(self, frame):
        now = time.monotonic()
        self.first_at = self.first_at or now
        self.last_at = now
        self.frames += 1
        if frame.width > 2 and self.size != (frame.width, frame.height):  # the client ends a stream with a picture of 2x2
            self.size = (frame.width, frame.height)
            self.sizes.append(self.size)
        # Judged after the call: while it runs, this process only copies.
        height = frame.height if self.frames % 15 == 0 else frame.height // 4
        self.kept.append((frame.width, frame.height, bytes(frame.data[: frame.width * height])))

    def judge(self):
        for width, height, data in self.kept:
            luma = np.frombuffer(data, np.uint8).reshape(-1, width)
            code = timecode.read(luma, height)
            if code is None:
                continue
            self.indices.append(code[1])
            if self.clip is not None and code[1] < self.clip.count and len(luma) == height and (width, height) == (self.clip.width, self.clip.height):
                sent = self.clip.luma(code[1])
                below = timecode.code_rows(height)  # the code carries the sender's clock; the rest is known
                error = np.mean((luma[below:].astype(float) - sent[below:]) ** 2)
                self.psnr.append(99.0 if error == 0 else 10 * np.log10(255**2 / error))
        self.kept = []

    @staticmethod
    def seen_ratio(indices):
        return round(len(set(indices)) / (max(indices) - min(indices) + 1), 4) if indices else 0

    def verdict(self):
        self.judge()
        return {
            "frames": self.frames,
            "size": self.size,
            "sizes": self.sizes,
            "seen_ratio": self.seen_ratio(self.indices),
            "in_order": self.indices == sorted(self.indices),
            "gaps": [[a, b] for a, b in zip(self.indices, self.indices[1:]) if b - a > 1][:8],
            "first_index": self.indices[0] if self.indices else None,
            "psnr_db": round(float(np.median(self.psnr)), 2) if self.psnr else None,
        }


class Sound:
    """Tone and gap meter over 10 ms blocks."""

    def __init__(self):
        self.blocks = []

    def take(self, frame):
        self.blocks.append(np.frombuffer(frame.data, np.int16).copy())

    def verdict(self):
        if not self.blocks:
            return {"seconds": 0, "tone_hz": None, "longest_gap_ms": None}
        pcm = np.concatenate(self.blocks).astype(float)
        loud = np.array([np.sqrt(np.mean(b**2)) > 300 for b in np.split(pcm[: len(pcm) // 480 * 480], len(pcm) // 480)])
        heard = np.flatnonzero(loud)
        gap = 0
        if len(heard) > 1:
            gap = int(max(np.diff(heard)) - 1) * 10
            middle = pcm[heard[0] * 480 : heard[-1] * 480]
            window = middle[len(middle) // 4 : len(middle) // 4 + 4 * RATE]
            spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window))))
            tone = float(np.argmax(spectrum) * RATE / len(window))
        else:
            tone = None
        return {"seconds": round(len(heard) / 100, 2), "tone_hz": tone, "longest_gap_ms": gap}


async def choose(publication, steps, note):
    """`steps` as 4:low,8:high, in seconds from now."""
    started = time.monotonic()
    for step in filter(None, steps.split(",")):
        at, quality = step.split(":")
        await asyncio.sleep(max(0, started + float(at) - time.monotonic()))
        publication.set_video_quality({"low": rtc.VideoQuality.VIDEO_QUALITY_LOW, "high": rtc.VideoQuality.VIDEO_QUALITY_HIGH}[quality])
        note("quality_asked", quality=quality)


async def publish_video(room, clip, simulcast):
    source = rtc.VideoSource(clip.width, clip.height)
    track = rtc.LocalVideoTrack.create_video_track("cam", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, video_codec=rtc.VideoCodec.H264, simulcast=simulcast,
                                       video_encoding=rtc.VideoEncoding(max_framerate=clip.fps, max_bitrate=1_500_000))
    await room.local_participant.publish_track(track, options)
    return source


async def show(source, clip, stop, turned):
    rotation = rtc.VideoRotation.VIDEO_ROTATION_90 if turned else rtc.VideoRotation.VIDEO_ROTATION_0
    start, index = time.monotonic(), 0
    while not stop.is_set():
        source.capture_frame(rtc.VideoFrame(clip.width, clip.height, rtc.VideoBufferType.I420, clip.frame(index)), rotation=rotation)
        index += 1
        await asyncio.sleep(max(0, start + index / clip.fps - time.monotonic()))


async def publish_audio(room):
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("mic", source)
    await room.local_participant.publish_track(track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))
    return source, track


async def sound_out(source, hz, stop):
    n = 0
    while not stop.is_set():
        t = (np.arange(480) + n) / RATE
        pcm = (np.sin(2 * np.pi * hz * t) * 8000).astype(np.int16)
        n += 480
        await source.capture_frame(rtc.AudioFrame(pcm.tobytes(), RATE, 1, 480))


async def main(args):
    clip = timecode.Clip(args.clip, args.width, args.height, args.fps) if args.clip else None
    room = rtc.Room()
    picture, sound = Picture(clip), Sound()
    events, data, tasks = [], {"reliable": [], "lossy": []}, []
    started = time.monotonic()

    def note(name, **fields):
        events.append({"event": name, "at_ms": round((time.monotonic() - started) * 1000), **fields})
        print(json.dumps(events[-1]), flush=True)

    async def drain(stream, meter):
        async for event in stream:
            if not meter_first.get(id(meter)):
                meter_first[id(meter)] = True
                note("first_frame" if meter is picture else "first_audio")
            meter.take(event.frame)

    meter_first = {}

    @room.on("track_subscribed")
    def _(track, publication, participant):
        note("track_subscribed", user=participant.identity, kind=int(track.kind), source=int(publication.source))
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            tasks.append(asyncio.ensure_future(choose(publication, args.quality_at, note)))
            tasks.append(asyncio.ensure_future(drain(rtc.VideoStream(track, format=rtc.VideoBufferType.I420), picture)))
        else:
            tasks.append(asyncio.ensure_future(drain(rtc.AudioStream(track, sample_rate=RATE, num_channels=1), sound)))

    room.on("participant_connected", lambda p: note("participant_connected", user=p.identity))
    room.on("participant_disconnected", lambda p: note("participant_disconnected", user=p.identity))
    room.on("track_muted", lambda p, pub: note("track_muted", user=p.identity, kind=int(pub.kind)))
    room.on("track_unmuted", lambda p, pub: note("track_unmuted", user=p.identity, kind=int(pub.kind)))
    room.on("active_speakers_changed", lambda speakers: note("speakers", users=[p.identity for p in speakers]))
    room.on("connection_quality_changed", lambda p, quality: note("quality", user=p.identity, quality=int(quality)))
    room.on("disconnected", lambda *a: note("disconnected"))

    @room.on("data_received")
    def _(packet):
        kind = "reliable" if packet.kind == rtc.DataPacketKind.KIND_RELIABLE else "lossy"
        if packet.topic and packet.topic.startswith("trtc.cmd.") and len(packet.data) >= 4:
            data[kind].append(struct.unpack(">I", packet.data[:4])[0])

    await room.connect(args.url, args.token, rtc.RoomOptions(auto_subscribe=True))
    note("joined")
    stop = asyncio.Event()
    senders, microphone = [], None
    await asyncio.sleep(args.publish_after)
    if args.publish:
        # One after the other, and before any data: this client adds a video track and says its codec in two steps, and an offer
        # that something else asks for in between is one of VP8 (livekit/src/rtc_engine/rtc_session.rs, create_sender).
        senders.append(asyncio.ensure_future(show(await publish_video(room, clip, args.simulcast), clip, stop, args.turned)))
        source, microphone = await publish_audio(room)
        senders.append(asyncio.ensure_future(sound_out(source, args.tone, stop)))
    end = time.monotonic() + args.seconds
    seq = {True: 0, False: 0}
    while time.monotonic() < end:
        for reliable in (True, False):
            seq[reliable] += 1
            payload = struct.pack(">I", seq[reliable]) + b"from python"
            await room.local_participant.publish_data(payload, reliable=reliable, topic="trtc.cmd.1" if reliable else "trtc.cmd.2")
        if args.mute_at and microphone and time.monotonic() > end - args.seconds + args.mute_at:
            (microphone.unmute if microphone.muted else microphone.mute)() if seq[True] % 10 == 0 else None
        await asyncio.sleep(0.2)
    stop.set()
    verdict = {"event": "verdict", "video": picture.verdict(), "audio": sound.verdict(), "data": data, "sent": seq[True], "events": events}
    print(json.dumps(verdict), flush=True)
    try:
        await asyncio.wait_for(room.disconnect(), 3)
    except Exception as error:  # noqa: BLE001 - the verdict is already out
        print(f"disconnect: {error}", file=sys.stderr)


def parse():
    parser = argparse.ArgumentParser()
    for name, kind, default in [
        ("url", str, None), ("token", str, None), ("seconds", float, 8), ("clip", str, None), ("width", int, 640),
        ("height", int, 360), ("fps", int, 30), ("tone", float, 660), ("mute-at", float, 0), ("publish-after", float, 0), ("quality-at", str, ""),
    ]:
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--simulcast", action="store_true")
    parser.add_argument("--turned", action="store_true", help="the camera is held upright")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parse()))
    sys.stdout.flush()
    os._exit(0)  # the client's native threads do not survive an ordinary exit
