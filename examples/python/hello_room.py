"""Joins a room, sends a moving grey picture, a tone and a message, and waits until it has seen, heard and read somebody.

    hello_room.py SERVER_URL ACCESS_TOKEN [SECONDS]

Needs numpy, bindings/python in PYTHONPATH and the library: TRTC_STAGE=DIR, or installed. Exit code as examples/c/hello_room.c.
"""
import sys
import time

import numpy as np
import trtc

RATE = 48_000


def main(url, token, seconds=5):
    tone = np.where(np.arange(RATE // 50) // (RATE // 800) % 2, 6000, -6000).astype(np.int16)  # 20 ms at 400 Hz
    others, pictures, loud, messages = set(), 0, 0, 0
    with trtc.Cloud() as me:
        me.enter(url, token)
        print("in the room, libtrtc", trtc.version())
        start = time.monotonic()
        for step in range(int(seconds) * 50):
            if step % 3 == 0:
                me.send_video(np.full((180, 320, 4), 64 + step % 128, np.uint8))
            me.send_audio(tone, RATE)
            if step % 50 == 25:
                me.send_command(1, b"hello")
            for event in me.events():
                if event.name == "user_video_available" and event.args[1]:
                    others.add(event.args[0])
            for user in others:
                picture = me.latest_video(user)  # height x width x 4, or None
                if picture is not None:
                    pictures += 1
            loud += np.abs(me.read_audio(20)).max() > 1000
            for message in me.messages():
                print(f"message {message.cmd_id} of {message.user}: {message.data!r}")
                messages += 1
            time.sleep(max(0, start + (step + 1) / 50 - time.monotonic()))
    print(f"pictures {pictures}, loud blocks {loud}, messages {messages}")
    return 0 if pictures and loud and messages else 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} SERVER_URL ACCESS_TOKEN [SECONDS]")
    sys.exit(main(*sys.argv[1:]))
