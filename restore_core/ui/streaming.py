"""A run in a thread of its own, watched from outside without slowing it.

    worker     frames of the engine  ->  latest picture (one place, overwritten)  and  thumbnails (each kept, in order)
    reader     waits for either, takes both, encodes and shows them; what it is late for is dropped

Pictures are handed over at most `rate` times a second, undeveloped; decoding, shrinking and encoding are the reader's
work, beside the sampler and not in its way. The device belongs to the worker, not to whoever reads: a reader that goes
away cannot leave it locked, and a new run waits until the old one has really ended.
"""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.engine import Frame
from restore_core.errors import Cancelled, SettingsError
from restore_core.export import encode_jpeg
from restore_core.memory import is_shortage
from restore_core.moments import caption, chosen_frames, noise_share
from restore_core.settings import Settings
from restore_core.tiling import AUTO_TILE

RATE = 12.0  # live pictures a second
SIDE = 384  # pixels of a live picture's long side, about
QUALITY, NOISY_QUALITY = 82, 72  # JPEG; noise costs three times the bytes and hides what is lost
THUMBNAILS = 24
HEARTBEAT = 0.5  # seconds without news after which the reader hears of it all the same
DEADLINE = 3600.0  # seconds after which a run ends by itself
BACKLOG = 2  # undeveloped thumbnails that may wait for a late reader
SMALLEST_TILE = 128
PIECES = 2  # how often a run that found no memory is tried again in smaller pieces

Stop = Callable[[], bool]
Frames = Callable[[Stop, int | None], Iterator[Frame]]  # (stop, tile or None for the settings' own) -> the run


class Shot:
    """One moment of a run: x_t and the guess of x0. `noise` is 1 at the start, 0 when clean.

    It is developed by whoever looks first, the reader unless that is late, and then lets go of the tensors.
    """

    def __init__(self, frame: Frame, side: int):
        self.index, self.total, self.caption = frame.index, frame.total, caption(frame)
        self.noise = noise_share(frame.problem.process, frame.step.t)
        self._mean = frame.result if frame.step.t.item() == 0 else None  # now: later samples will move it
        self._frame: Frame | None = frame
        self._side, self._pixels = side, None

    def develop(self) -> tuple[np.ndarray, np.ndarray]:
        """(x_t, guess) as (H, W, 3) uint8."""
        frame = self._frame
        if frame is not None:
            guess = frame.estimate if self._mean is None else self._mean
            self._pixels = preview(frame.image, self._side), preview(guess, self._side)
            self._frame = self._mean = None
        return self._pixels

    @cached_property
    def jpegs(self) -> tuple[bytes, bytes]:
        """Both as JPEG."""
        noisy, guess = self.develop()
        return encode_jpeg(noisy, NOISY_QUALITY), encode_jpeg(guess, QUALITY)


@dataclass(frozen=True)
class News:
    """What there is to show since the last look; `left` in seconds, None while unknown."""

    latest: Shot | None
    thumbnails: tuple[Shot, ...]
    left: float | None
    waiting: bool
    notes: tuple[str, ...]


class Turns:
    """One device, many visitors: runs take turns, and no more than `places` may wait."""

    def __init__(self, places: int = 8):
        self.places = places
        self._device, self._count, self._waiting = threading.Lock(), threading.Lock(), 0

    @property
    def busy(self) -> bool:
        """Whether a run holds the device."""
        return self._device.locked()

    @contextmanager
    def turn(self, stop: Stop) -> Iterator[None]:
        """Hold the device; Cancelled if `stop` comes first, SettingsError if the queue is full."""
        self._queue_up()
        try:
            while not self._device.acquire(timeout=0.05):
                if stop():
                    raise Cancelled("The run was stopped before its turn came.")
        finally:
            with self._count:
                self._waiting -= 1
        try:
            yield
        finally:
            self._device.release()

    def _queue_up(self) -> None:
        with self._count:
            if self._waiting >= self.places:
                raise SettingsError(
                    f"{self._waiting} restorations are waiting already and there is one device, so the queue is full. "
                    f"Press Restore again in a minute."
                )
            self._waiting += 1


