"""A network on overlapping windows, blended: its raw output for a picture that is too large to see at once.

Blending acts on the raw output, before any sampling step: there is one state and one noise for the whole picture, so
frames show the whole picture evolve and no seam has noise of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from restore_core import memory
from restore_core.memory import Need

AUTO_ABOVE = 1_500_000  # pixels of the process's space above which tiles are used by themselves
AUTO_TILE = 768
BAND = 1 << 17  # pixels

SLACK = 1.5  # memory that a network takes over its live activations: scratch space, fragments

Profile = Callable[[int, int, bool, bool], Tensor]  # (size, overlap, first, last) -> weights along one side
Heed = Callable[[int, int], None]  # (windows done, of how many), before each call; Cancelled where the work is to end


def alone(done: int, of: int) -> None:
    """The Heed of nobody: none watches, and none stops it."""


def tile_size(asked: int | None, height: int, width: int, fits: int | None = None) -> int:
    """The side to use, 0 for none: as asked, or AUTO_TILE where the picture is large and nothing was asked.

    fits   the side of the largest square that memory allows: where nothing was asked, tiles are no larger
    """
    if asked is None:
        asked = AUTO_TILE if height * width > AUTO_ABOVE else 0
        if fits is not None and (asked**2 or height * width) > fits**2:
            asked = fits
    return asked if 0 < asked < max(height, width) else 0


def fitting(bytes_per_pixel: float, x: Tensor, multiple: int) -> int:
    """The side of tiles for a picture x (N, C, H, W) by its size and by what memory is free now, 0 for none.

    bytes_per_pixel   live activations of the network in float32 for each pixel it works on
    """
    fits = Need(SLACK * bytes_per_pixel).side(x.device, multiple, batch=len(x))
    return tile_size(None, *x.shape[-2:], fits)


def together(bytes_per_pixel: float, device: torch.device, pixels: int) -> int:
    """How many pictures of so many pixels the network takes in one call; 1 where it is not known what it takes."""
    return Need(SLACK * bytes_per_pixel).together(device, pixels) if bytes_per_pixel else 1


def starts(length: int, tile: int, overlap: int, multiple: int = 1) -> list[int]:
    """Where windows of `tile` begin so that they cover `length`, neighbours sharing at least `overlap`.

    Every start divides by `multiple`; the last window may be cut by the end of the picture.
    """
    if tile >= length:
        return [0]
    stride = max(multiple, (tile - overlap) // multiple * multiple)
    last = -(-(length - tile) // multiple) * multiple
    return [*range(0, last, stride), last]


def ramp(size: int, overlap: int, first: bool, last: bool) -> Tensor:
    """Weights of one window along one side, (size,): up over the overlap, flat, down; never 0; flat at the border."""
    rise = (torch.arange(1, overlap + 1, dtype=torch.float32) - 0.5) / max(1, overlap)
    weight = torch.ones(size)
    reach = min(overlap, size)
    if not first:
        weight[:reach] *= rise[:reach]
    if not last:
        weight[size - reach :] *= rise.flip(0)[overlap - reach :]
    return weight


def gaussian(size: int, overlap: int, first: bool, last: bool) -> Tensor:
    """InvSR's weights of one window along one side, (size,), a Gaussian that adds to about one.

    sigma = 0.3 ((size - 1)/2 - 1) + 0.8 over an odd number of taps; of size + 1 where size is even, less the first.
    """
    taps = size + 1 - size % 2
    away = torch.arange(taps, dtype=torch.float32) - taps // 2
    bell = torch.exp(-(away**2) / (2 * (0.3 * ((size - 1) / 2 - 1) + 0.8) ** 2))
    return (bell / bell.sum())[taps - size :]


@dataclass(frozen=True)
class Window:
    """Where a window lies, and its weights along both sides."""

    rows: slice
    columns: slice
    down: Tensor
    across: Tensor

    @property
    def weight(self) -> Tensor:
        """(height, width), as the product of both."""
        return self.down[:, None] * self.across

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return len(self.down), len(self.across)


def windows(
    height: int,
    width: int,
    tile: int,
    overlap: int,
    multiple: int,
    profile: Profile | tuple[Profile, Profile] = ramp,
    device: torch.device | None = None,
) -> Iterator[Window]:
    """The windows, left to right and top to bottom; a pair of profiles: down, across.

    Lines of weights are sent to `device` without waiting.
    """
    downwards, sideways = profile if isinstance(profile, tuple) else (profile, profile)
    rows, columns = starts(height, tile, overlap, multiple), starts(width, tile, overlap, multiple)
    for i, top in enumerate(rows):
        bottom = min(top + tile, height)
        down = _sent(downwards(bottom - top, overlap, i == 0, i == len(rows) - 1), device)
        for j, left in enumerate(columns):
            right = min(left + tile, width)
            across = _sent(sideways(right - left, overlap, j == 0, j == len(columns) - 1), device)
            yield Window(slice(top, bottom), slice(left, right), down, across)


def _together(places: Iterable[Window], most: int) -> Iterator[list[Window]]:
    """Windows of one size, at most so many at a time."""
    ordered = sorted(places, key=lambda window: window.size, reverse=True)
    for _, alike in itertools.groupby(ordered, key=lambda window: window.size):
        while group := list(itertools.islice(alike, most)):
            yield group


def _sent(line: Tensor, device: torch.device | None) -> Tensor:
    return line if device is None else line.to(device, non_blocking=True)


def covered(
    height: int,
    width: int,
    tile: int,
    overlap: int,
    multiple: int,
    profile: Profile | tuple[Profile, Profile] = ramp,
) -> tuple[Tensor, Tensor]:
    """What the weights of all windows add to, as a product: of each row (height,) and of each column (width,).

    sum_ij d_i a_j = sum_i d_i sum_j a_j, so that no map of the picture's size has to be kept.
    """
    downwards, sideways = profile if isinstance(profile, tuple) else (profile, profile)
    return _covered(height, tile, overlap, multiple, downwards), _covered(width, tile, overlap, multiple, sideways)


def _covered(length: int, tile: int, overlap: int, multiple: int, profile: Profile) -> Tensor:
    total, begins = torch.zeros(length), starts(length, tile, overlap, multiple)
    for i, start in enumerate(begins):
        stop = min(start + tile, length)
        total[start:stop] += profile(stop - start, overlap, i == 0, i == len(begins) - 1)
    return total


def strips(height: int, width: int, reach: int, multiple: int = 1) -> Iterator[tuple[slice, slice, slice]]:
    """A picture in bands of some rows: (the band, the rows that it depends on, where it lies among those).

    For what looks no further than `reach` rows up and down: done band by band it is the same, in little memory.
    Bands begin at multiples of `multiple`, and hold about BAND pixels, but no fewer rows than `reach`.
    """
    rows = -(-max(BAND // width, reach, 1) // multiple) * multiple
    for top in range(0, height, rows):
        bottom, above = min(top + rows, height), max(0, top - reach)
        yield slice(top, bottom), slice(above, min(bottom + reach, height)), slice(top - above, bottom - above)


def tiled(
    network: Callable[[Tensor, Mapping[str, Tensor]], Tensor],
    x: Tensor,
    cond: Mapping[str, Tensor],
    *,
    tile: int,
    overlap: int,
    multiple: int = 1,
    profile: Profile | tuple[Profile, Profile] = ramp,
    scale: int = 1,
    batch: int = 1,
    heed: Heed = alone,
) -> Tensor:
    """network(x, cond) put together from windows of x (N, C, H, W); the output must have `scale` times x's sides.

    `profile` weighs the windows, at the output's size, where they overlap. Entries of `cond` that are pictures of x's
    size, or a whole number of times it, are cropped with the window. `batch` windows of one picture go in one call.
    """
    height, width = x.shape[-2:]
    total, done = None, 0
    sizes = tuple(length * scale for length in (height, width, tile, overlap, multiple))
    down, across = (_sent(weight, x.device) for weight in covered(*sizes, profile))
    count = len(starts(height, tile, overlap, multiple)) * len(starts(width, tile, overlap, multiple))
    for group in _together(windows(*sizes, profile, x.device), batch if len(x) == 1 else 1):
        heed(done, count)
        done += len(group)
        parts, conds = zip(*(_part(x, cond, window, scale) for window in group), strict=True)
        raws = network(torch.cat(parts), _joined(conds))
        if total is None:
            total = raws.new_zeros(len(x), raws.shape[1], height * scale, width * scale)
        for window, raw in zip(group, raws.split(len(x)), strict=True):
            rows, columns = window.rows, window.columns
            total[..., rows, columns] += (window.weight / down[rows, None] / across[columns]).to(raw) * raw
    return total


def _part(
    x: Tensor, cond: Mapping[str, Tensor], window: Window, scale: int
) -> tuple[Tensor, Mapping[str, Tensor]]:
    within = tuple(slice(part.start // scale, part.stop // scale) for part in (window.rows, window.columns))
    part = {key: _crop(value, *within, *x.shape[-2:]) for key, value in cond.items()}
    return x[..., within[0], within[1]], part


def _joined(conds: Sequence[Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
    """What several windows of one picture are told; what is not of one picture (prompts) stays as it is."""
    if len(conds) == 1:
        return conds[0]
    return {key: torch.cat([c[key] for c in conds]) if len(value) == 1 else value for key, value in conds[0].items()}


class Pieces:
    """A network on windows that shrink when memory runs short: what was asked for is done again, in smaller pieces.

    tile      side of the first windows; None or 0: the whole picture
    overlap   shared by neighbours; at most three quarters of a window, and half of one where they have shrunk
    scale     how many times larger the output is
    batch     windows, or pictures of a batch, in one call; one by one when memory runs short, before windows shrink
    """

    def __init__(self, tile: int | None, overlap: int, multiple: int = 1, *, scale: int = 1, batch: int = 1):
        self.tile, self.multiple, self.scale, self.batch = tile or 0, multiple, scale, batch
        self.overlap = min(overlap, 3 * self.tile // 4) if self.tile else overlap  # else windows hardly move on

    def __call__(
        self,
        network: Callable[[Tensor, Mapping[str, Tensor]], Tensor],
        x: Tensor,
        cond: Mapping[str, Tensor],
        heed: Heed = alone,
    ) -> Tensor:
        """network(x, cond), whole or put together; the shortage itself where the smallest windows are too large."""
        while True:
            try:
                return self._run(network, x, cond, heed)
            except (RuntimeError, MemoryError) as error:
                if not memory.is_shortage(error) or not self._shrink(max(x.shape[-2:])):
                    raise
            memory.let_go(x.device)

    def splits(self, x: Tensor) -> bool:
        """Whether x goes in more than one window, as far as is known by now."""
        return 0 < self.tile < max(x.shape[-2:])

    def _run(
        self,
        network: Callable[[Tensor, Mapping[str, Tensor]], Tensor],
        x: Tensor,
        cond: Mapping[str, Tensor],
        heed: Heed,
    ) -> Tensor:
        if len(x) > self.batch:
            return torch.cat([self._run(network, x[k : k + 1], _of(k, cond, len(x)), heed) for k in range(len(x))])
        if not self.splits(x):
            heed(0, 1)
            return network(x, cond)
        whole = tiled(
            network, x, cond, tile=self.tile, overlap=self.overlap, multiple=self.multiple, scale=self.scale,
            batch=self.batch, heed=heed,
        )  # fmt: skip
        memory.trim(x.device)  # before large pictures are made
        return whole

    def _shrink(self, longest: int) -> bool:
        """One by one, then half the windows, on the network's grid; False if they are as small as they get."""
        if self.batch > 1:
            self.batch = 1
            return True
        now = min(self.tile or longest, longest)
        half = max(2, now // 2 // self.multiple) * self.multiple
        self.tile, shrunk = min(half, now), half < now
        self.overlap = min(self.overlap, self.tile // 2)
        return shrunk


def _of(k: int, cond: Mapping[str, Tensor], pictures: int) -> Mapping[str, Tensor]:
    """What the k-th picture of a batch is told."""
    return {key: value[k : k + 1] if len(value) == pictures else value for key, value in cond.items()}


def _crop(value: Tensor, rows: slice, columns: slice, height: int, width: int) -> Tensor:
    if value.ndim != 4:
        return value
    times = value.shape[-2] // height
    if times < 1 or value.shape[-2:] != (times * height, times * width):
        return value
    return value[..., _scaled(rows, times), _scaled(columns, times)]


def _scaled(part: slice, times: int) -> slice:
    return slice(part.start * times, part.stop * times)
