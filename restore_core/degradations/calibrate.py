"""A camera's noise from its own pictures: the photon transfer method (Janesick 2007; EMVA 1288).

    var = K mean + sigma^2

K is the brightness of one electron, sigma the read noise, both where white is 1. Blocks of pixels give points of mean
and variance: a burst of one scene by the differences between its frames, flat fields of several exposures by those
between frames of equal exposure, one picture by what a high-pass filter leaves where it is smooth (roughly). A line is
laid through the points by weighted regression that gives up blocks in which something moved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.degradations.chain import Chain, Step
from restore_core.errors import SettingsError

Kind = Literal["burst", "flat fields", "one picture"]

BLOCK = 16  # px
EQUAL = 0.03  # exposures that differ by less are one level
SAME_SCENE = 0.25  # a burst's exposures differ by less
CLIPPED = 0.002  # share of a block's pixels that may be black or white
FEWEST = 40  # blocks
CONFIDENCE = 1.96  # deviations of a 95 % interval
TURNS = 30
TUKEY = 4.685  # deviations beyond which a block is given up
SMOOTH = 0.3  # share of the blocks of one brightness that one picture's noise is read from
LEVELS = 24
WORTH = BLOCK**2 / 3.78  # independent values in a block after the filter (its mask's squared autocorrelation, summed)
LOWER_QUARTILE = 1 - 0.674 * math.sqrt(2 / WORTH)  # of a block's mean square, for white noise of variance 1
SHOWN = 60  # points in a plot
ROUGH = 3.0  # how much wider intervals of one picture are: its texture is no chance that could be reckoned


@dataclass(frozen=True)
class Frames:
    """Pictures of one size as numbers proportional to light, or as near to that as a file comes.

    planes   (N, C, H, W), black 0 and white 1
    names    of the C channels
    floor    value at which pixels are cut off below; white is the cut above
    step     between neighbouring values of the file
    """

    planes: Tensor
    names: tuple[str, ...]
    floor: float = 0.0
    step: float = 1 / 255


@dataclass(frozen=True)
class Line:
    """var = k mean + sigma^2 of one channel, with 95 % intervals, and points (mean, variance) to show."""

    k: float
    sigma: float
    k_interval: tuple[float, float]
    sigma_interval: tuple[float, float]
    blocks: int
    given_up: float
    points: tuple[tuple[float, float], ...]

    @property
    def electrons(self) -> float:
        """Electrons that make white, infinite where no Poisson noise was found."""
        return 1 / self.k if self.k > 0 else math.inf


@dataclass(frozen=True)
class Calibration:
    """A line for each channel, how it was found, and what to know about it."""

    lines: Mapping[str, Line]
    kind: Kind
    frames: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, without the points."""
        told = {
            name: {
                "k": line.k, "k_interval": list(line.k_interval), "sigma": line.sigma,
                "sigma_interval": list(line.sigma_interval), "white_in_electrons": _finite(line.electrons),
                "blocks": line.blocks, "given_up": round(line.given_up, 4),
            }
            for name, line in self.lines.items()
        }  # fmt: skip
        return {"kind": self.kind, "frames": self.frames, "channels": told, "notes": list(self.notes)}

    def simulated(self, seed: int = 1) -> Chain:
        """A chain that lays this noise on a picture of red, green and blue; two greens of a raw file count as one."""
        values = {}
        for colour in "rgb":
            lines = [line for name, line in self.lines.items() if name.lower().startswith(colour)]
            lines = lines or list(self.lines.values())
            values[f"k_{colour}"] = min(1.0, sum(line.k for line in lines) / len(lines))
            values[f"sigma_{colour}"] = min(1.0, math.sqrt(sum(line.sigma**2 for line in lines) / len(lines)))
        return Chain((Step("sensor", values),), seed)


def calibrate(frames: Frames) -> Calibration:
    """Lines for every channel. SettingsError says why pictures give none: too dark, too bright, of one brightness."""
    planes = frames.planes
    if min(planes.shape[-2:]) < 4 * BLOCK:
        raise SettingsError(
            f"The pictures have {planes.shape[-1]} × {planes.shape[-2]} pixels, too few to tell noise from chance. "
            f"Choose larger ones, {8 * BLOCK} pixels a side at least."
        )
    _refuse_badly_exposed(frames)
    groups, kind = _groups(planes)
    lines = {}
    for c, name in enumerate(frames.names):
        points = [_points(planes[group, c], frames) for group in groups]
        lines[name] = _line(*(torch.cat(part) for part in zip(*points, strict=True)), frames, kind, name)
    return Calibration(lines, kind, len(planes), _notes(lines, kind))


