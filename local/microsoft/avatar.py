"""
Profile photos that need no image library: a disc with a lighter head and shoulders, as PNG.

PNG is the signature, then IHDR, IDAT and IEND chunks, each with its length and CRC (RFC 2083 §3).
"""

import functools
import math
import struct
import zlib

#: Graph's `96x96` size; small enough to sit inside a page as a data URI.
SIDE_PIXELS = 96

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@functools.cache
def disc(red: int, green: int, blue: int) -> bytes:
    """
    Return a PNG of a person's outline on a disc of this colour, transparent outside the disc.

    The same colour always gives the same bytes.
    """
    rows = bytearray()
    for y in range(SIDE_PIXELS):
        rows.append(0)  # filter type "none" (RFC 2083 §6.1)
        for x in range(SIDE_PIXELS):
            inside, figure = _coverage(x, y)
            lift = figure * 0.72
            rows += bytes(round(channel + (255 - channel) * lift) for channel in (red, green, blue))
            rows.append(round(inside * 255))
    header = struct.pack(">IIBBBBB", SIDE_PIXELS, SIDE_PIXELS, 8, 6, 0, 0, 0)  # 8 bits, RGBA
    return (
        _SIGNATURE
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(rows), 9))
        + _chunk(b"IEND", b"")
    )


def _coverage(x: int, y: int) -> tuple[float, float]:
    """How much of a pixel lies in the disc, and in the figure on it; coordinates run from -1 to 1."""
    u = (x + 0.5) / SIDE_PIXELS * 2 - 1
    v = (y + 0.5) / SIDE_PIXELS * 2 - 1
    head = _edge(0.34 - math.hypot(u, v + 0.22))
    shoulders = _edge((1 - math.hypot(u / 0.62, (v - 0.78) / 0.56)) * 0.56)
    return _edge(1 - math.hypot(u, v)), max(head, shoulders)


def _edge(depth: float) -> float:
    # One pixel wide, so that outlines are smooth.
    return min(1.0, max(0.0, 0.5 + depth * SIDE_PIXELS / 2))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
