"""Real-time calls: push pictures and sound, pull those of the others. A thin layer over the C interface of libtrtc.

Nothing runs behind the host's back: events and messages are collected whenever a method of the cloud is called, so call one
at least every second. Without numpy, arrays are memoryviews of the same shape.
"""
import ctypes
import threading
import time
from collections import deque
from typing import NamedTuple

from . import _abi

try:
    from numpy import asarray as _array
except ImportError:
    def _array(view):
        return view

BIG, SUB = _abi.VIDEO_STREAM_TYPE_BIG, _abi.VIDEO_STREAM_TYPE_SUB
_lib = _abi.load()
_NO_RELEASE = _abi.release_fn()


class Error(Exception):
    """`code` is a TRTC_ERR_* number of include/trtc.h; `message` says which argument was wrong and what is allowed."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Message(NamedTuple):
    user: str
    cmd_id: int
    data: bytes
    seq: int


class Event(NamedTuple):
    """`name` as in trtc_callbacks, without "on_"; `args` in the order of the header."""

    name: str
    args: tuple


def version():
    return _lib.trtc_version_string().decode()


def _check(result):
    if result < 0:
        raise Error(result, _lib.trtc_last_error_message().decode("utf-8", "replace"))


def _params(kind, **fields):
    params = kind()
    getattr(_lib, f"{kind.__name__}_init")(params, ctypes.sizeof(kind))
    if not params.struct_size:
        raise Error(_abi.ERR_FAILED, f"this package does not fit libtrtc {version()}")
    for name, value in fields.items():
        setattr(params, name, value)
    return params


def _plain(value):
    """A callback's argument, as something that outlives the callback."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, ctypes._Pointer):
        value = value.contents
    if not isinstance(value, ctypes.Structure):
        return value
    plain = {n: _plain(getattr(value, n)) for n, t in value._fields_[1:] if not issubclass(t, ctypes._Pointer)}
    if isinstance(value, _abi.statistics):
        plain["local"] = [_plain(value.local[i]) for i in range(value.local_count)]
        plain["remote"] = [_plain(value.remote[i]) for i in range(value.remote_count)]
    return plain


