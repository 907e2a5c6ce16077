"""A run in a thread of its own, watched from outside without slowing it.

    worker     frames of the engine  ->  latest picture (one place, overwritten)  and  thumbnails (each kept, in order)
    reader     waits for either, takes both, encodes and shows them; what it is late for is dropped

Pictures are handed over at most `rate` times a second, undeveloped; decoding, shrinking and encoding are the reader's
work, beside the sampler and not in its way. The device belongs to the worker, not to whoever reads: a reader that goes
away cannot leave it locked, and a new run waits until the old one has really ended. Between two steps a long run lets
others have the device (turns.py).
"""

from __future__ import annotations

import itertools
import math
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.bands import LARGE
from restore_core.engine import Frame
from restore_core.errors import Cancelled, NotFinite
from restore_core.export import encode_jpeg
from restore_core.memory import is_shortage
from restore_core.moments import caption, chosen_frames, noise_share
from restore_core.settings import Settings
from restore_core.tiling import AUTO_TILE
from restore_core.ui.turns import Turn, Turns

RATE = 12.0  # live pictures a second
SIDE = 384  # pixels of a live picture's long side, about
QUALITY, NOISY_QUALITY = 82, 72  # JPEG; noise costs three times the bytes and hides what is lost
THUMBNAILS = 24
HEARTBEAT = 0.5  # seconds without news after which the reader hears of it all the same
SELDOM = 6  # heartbeats between two looks at a far place in the queue: a class that waits costs who runs little
DEADLINE = 3600.0  # seconds on the device after which a run ends by itself
BACKLOG = 2  # undeveloped thumbnails that may wait for a late reader
SMALLEST_TILE = 128
PIECES = 2  # how often a run that found no memory is tried again in smaller pieces

REDONE = "Half precision did not hold the numbers of this picture, so it is done again in full precision (float32)."
SMALLER = "Memory ran short, so the picture is done in pieces of {} px."

Stop = Callable[[], bool]

@dataclass(frozen=True)
class Way:
    """How a run is tried: None leaves to its settings what they say."""

    tile: int | None = None
    precision: str | None = None

    def of(self, settings: Settings) -> Settings:
        """The settings of a run tried this way."""
        told = {"tile": self.tile, "precision": self.precision}
        return replace(settings, **{key: value for key, value in told.items() if value is not None})


Frames = Callable[[Stop, Way], Iterator[Frame]]  # (stop, how) -> the run


class Shot:
    """One moment of a run: x_t and the guess of x0. `noise` is 1 at the start, 0 when clean.

    It is developed by whoever looks first, the reader unless that is late, and then lets go of the tensors.
    """

    def __init__(self, frame: Frame, side: int):
        self.index, self.total, self.share, self.caption = frame.index, frame.total, frame.share, caption(frame)
        self.noise = noise_share(frame.problem.process, frame.step.t)
        self._mean = frame.result if frame.step.t.item() == 0 else None  # now: later samples will move it
        self._frame: Frame | None = frame
        self._side, self._pixels = side, None

    def develop(self) -> tuple[np.ndarray, np.ndarray]:
        """(x_t, guess) as (H, W, 3) uint8."""
        frame = self._frame
        if frame is not None:
            guess = _small(frame, "estimate", self._side) if self._mean is None else self._mean
            self._pixels = preview(_small(frame, "image", self._side), self._side), preview(guess, self._side)
            self._frame = self._mean = None
        return self._pixels

    @cached_property
    def jpegs(self) -> tuple[bytes, bytes]:
        """Both as JPEG."""
        noisy, guess = self.develop()
        return encode_jpeg(noisy, NOISY_QUALITY), encode_jpeg(guess, QUALITY)


@dataclass(frozen=True)
class News:
    """What there is to show since the last look.

    left     seconds to the end of the run, None while unknown
    place    in the queue, from 1 on; 0: the run has the device
    until    seconds to the run's turn, None where unknown
    """

    latest: Shot | None
    thumbnails: tuple[Shot, ...]
    left: float | None
    place: int
    until: float | None
    notes: tuple[str, ...]

    @property
    def waiting(self) -> bool:
        """Whether the run waits for its turn."""
        return self.place > 0