def _refuse_badly_exposed(frames: Frames) -> None:
    half = frames.step / 2
    dark = (frames.planes <= frames.floor + half).float().mean().item()
    bright = (frames.planes >= 1 - half).float().mean().item()
    for share, word, cure in ((dark, "under-exposed", "longer"), (bright, "over-exposed", "shorter")):
        if share > 0.5:
            raise SettingsError(
                f"The pictures are {word}: {100 * share:.0f} % of their values are cut off there, and noise that is "
                f"cut off cannot be measured. Expose {cure}, so that the scene lies between black and white."
            )


def _groups(planes: Tensor) -> tuple[list[list[int]], Kind]:
    """Frames that may be compared with each other, and what the set is."""
    if len(planes) == 1:
        return [[0]], "one picture"
    level = planes.mean(dim=(1, 2, 3)).clamp(min=1e-6)
    if (level.max() - level.min()) / level.mean() < SAME_SCENE:
        return [list(range(len(planes)))], "burst"
    groups: list[list[int]] = []
    for index in level.argsort().tolist():
        if groups and level[index] < level[groups[-1][0]] * (1 + EQUAL):
            groups[-1].append(index)
        else:
            groups.append([index])
    pairs = [group for group in groups if len(group) > 1]
    if not pairs:
        raise SettingsError(
            f"The {len(planes)} pictures differ in brightness, so they are no burst, and no two are exposed alike, as "
            f"flat fields must be. Take at least two of each exposure, or a burst of one scene."
        )
    return pairs, "flat fields"


# points of mean and variance


def _points(planes: Tensor, frames: Frames) -> tuple[Tensor, Tensor, Tensor]:
    """(mean, variance, degrees of freedom) of the usable blocks; planes (n, H, W)."""
    if len(planes) == 1:
        return _points_of_one(planes[0], frames)
    mean = planes.mean(dim=0)
    even = planes - (planes.mean(dim=(1, 2), keepdim=True) - mean.mean())  # lamps and shutters flicker
    n = len(planes) - 1
    variance = (even - even.mean(dim=0)).square().sum(dim=0) / n
    cut = _cut_off(planes, frames).amax(dim=0)
    usable = _blocks(cut) <= CLIPPED
    means = _blocks(mean)[usable]
    freedom = torch.full_like(means, n * BLOCK**2)
    return means.double(), _blocks(variance)[usable].double(), freedom.double()


def _points_of_one(plane: Tensor, frames: Frames) -> tuple[Tensor, Tensor, Tensor]:
    """From the smoothest blocks of each brightness; smoothness is judged where averaging has hidden the noise."""
    taps = plane.new_tensor([1.0, -2.0, 1.0])
    high = F.conv2d(plane[None, None], (taps[:, None] * taps / 6)[None, None])[0, 0]
    high = F.pad(high, (1, 1, 1, 1))
    calm = F.avg_pool2d(plane[None, None], 5, stride=1, padding=2, count_include_pad=False)[0, 0]
    slope = F.pad((calm[:, 4:] - calm[:, :-4]).square(), (2, 2)) + F.pad(
        (calm[4:] - calm[:-4]).square(), (0, 0, 2, 2)
    )
    usable = _blocks(_cut_off(plane[None], frames)[0]) <= CLIPPED
    means, variance, slopes = (_blocks(p)[usable].double() for p in (plane, high.square(), slope))
    points = []
    for part in means.argsort().chunk(LEVELS):
        smoothest = part[slopes[part].argsort()[: max(4, round(SMOOTH * len(part)))]]
        quiet = variance[smoothest].quantile(0.25) / LOWER_QUARTILE  # fine texture only adds
        points.append(torch.stack([means[smoothest].mean(), quiet, quiet.new_tensor(len(smoothest) * WORTH / 2)]))
    return tuple(torch.stack(points).T) if points else (means, variance, means)


def _cut_off(planes: Tensor, frames: Frames) -> Tensor:
    half = frames.step / 2
    return ((planes <= frames.floor + half) | (planes >= 1 - half)).float()


def _blocks(plane: Tensor) -> Tensor:
    """Mean of each block of BLOCK x BLOCK px, flat."""
    return F.avg_pool2d(plane[None, None], BLOCK).flatten()


# the line


def _line(mean: Tensor, variance: Tensor, freedom: Tensor, frames: Frames, kind: Kind, name: str) -> Line:
    fewest = LEVELS // 2 if kind == "one picture" else FEWEST
    if len(mean) < fewest:
        raise SettingsError(
            f"Only {len(mean)} blocks of the channel {name} lie between black and white, and {fewest} are needed. "
            f"Expose so that nothing is cut off, or choose larger pictures."
        )
    variance = (variance - frames.step**2 / 12).clamp(min=0)  # what rounding to the file's steps adds
    design = torch.stack([mean, torch.ones_like(mean)], dim=1)
    fit, covariance, kept = _regression(design, variance, freedom)
    wide = CONFIDENCE * (ROUGH if kind == "one picture" else 1.0)
    (k, floor), (dk, df) = fit.tolist(), (wide * covariance.diagonal().clamp(min=0).sqrt()).tolist()
    _refuse_one_brightness(k, dk, mean, name)
    return Line(
        k=max(0.0, k), sigma=_root(floor), k_interval=(max(0.0, k - dk), k + dk),
        sigma_interval=(_root(floor - df), _root(floor + df)), blocks=len(mean),
        given_up=1 - (kept > 0).double().mean().item(), points=_shown(mean, variance),
    )  # fmt: skip