class Cloud:
    """One room membership. Use it in `with`, or call `close()`. Any thread may call any method."""

    def __init__(self):
        self._events, self._messages = deque(maxlen=1000), deque(maxlen=10_000)
        self._lock = threading.Lock()
        self._watched, self._entered, self._reason = set(), 0, ""
        self._callbacks = _params(_abi.callbacks)  # keeps the functions alive as long as this object
        for name, kind in _abi.callbacks._fields_:
            if name == "on_recv_custom_cmd_msg":
                setattr(self._callbacks, name, kind(self._on_message))
            elif name.startswith("on_") and name not in ("on_user_voice_volume", "on_network_quality"):
                setattr(self._callbacks, name, kind(self._collector(name[3:])))
        self._cloud = ctypes.c_void_p()
        _check(_lib.trtc_cloud_create(self._callbacks, _params(_abi.cloud_options, pull_events=1), self._cloud))
        _check(_lib.trtc_cloud_enable_custom_audio_rendering(self._cloud, 1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Leaves the room and ends the cloud; it cannot be used afterwards."""
        if not self._cloud:
            return
        try:
            self.exit()
        except Error:
            pass  # a cloud that failed for good is ended all the same
        _lib.trtc_cloud_destroy(self._cloud)
        self._cloud = ctypes.c_void_p()

    def enter(self, url, token, timeout=10.0):
        """Enters a room and returns when that is done."""
        params = _params(_abi.enter_params, server_url=url.encode(), access_token=token.encode())
        self.poll()
        with self._lock:  # the outcome is not collected before the old one is forgotten
            _check(_lib.trtc_cloud_enter_room(self._cloud, params, _abi.APP_SCENE_VIDEO_CALL))
            self._entered, self._reason = 0, ""
            self._watched.clear()
        if not self._wait(lambda: self._entered, timeout):
            _lib.trtc_cloud_exit_room(self._cloud)
            raise Error(_abi.ERR_CONNECT_SERVER_TIMEOUT, f"not in the room after {timeout} s")
        if self._entered < 0:
            raise Error(self._entered, self._reason)

    def exit(self, timeout=5.0):
        """Leaves the room; outside of rooms it does nothing."""
        self.poll()
        _check(_lib.trtc_cloud_exit_room(self._cloud))
        self._wait(lambda: self._entered <= 0, timeout)

    def send_video(self, frame, size=None, stream=BIG):
        """Sends a picture: height x width x 4 uint8 (BGRA), (height * 3 / 2) x width uint8 (I420), or bytes of either
        with `size` = (width, height). Returns False when an older picture that still waited was dropped for it."""
        view = memoryview(frame)
        width, height, planar = _picture_shape(view, size)
        pixels = _bytes_of(view)
        picture = _params(_abi.video_frame, width=width, height=height)
        base = ctypes.addressof(pixels)
        offsets = (0, width * height, width * height * 5 // 4) if planar else (0,)
        picture.pixel_format = _abi.VIDEO_PIXEL_FORMAT_I420 if planar else _abi.VIDEO_PIXEL_FORMAT_BGRA32
        for i, offset in enumerate(offsets):
            picture.planes[i] = ctypes.cast(base + offset, ctypes.POINTER(ctypes.c_uint8))
        return self._push(
            lambda: _lib.trtc_cloud_send_custom_video_data(self._cloud, stream, picture, _NO_RELEASE, None),
            lambda: _lib.trtc_cloud_enable_custom_video_capture(self._cloud, stream, 1))

    def send_audio(self, pcm, rate=48000, channels=1):
        """Sends 5 to 100 ms of sound, in real time: int16 samples, channels interleaved, as bytes or as an array.
        Returns False when sound that still waited was dropped for it."""
        view = memoryview(pcm)
        if view.format not in ("h", "<h") and view.itemsize != 1 or view.nbytes % (2 * channels):
            raise ValueError(f"sound must be whole int16 samples of {channels} channels")
        samples = (ctypes.c_int16 * (view.nbytes // 2)).from_buffer_copy(view.tobytes())
        frame = _params(_abi.audio_frame, sample_rate_hz=rate, channels=channels,
                        samples_per_channel=len(samples) // channels,
                        samples=ctypes.cast(samples, ctypes.POINTER(ctypes.c_int16)))
        return self._push(
            lambda: _lib.trtc_cloud_send_custom_audio_data(self._cloud, frame, _NO_RELEASE, None),
            lambda: _lib.trtc_cloud_enable_custom_audio_capture(self._cloud, 1))

    def send_command(self, cmd_id, data, reliable=True):
        """Sends at most 1,000 bytes to everybody; `cmd_id` 1..10; at most 30 messages and 8,000 bytes a second."""
        self.poll()
        data = bytes(data)
        _check(_lib.trtc_cloud_send_custom_cmd_msg(self._cloud, cmd_id, data, len(data), reliable, reliable))

    def set_video(self, width=640, height=360, fps=15, kbps=550, stream=BIG):
        """How pictures are sent, whatever their own size."""
        param = _params(_abi.video_enc_param, width=width, height=height, video_fps=fps, video_bitrate_kbps=kbps)
        _check(_lib.trtc_cloud_set_video_encoder_param(self._cloud, stream, param))

    def start_pattern(self, video=True, audio=True, tone_hz=440, stream=BIG):
        """Sends the built-in picture and tone."""
        source = _params(_abi.pattern_source, video=video, audio=audio, tone_hz=tone_hz)
        _check(_lib.trtc_cloud_start_pattern_source(self._cloud, stream, source))

    def stop_source(self, stream=BIG):
        """Ends the picture of a stream; with BIG also a pattern that sounds."""
        _check(_lib.trtc_cloud_stop_source(self._cloud, stream))

    def latest_video(self, user, format="bgra", stream=BIG):
        """The newest picture of a user that was not taken yet, or None. The first call begins to watch the user.
        "bgra": height x width x 4; "i420": (height * 3 / 2) x width, as `send_video` takes it. The array is yours."""
        self.poll()
        kinds = {"bgra": _abi.VIDEO_PIXEL_FORMAT_BGRA32, "i420": _abi.VIDEO_PIXEL_FORMAT_I420}
        if (user, stream) not in self._watched:
            _check(_lib.trtc_cloud_start_remote_view(self._cloud, user.encode(), stream, None))
            self._watched.add((user, stream))
        video, frame = ctypes.c_void_p(), _params(_abi.video_frame)
        result = _lib.trtc_video_acquire(self._cloud, user.encode(), stream, kinds[format], video, frame)
        if result == _abi.ERR_NO_FRAME:
            return None
        _check(result)
        try:
            return _array(_copy(frame, format == "i420"))
        finally:
            _lib.trtc_video_release(video)

    def read_audio(self, ms=20, rate=48000, channels=1):
        """The next 10 or 20 ms of everybody's sound, in real time; silence when nobody speaks. int16, samples long or,
        with two channels, samples x 2."""
        self.poll()
        count = rate * ms // 1000
        buffer = bytearray(count * channels * 2)
        samples = (ctypes.c_int16 * (count * channels)).from_buffer(buffer)
        frame = _params(_abi.audio_frame, sample_rate_hz=rate, channels=channels, samples_per_channel=count,
                        samples=ctypes.cast(samples, ctypes.POINTER(ctypes.c_int16)))
        _check(_lib.trtc_cloud_get_custom_audio_rendering_frame(self._cloud, frame))
        return _array(memoryview(buffer).cast("h", (count,) if channels == 1 else (count, channels)))

    def messages(self):
        """The messages since the last call, oldest first (at most 10,000 are kept)."""
        return self._drain(self._messages)

    def events(self):
        """What happened since the last call, oldest first (at most 1,000 are kept)."""
        return self._drain(self._events)

    def poll(self):
        """Collects what happened; every other method that waits, sends or reads does so too."""
        with self._lock:
            _check(_lib.trtc_cloud_dispatch(self._cloud, None))

    def _drain(self, queue):
        self.poll()
        with self._lock:
            items = list(queue)
            queue.clear()
        return items

    def _wait(self, done, timeout):
        end = time.monotonic() + timeout
        while True:
            self.poll()
            if done() or time.monotonic() > end:
                return done()
            time.sleep(0.005)

    def _push(self, send, enable):
        self.poll()
        result = send()
        if result == _abi.ERR_REFUSED:
            _check(enable())
            result = send()
        if result != _abi.ERR_QUEUE_FULL:
            _check(result)
        return result == _abi.OK

    def _collector(self, name):
        def collect(_, *args):
            args = tuple(_plain(arg) for arg in args)
            if name == "enter_room":
                self._entered = args[0]
            elif name == "exit_room":
                self._entered = 0
            elif name == "error":
                self._reason = args[1]
            self._events.append(Event(name, args))
        return collect

    def _on_message(self, _, user, cmd_id, seq, data, size):
        self._messages.append(Message(user.decode("utf-8", "replace"), cmd_id, ctypes.string_at(data, size), seq))


def _picture_shape(view, size):
    """Width, height, whether it is I420."""
    if view.itemsize == 1 and size is not None:
        width, height = size
        if view.nbytes in (width * height * 4, width * height * 3 // 2):
            return width, height, view.nbytes != width * height * 4
    elif view.itemsize == 1 and view.ndim == 3 and view.shape[2] == 4:
        return view.shape[1], view.shape[0], False
    elif view.itemsize == 1 and view.ndim == 2 and view.shape[0] % 3 == 0:
        return view.shape[1], view.shape[0] // 3 * 2, True
    raise ValueError("a picture is height x width x 4 (BGRA) or height * 3 / 2 x width (I420) of uint8, or bytes with a size")


def _bytes_of(view):
    kind = ctypes.c_uint8 * view.nbytes
    return kind.from_buffer_copy(view.tobytes()) if view.readonly or not view.c_contiguous else kind.from_buffer(view)


def _copy(frame, planar):
    width, height = (frame.width & ~1, frame.height & ~1) if planar else (frame.width, frame.height)
    half = (width // 2, height // 2)
    pixels = bytearray()
    for i, (row, rows) in enumerate([(width, height), half, half] if planar else [(width * 4, height)]):
        base, stride = ctypes.addressof(frame.planes[i].contents), frame.strides_bytes[i]
        if stride == row:
            pixels += ctypes.string_at(base, row * rows)
        else:
            pixels += b"".join(ctypes.string_at(base + y * stride, row) for y in range(rows))
    return memoryview(pixels).cast("B", (height * 3 // 2, width) if planar else (height, width, 4))
