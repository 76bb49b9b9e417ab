"""FFmpeg's own WHIP muxer (8.0 and later, as PyAV carries it): sends a known picture and tone until its time is over."""
import argparse
import fractions
import json
import os
import subprocess
import sys
import tempfile
import time

import av
import numpy as np

import timecode
from peer import RATE

FPS, SIZE = 30, (640, 360)


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def pictures(clip, codec, index):
    data = np.frombuffer(clip.frame(index % clip.count), np.uint8).reshape(SIZE[1] * 3 // 2, SIZE[0])
    frame = av.VideoFrame.from_ndarray(data, format="yuv420p")
    frame.pts, frame.time_base = index, fractions.Fraction(1, FPS)
    return codec.encode(frame)


def tone(hz, codec, sent):
    wave = (np.sin(2 * np.pi * hz * (np.arange(960) + sent) / RATE) * 8000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2).reshape(1, -1), "s16", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, sent, fractions.Fraction(1, RATE)
    return codec.encode(frame)


def certificate():
    """P-256, of which WebRTC is sure (RFC 8827 6.5): left alone, an FFmpeg with GnuTLS makes a P-224 key."""
    folder = tempfile.mkdtemp()
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=ffmpeg"]
    subprocess.run([*made, "-days", "2", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def main(args):
    has_muxer = "whip" in av.formats_available
    say("started", version=has_muxer and ".".join(map(str, av.library_versions["libavformat"])))
    if not has_muxer:
        return
    av.logging.restore_default_callback()
    clip = timecode.Clip(args.clip, *SIZE, FPS)
    cert, key = certificate()
    options = {"authorization": args.token, "handshake_timeout": "30000", "cert_file": cert, "key_file": key}
    if args.active:
        options["whip_flags"] = "dtls_active"
    out = av.open(args.url, "w", format="whip", options=options)
    video = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": str(FPS)})
    video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
    sound = out.add_stream("libopus", rate=RATE, layout="stereo")
    out.start_encoding()
    say("connected")
    start, index, sent = time.monotonic(), 0, 0
    while (now := time.monotonic() - start) < args.seconds:
        if sent <= now * RATE:
            for packet in tone(args.tone, sound, sent):
                out.mux(packet)
            sent += 960
        elif index <= now * FPS:
            for packet in pictures(clip, video, index):
                out.mux(packet)
            index += 1
        else:
            time.sleep(0.002)
    out.close()
    say("ended", frames=index)


def parse():
    parser = argparse.ArgumentParser()
    for name, kind, default in [("url", str, None), ("token", str, None), ("clip", str, None), ("tone", float, 550), ("seconds", float, 8)]:
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--active", action="store_true", help="be the DTLS client")
    return parser.parse_args()


if __name__ == "__main__":
    main(parse())
    sys.stdout.flush()
    os._exit(0)
