"""Small files with faults in them, each told by one number."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

EXTREMES = (
    b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x01", b"\x01\0\0\0", b"\0\0",
    b"\xff\xff", b"\x80", b"\0\0\xff\xff", b"\xff\xff\0\0", b"\0\0\0\0\0\0\0\x80", b"\xff" * 8,
)  # fmt: skip


def mutant(seeds: Sequence[bytes], case: int) -> bytes:
    """Seed and faults of case number `case`: always the same bytes."""
    draw = random.Random(case)
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        if data:
            draw.choice(FAULTS)(data, seeds, draw)
    return bytes(data)


def _span(data: bytearray, draw: random.Random, most: int = 64) -> slice:
    begin = draw.randrange(len(data))
    if draw.random() < 0.5:  # headers are near the beginning
        begin = min(begin, draw.randrange(1, 129))
    return slice(begin, min(len(data), begin + draw.randint(1, most)))


def _flip(data: bytearray, seeds: Sequence[bytes], draw: random.Random) -> None:
    data[_span(data, draw).start % len(data)] ^= 1 << draw.randrange(8)


def _scramble(data: bytearray, seeds: Sequence[bytes], draw: random.Random) -> None:
    span = _span(data, draw, 16)
    data[span] = draw.randbytes(span.stop - span.start)


def _extreme(data: bytearray, seeds: Sequence[bytes], draw: random.Random) -> None:
    begin, number = _span(data, draw).start, draw.choice(EXTREMES)
    data[begin : begin + len(number)] = number


def _cut(data: bytearray, seeds: Sequence[bytes], draw: random.Random) -> None:
    del data[draw.randrange(len(data)) :]


def _remove(data: bytearray, seeds: Sequence[bytes], draw: random.Random) -> None:
    del data[_span(data, draw)]


def _repeat(data: bytearray, seeds: Sequence[bytes], draw: random.Random) -> None:
    span = _span(data, draw)
    data[span.start : span.start] = data[span] * draw.choice((1, 2, 50))


def _exchange(data: bytearray, seeds: Sequence[bytes], draw: random.Random) -> None:
    one, other = _span(data, draw, 32), _span(data, draw, 32)
    data[one] = data[other]


def _splice(data: bytearray, seeds: Sequence[bytes], draw: random.Random) -> None:
    other = draw.choice(seeds)
    data[draw.randrange(len(data)) :] = other[draw.randrange(len(other)) :]


FAULTS: tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...] = (
    _flip, _flip, _scramble, _extreme, _extreme, _cut, _remove, _repeat, _exchange, _splice,
)  # fmt: skip
