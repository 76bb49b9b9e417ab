"""The official Python client for resume.py: publishes the clip, sends numbered reliable messages, tells what it receives and what
becomes of its connection, one JSON object a line. A message counts as sent when the client took it."""
import argparse
import asyncio
import json
import os
import struct
import time

import numpy as np
from livekit import rtc

import timecode


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


async def pictures(track):
    told = 0
    async for event in rtc.VideoStream(track, format=rtc.VideoBufferType.I420):
        if time.monotonic() - told > 0.1:
            frame = event.frame
            luma = np.frombuffer(frame.data, np.uint8)[: frame.width * frame.height].reshape(frame.height, frame.width)
            code = timecode.read(luma)
            if code:
                told = time.monotonic()
                say("frames", index=code[1])


async def publish(room, clip):
    """Before anything is sent: see peer.py for the order."""
    source = rtc.VideoSource(clip.width, clip.height)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, video_codec=rtc.VideoCodec.H264, simulcast=False)
    await room.local_participant.publish_track(rtc.LocalVideoTrack.create_video_track("cam", source), options)
    return source


async def show(source, clip):
    start, index = time.monotonic(), 0
    while True:
        source.capture_frame(rtc.VideoFrame(clip.width, clip.height, rtc.VideoBufferType.I420, clip.frame(index)))
        index += 1
        await asyncio.sleep(max(0, start + index / clip.fps - time.monotonic()))


async def messages(room):
    number = 0
    while True:
        number += 1
        while True:
            try:
                payload = struct.pack(">I", number) + b"python"
                await room.local_participant.publish_data(payload, reliable=True, topic="trtc.cmd.1")
                break
            except Exception as error:  # noqa: BLE001 - the client does not take it now
                say("refused", number=number, error=str(error))
                await asyncio.sleep(0.2)
        say("sent", number=number)
        await asyncio.sleep(0.2)


async def main(args):
    room = rtc.Room()
    tasks = []

    @room.on("track_subscribed")
    def _(track, _publication, _participant):
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            tasks.append(asyncio.ensure_future(pictures(track)))

    @room.on("data_received")
    def _(packet):
        if packet.topic == "trtc.cmd.1":
            say("message", seq=struct.unpack(">I", packet.data[:4])[0])

    room.on("reconnecting", lambda: say("lost"))
    room.on("reconnected", lambda: say("back"))
    room.on("disconnected", lambda *a: say("ended", reason=str(a)))
    await room.connect(args.url, args.token, rtc.RoomOptions(auto_subscribe=True))
    say("joined")
    clip = timecode.Clip(args.clip, args.width, args.height, args.fps)
    tasks.append(asyncio.ensure_future(show(await publish(room, clip), clip)))
    tasks.append(asyncio.ensure_future(messages(room)))
    await asyncio.sleep(args.seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("url", "token", "clip"):
        parser.add_argument(f"--{name}")
    for name in ("width", "height", "fps", "seconds"):
        parser.add_argument(f"--{name}", type=int)
    asyncio.run(main(parser.parse_args()))
    os._exit(0)
