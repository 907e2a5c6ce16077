"""How much memory a network may take: what is free, what a picture of some size needs, and what to call a shortage."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from restore_core import devices

SHARE = 0.6  # of what is free; the rest is for what lives beside the activations
WARM = 150e6  # bytes in float32 up to which batches are faster on a processor (benchmarks.batched)
MOST = 16  # pictures in one call
UNKNOWN = 4 * 2**30  # bytes, where a system does not say


def free(device: torch.device) -> int:
    """Bytes that could still be taken on `device`, with what PyTorch keeps idle on a graphics card.

    The environment variable STEPBACK_MEMORY (GB) sets an upper limit, for machines that are shared.
    """
    idle = 0
    if device.type == "cuda":
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    limit = os.environ.get("STEPBACK_MEMORY", "")
    most = float(limit) * 2**30 if limit.replace(".", "", 1).isdigit() else math.inf
    there = devices.free_memory(device)
    return int(min(most, (UNKNOWN if there is None else there) + idle))


def total() -> int:
    """Bytes that the machine has, 0 where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


@dataclass(frozen=True)
class Need:
    """What one network takes for the activations of a picture.

    bytes_per_pixel   in float32, of the space that the network works on
    """

    bytes_per_pixel: float

    def side(self, device: torch.device, multiple: int, *, batch: int = 1, most: int | None = None) -> int:
        """The side of the largest square that fits, a multiple of `multiple`, at least two of them, at most `most`."""
        pixels = SHARE * free(device) / (self.bytes_per_pixel * batch)
        side = max(2, int(math.sqrt(pixels)) // multiple) * multiple
        return side if most is None else min(side, most)

    def together(self, device: torch.device, pixels: int) -> int:
        """How many pictures of so many pixels one call takes at best, 1 to MOST.

        A processor gains while what they take stays near its caches; a card takes what memory allows.
        """
        room = WARM if device.type == "cpu" else SHARE * free(device)
        return max(1, min(MOST, int(room / (self.bytes_per_pixel * pixels))))


def is_shortage(error: BaseException) -> bool:
    """Whether memory ran out: PyTorch's CPU allocator says so only in words."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in said or "not enough memory" in said)


def let_go(device: torch.device) -> None:
    """Give back what PyTorch keeps idle on a graphics card, and what the C library does on a CPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim(device)


def trim(device: torch.device) -> None:
    """Give back what the C library keeps of activations on the CPU: a hundred megabytes with large tiles."""
    give_back = _malloc_trim() if device.type == "cpu" else None
    if give_back is not None:
        give_back(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's malloc_trim; None where the C library is another."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