class Stream:
    """One run: start() it, read news() to its end, then look at `last`, `stopped` and `error`."""

    def __init__(
        self,
        frames: Frames,
        settings: Settings,
        turns: Turns,
        *,
        session: str = "",
        about: Mapping[str, Any] | None = None,
        rate: float = RATE,
        side: int = SIDE,
        deadline: float = DEADLINE,
    ):
        """session, about: whose turn it is, and what is known of the run before it begins (turns.Turn).

        rate 0: no picture but the last, so watching costs nothing.
        """
        self.frames, self.settings, self.turns = frames, settings, turns
        self.rate, self.side, self.deadline, self.way = rate, side, deadline, Way()
        self.session, self.about = session, _about(settings) | dict(about or {})
        self.last: Frame | None = None
        self.error: Exception | None = None
        self.stopped = False
        self._halt, self._news = threading.Event(), threading.Condition()
        self._latest: Shot | None = None
        self._thumbnails: list[Shot] = []
        self._notes: list[str] = []
        self._chosen: frozenset[int] | None = None
        self._times: deque[tuple[float, float]] = deque(maxlen=9)  # (seconds, share that was done)
        self._turn: Turn | None = None
        self._looked = (0, 1)
        self._due, self._ended = 0.0, False
        self._thread = threading.Thread(target=self._work, name="stepback-run", daemon=True)

    def start(self) -> Stream:
        """Begin; the device is taken as soon as it is free."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End at the next network call; what was guessed by then stays in `last`."""
        self._halt.set()

    def look(self, done: int, of: int) -> None:
        """To be told before each tile of the first look, of which there are no frames."""
        self._looked = done, of

    @property
    def looked(self) -> str:
        """How far the first look is; "" where it is done in one."""
        done, of = self._looked
        return f"{100 * done / of:.0f} %" if of > 1 else ""

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop: it may still be at its last network call."""
        return self._halt.is_set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the worker; whether it has ended. One that could not begin has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def news(self) -> Iterator[News]:
        """Whatever is new, as soon as it is, and an empty message every HEARTBEAT; returns when the run has ended."""
        ended = False
        while not ended:
            with self._news:
                patience = HEARTBEAT * min(SELDOM, 1 + self._wait()[0])
                self._news.wait_for(lambda: self._latest or self._thumbnails or self._ended, patience)
                ended = self._ended
                shots = self._latest, tuple(self._thumbnails)
                self._latest, self._thumbnails = None, []
            yield News(*shots, self._left(), *self._wait(), tuple(self._notes))

    def _wait(self) -> tuple[int, float | None]:
        """(place in the queue, seconds until its turn)."""
        if self._ended:
            return 0, 0.0
        return (1, None) if self._turn is None else self.turns.wait_of(self._turn)

    def _left(self) -> float | None:
        """The share to come times the median of what the last shares took."""
        if self.last is None or len(self._times) < 3:
            return None
        paces = [(t - s) / (b - a) for (s, a), (t, b) in itertools.pairwise(self._times)]
        return (1 - self.last.share) * statistics.median(paces)

    def _work(self) -> None:
        try:
            with self.turns.place(self._halt.is_set, session=self.session, about=self.about) as mine:
                self._turn = mine
                self.turns.take(mine)
                self._run(mine)
        except Cancelled:
            self.stopped = True
        except Exception as error:  # the reader tells it; a thread has nobody to raise to
            self.error = error
        except BaseException as error:  # its end is not to be the reader's
            self.error = RuntimeError(f"the run's thread was ended by {type(error).__name__}: {error}")
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _run(self, mine: Turn) -> None:
        stop = lambda: self._halt.is_set() or self.turns.closed or mine.held > self.deadline  # noqa: E731
        left = PIECES
        while True:
            try:
                with closing(self.frames(stop, self.way)) as frames:
                    for frame in frames:
                        self._take(frame, mine)
                return
            except NotFinite:
                if self._precision == "float32":
                    raise
                self._again(replace(self.way, precision="float32"), REDONE)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not left or not is_shortage(error):
                    raise
                left -= 1
                tile = max(SMALLEST_TILE, (self.way.tile or self.settings.tile or AUTO_TILE) // 2)
                self._again(replace(self.way, tile=tile), SMALLER.format(tile))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    @property
    def _precision(self) -> str:
        return self.way.of(self.settings).precision

    def _again(self, way: Way, why: str) -> None:
        """The run starts over this way."""
        self.last, self.way = None, way
        self._notes.append(why)
        self._times.clear()

    def _take(self, frame: Frame, mine: Turn) -> None:
        if mine.away:  # while others had the device
            frame = replace(frame, seconds=frame.seconds - mine.away)
        self.last = frame
        self._times.append((frame.seconds, frame.share))
        if self._chosen is None:
            self._chosen = chosen_frames(frame, self.settings, THUMBNAILS)
        thumbnail = bool(self.rate) and frame.index in self._chosen
        if thumbnail or frame.done or (self.rate and time.monotonic() >= self._due):
            self._show(frame, thumbnail)
        if not frame.done and mine.give_way(frame.share):
            self._times.clear()

    def _show(self, frame: Frame, thumbnail: bool) -> None:
        now, period = time.monotonic(), 1 / self.rate if self.rate else math.inf
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


def _about(settings: Settings) -> dict[str, Any]:
    """What the log and the guesses of durations may know of a run."""
    return {key: getattr(settings, key) for key in ("method", "variant", "steps", "samples")}


def _small(frame: Frame, shown: Literal["image", "estimate"], side: int) -> Tensor:
    """Of a large state the small picture alone is made; of others the whole, which preview() shrinks sooner."""
    return frame.small(shown, side) if frame.step.x.numel() >= LARGE else getattr(frame, shown)


def preview(image: Tensor, side: int) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] -> (h, w, 3) uint8, averaged over k x k so that the long side is at most 4/3 `side`.

    A whole k is ten times as fast as the exact size, and this runs twelve times a second beside the sampler.
    """
    k = math.ceil(max(image.shape[-2:]) / (side * 4 / 3))
    if k > 1:
        kernel = [min(k, length) for length in image.shape[-2:]]
        image = F.avg_pool2d(image, kernel, ceil_mode=True)
    return (image[0] * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