def _regression(design: Tensor, variance: Tensor, freedom: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(fit, its covariance, each block's share): iterated, since a variance's own deviation is var sqrt(2/n)."""
    least = 0.05 * variance.median() + 1e-12
    spread, kept, tukey = variance.clamp(min=least), torch.ones_like(variance), torch.zeros_like(variance)
    for turn in range(TURNS):
        weight = freedom / (2 * spread**2)
        fit = _weighted(design, variance, weight * kept)
        spread = (design @ fit).clamp(min=least)
        if turn < 3:  # it looks for the line
            high = variance / spread
            kept = (high <= high.quantile(0.9)).double()
            continue
        standard = (variance - design @ fit) / (spread * (2 / freedom).sqrt())
        scale = max(1.0, (standard - standard.median()).abs().median().item() * 1.4826)
        tukey = (standard / (TUKEY * scale)).square().clamp(max=1)
        kept = (1 - tukey).square()
    return fit, _covariance(design, variance - design @ fit, weight, tukey), kept


def _weighted(design: Tensor, value: Tensor, weight: Tensor) -> Tensor:
    normal = design.T @ (weight[:, None] * design)
    normal = normal + 1e-12 * normal.diagonal().mean() * torch.eye(2, dtype=normal.dtype)
    return torch.linalg.solve(normal, design.T @ (weight * value))


def _covariance(design: Tensor, residual: Tensor, weight: Tensor, tukey: Tensor) -> Tensor:
    """The sandwich of an M-estimate (Huber 1981, section 7.6): A^-1 B A^-1, A = X' W psi' X, B = X' (W psi)^2 X."""
    bread = design.T @ ((weight * (1 - tukey) * (1 - 5 * tukey))[:, None] * design)
    filling = design.T @ ((weight * (1 - tukey).square() * residual).square()[:, None] * design)
    return torch.linalg.pinv(bread) @ filling @ torch.linalg.pinv(bread)


def _refuse_one_brightness(k: float, dk: float, mean: Tensor, name: str) -> None:
    spread = (mean.quantile(0.95) - mean.quantile(0.05)).item()
    if spread < 0.02 or dk > max(abs(k), 1e-9) * 3 + 1e-4:
        raise SettingsError(
            f"The channel {name} has blocks of nearly one brightness only (they span {100 * spread:.1f} % of white), "
            f"so what grows with light cannot be told from what does not. Add darker and brighter pictures, or a scene "
            f"with both."
        )


def _root(variance: float) -> float:
    return math.sqrt(max(0.0, variance))


def _shown(mean: Tensor, variance: Tensor) -> tuple[tuple[float, float], ...]:
    """Medians of blocks of like brightness, so many that a plot stays light."""
    order = mean.argsort().chunk(min(SHOWN, max(1, len(mean) // 4)))
    return tuple((mean[part].median().item(), variance[part].median().item()) for part in order)


def _notes(lines: Mapping[str, Line], kind: Kind) -> tuple[str, ...]:
    found = []
    if kind == "one picture":
        found.append("From one picture this is rough: fine texture passes for noise. A burst of one scene is better.")
    moved = max(line.given_up for line in lines.values())
    if moved > 0.05:
        found.append(f"{100 * moved:.0f} % of the blocks were given up: something moved or flickered there.")
    if any(line.k <= 0 or line.k_interval[0] <= 0 for line in lines.values()):
        found.append("No noise that grows with light was found for sure: the file may be denoised or developed.")
    return tuple(found)


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def together(pictures: Sequence[Tensor], *, step: float = 1 / 255) -> Frames:
    """Frames of RGB pictures (1, 3, H, W) of one size."""
    if not pictures:
        raise SettingsError("No pictures were given, so no noise can be measured. Choose a burst, or one picture.")
    sizes = {tuple(picture.shape[-2:]) for picture in pictures}
    if len(sizes) > 1:
        (h1, w1), (h2, w2) = sorted(sizes)[:2]
        raise SettingsError(
            f"The pictures differ in size ({w1} × {h1} and {w2} × {h2}), so they are no burst. Choose frames of one "
            f"camera in one position."
        )
    return Frames(torch.cat(list(pictures)), ("R", "G", "B"), step=step)