class Stream:
    """One run: start() it, read news() to its end, then look at `last`, `stopped` and `error`."""

    def __init__(
        self,
        frames: Frames,
        settings: Settings,
        turns: Turns,
        *,
        rate: float = RATE,
        side: int = SIDE,
        deadline: float = DEADLINE,
    ):
        """rate 0: no picture but the last, so watching costs nothing."""
        self.frames, self.settings, self.turns = frames, settings, turns
        self.rate, self.side, self.deadline = rate, side, deadline
        self.last: Frame | None = None
        self.error: BaseException | None = None
        self.stopped = False
        self._halt, self._news = threading.Event(), threading.Condition()
        self._latest: Shot | None = None
        self._thumbnails: list[Shot] = []
        self._notes: list[str] = []
        self._chosen: frozenset[int] | None = None
        self._times: deque[float] = deque(maxlen=9)
        self._due, self._waiting, self._ended = 0.0, True, False
        self._thread = threading.Thread(target=self._work, name="stepback-run", daemon=True)

    def start(self) -> Stream:
        """Begin; the device is taken as soon as it is free."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End at the next network call; what was guessed by then stays in `last`."""
        self._halt.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the worker; whether it has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def news(self) -> Iterator[News]:
        """Whatever is new, as soon as it is, and an empty message every HEARTBEAT; returns when the run has ended."""
        ended = False
        while not ended:
            with self._news:
                self._news.wait_for(lambda: self._latest or self._thumbnails or self._ended, HEARTBEAT)
                ended = self._ended
                news = News(
                    self._latest, tuple(self._thumbnails), self._left(), self._waiting, tuple(self._notes)
                )
                self._latest, self._thumbnails = None, []
            yield news

    def _left(self) -> float | None:
        """Frames to come times the median of the last steps' durations."""
        if self.last is None or len(self._times) < 3:
            return None
        steps = [after - before for before, after in zip(self._times, list(self._times)[1:], strict=False)]
        return (self.last.total - 1 - self.last.index) * statistics.median(steps)

    def _work(self) -> None:
        began = time.monotonic()
        stop = lambda: self._halt.is_set() or time.monotonic() - began > self.deadline  # noqa: E731
        try:
            with self.turns.turn(stop):
                self._waiting = False
                self._run(stop)
        except Cancelled:
            self.stopped = True
        except BaseException as error:  # the reader tells it; a thread has nobody to raise to
            self.error = error
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _run(self, stop: Stop) -> None:
        tile: int | None = None
        for left in range(PIECES, -1, -1):
            try:
                with closing(self.frames(stop, tile)) as frames:
                    for frame in frames:
                        self._take(frame)
                return
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not left or not is_shortage(error):
                    raise
                self.last = None
            tile = self._smaller(tile)

    def _smaller(self, tile: int | None) -> int:
        tile = max(SMALLEST_TILE, (tile or self.settings.tile or AUTO_TILE) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._notes.append(f"Memory ran short, so the picture is done in pieces of {tile} px.")
        self._times.clear()
        return tile

    def _take(self, frame: Frame) -> None:
        self.last = frame
        self._times.append(frame.seconds)
        if self._chosen is None:
            self._chosen = chosen_frames(frame, self.settings, THUMBNAILS)
        now, period = time.monotonic(), 1 / self.rate if self.rate else math.inf
        thumbnail = bool(self.rate) and frame.index in self._chosen
        if not (thumbnail or frame.done or (self.rate and now >= self._due)):
            return
        self._due = max(self._due + period, now)  # keeps the mean rate when steps and period do not divide
        shot = Shot(frame, self.side)
        with self._news:
            self._latest = shot
            if thumbnail or frame.done:
                self._thumbnails.append(shot)
            late = self._thumbnails[:-BACKLOG]
            self._news.notify_all()
        for waiting in late:  # nobody comes for them: small pictures are kept, not whole states
            waiting.develop()


def preview(image: Tensor, side: int) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] -> (h, w, 3) uint8, averaged over k x k so that the long side is at most 4/3 `side`.

    A whole k is ten times as fast as the exact size, and this runs twelve times a second beside the sampler.
    """
    k = math.ceil(max(image.shape[-2:]) / (side * 4 / 3))
    if k > 1:
        kernel = [min(k, length) for length in image.shape[-2:]]
        image = F.avg_pool2d(image, kernel, ceil_mode=True)
    return (image[0] * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
