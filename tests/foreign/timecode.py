"""Reads the time code of the built-in pattern: 15 x 4 cells over the top quarter of the luma plane (a second reader,
written from the description in crates/trtc-media/src/pattern.rs)."""
import numpy as np

COLUMNS, ROWS, BITS = 15, 4, 56


def crc8(body):
    crc = 0x5A
    for byte in body.to_bytes(6, "big"):
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


def code_rows(height):
    """Rows that the code covers, and a few of its blurred edge."""
    return height // 4 + 8


def read(luma, height=None):
    """(time_ms, index) of a luma plane, or None. The plane may be cut below its top quarter if `height` is given."""
    width = luma.shape[1]
    height = height or luma.shape[0]
    grid = height // 4
    levels = []
    for i in range(COLUMNS * ROWS):
        column, row = i % COLUMNS, i // COLUMNS
        x0, x1 = (4 * column + 1) * width // (4 * COLUMNS), (4 * column + 3) * width // (4 * COLUMNS)
        y0, y1 = (4 * row + 1) * grid // (4 * ROWS), (4 * row + 3) * grid // (4 * ROWS)
        levels.append(float(luma[y0 : y1 + 1, x0 : x1 + 1].mean()))
    if min(levels[0] - levels[1], levels[-1] - levels[-2]) < 60:
        return None
    threshold = (levels[0] + levels[1] + levels[-1] + levels[-2]) / 4
    word = 0
    for level in levels[2 : 2 + BITS]:
        word = word << 1 | (level > threshold)
    body, crc = word >> 8, word & 0xFF
    return (body >> 16, body & 0xFFFF) if crc8(body) == crc else None


def read_bytes(data, width, height):
    return read(np.frombuffer(data, np.uint8)[: width * height].reshape(height, width))


class Clip:
    """A raw I420 file in which frame n carries index n."""

    def __init__(self, path, width, height, fps):
        self.width, self.height, self.fps = width, height, fps
        self.size = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
        self.data = np.memmap(path, np.uint8, mode="r")
        self.count = len(self.data) // self.size

    def frame(self, index):
        at = index % self.count * self.size
        return bytearray(self.data[at : at + self.size])

    def luma(self, index):
        at = index % self.count * self.size
        return self.data[at : at + self.width * self.height].reshape(self.height, self.width)
