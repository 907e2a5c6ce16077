"""What weights are worth on folders of clean pictures: damaged with fixed seeds, restored, compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from restore_core.checkpoints import match
from restore_core.checkpoints.files import open_state
from restore_core.degradations import TASKS, Task, generator_of, realworld
from restore_core.engine import finish, restore
from restore_core.errors import SettingsError
from restore_core.images import load, resize
from restore_core.library import Library, card
from restore_core.methods import METHODS, Method, Variant
from restore_core.metrics import lpips, niqe, psnr, psnr_y, ssim
from restore_core.networks.compact_unet import CompactModel

BORDER = 4  # pixels that are not measured, the convention of x4 super-resolution, kept for every task
NIQE_SIDE = 192  # below, NIQE has too few blocks to fit a Gaussian to, and is left out
SUFFIXES = frozenset({".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
COMPACT = "compact/"  # weights of the kind that drives every method


@dataclass(frozen=True)
class Scores:
    """Means over the pictures: PSNR in dB (RGB; Y of BT.601), SSIM, LPIPS (AlexNet), NIQE, seconds and calls of one.

    niqe   NaN where every picture is too small for it
    """

    what: str
    psnr: float
    psnr_y: float
    ssim: float
    lpips: float
    niqe: float
    seconds: float
    calls: float
    pictures: int


@dataclass(frozen=True)
class Pair:
    """A clean picture and what the task made of it; `degraded` is at its own size."""

    name: str
    clean: Tensor
    degraded: Tensor

    @property
    def enlarged(self) -> Tensor:
        """The degraded picture at the clean one's size, bicubic."""
        return resize(self.degraded, self.clean.shape[-2:]).clamp(0, 1)


class Table:
    """Rows of scores, each the mean over the pictures so far, in the order of their first appearance."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[float, ...]]] = {}

    def add(self, what: str, pair: Pair, result: Tensor, seconds: float = 0.0, calls: float = 0.0) -> None:
        """Measure one result, RGB in [0, 1], against its pair's clean picture."""
        result = result.cpu()
        scores = [float(m(result, pair.clean, crop_border=BORDER)) for m in (psnr, psnr_y, ssim, lpips)]
        inner = result[..., BORDER:-BORDER, BORDER:-BORDER]
        natural = float(niqe(inner)) if min(inner.shape[-2:]) >= NIQE_SIDE else math.nan
        self._rows.setdefault(what, []).append((*scores, natural, seconds, calls))

    def scores(self) -> list[Scores]:
        """The means, one a row; pictures without a NIQE do not count for it."""
        return [
            Scores(what, *torch.tensor(rows, dtype=torch.float64).nanmean(dim=0).tolist(), len(rows))
            for what, rows in self._rows.items()
        ]


def task_called(key: str) -> Task:
    """The task, or SettingsError."""
    if key not in TASKS:
        raise SettingsError(f"There is no task called '{key}'. Choose one of {', '.join(TASKS)}.")
    return TASKS[key]


def pairs(
    folder: Path, task: Task, damage: Mapping[str, float], seed: int, recipe: str | None = None
) -> Iterator[Pair]:
    """Every picture of the folder, cropped to multiples of 4 and damaged; the k-th uses the seed seed + k.

    recipe   damage by this random chain of the blind methods instead, shrunk to the size that the task enlarges
    """
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not files:
        raise SettingsError(f"{folder} holds no pictures, so nothing can be measured. Choose a folder of clean photos.")
    for k, path in enumerate(files):
        clean = load(path).rgb
        height, width = (side // 4 * 4 for side in clean.shape[-2:])
        clean = clean[..., :height, :width]
        if recipe is None:
            degraded = task(clean, {**task.standard, **damage}, generator_of(seed + k))
        else:
            degraded = resize(realworld.draw(recipe, seed + k)(clean), (height // task.scale, width // task.scale))
        yield Pair(path.name, clean, degraded.clamp(0, 1))


def own_weights(file: Path) -> CompactModel:
    """Compact weights from a file that is not among the shipped ones, for `evaluate`."""
    network = match.build(open_state(file), {})
    if not isinstance(network, CompactModel):
        raise SettingsError(
            f"{file} holds a network of another kind, which does not drive every method. Choose compact weights, as "
            f"python -m restore_core train --method compact leaves them."
        )
    return network


def is_compact(variant: Variant) -> bool:
    """Whether the project's own networks stand behind it."""
    return all(weights.startswith(COMPACT) for weights in variant.weights.values())


def methods_for(task: str, own: nn.Module | None = None) -> tuple[str, ...]:
    """Methods that have compact weights for the task; with own ones: all that compact networks can drive."""
    fits = lambda v: is_compact(v) and (own is not None or v.task == task)  # noqa: E731
    return tuple(key for key, method in METHODS.items() if any(fits(v) for v in method.card.variants))


def _method(
    key: str, task: Task, library: Library, own: nn.Module | None, weights: str | None
) -> tuple[Method, str]:
    """The method with `weights` or the task's, or with `own` in the place of shipped ones; the key of its settings."""
    if own is None:
        variant = card(key).variant(weights) if weights else card(key).variant_for(task.key)
        return library.method(key, variant.key), variant.key
    compact = [v for v in card(key).variants if is_compact(v)]
    if not compact:
        raise SettingsError(f"'{key}' is not driven by compact weights. Leave out --weights, or choose another method.")
    shape = next((v for v in compact if v.task == task.key), compact[0])  # whose defaults and options are the task's
    variant = replace(shape, task=task.key, scale=task.scale)
    return METHODS[key](variant, {"network": own.to(library.device)}), shape.key


def evaluate(
    folder: Path,
    task_key: str,
    methods: Sequence[str],
    library: Library,
    *,
    mean_of: int = 8,
    damage: Mapping[str, float] | None = None,
    seed: int = 0,
    limit: int | None = None,
    changes: Mapping[str, Any] | None = None,
    own: nn.Module | None = None,
    recipe: str | None = None,
    variant: str | None = None,
) -> Iterator[list[Scores]]:
    """After each picture, the table so far: input, predictor, each method at its default and as a mean of `mean_of`.

    mean_of   0: leave these rows out                    recipe    damage by a random chain, see `pairs`
    changes   move every method's defaults               variant   these weights instead of the first for the task
    own       takes the place of the shipped weights
    """
    task, table = task_called(task_key), Table()
    asked = {"precision": library.precision} | dict(changes or {})
    for k, pair in enumerate(pairs(folder, task, damage or {}, seed, recipe)):
        if limit is not None and k >= limit:
            break
        table.add("input", pair, pair.enlarged)
        for number, key in enumerate(methods):
            method, weights = _method(key, task, library, own, variant)
            settings = card(key).settings(weights, **{"seed": seed + k, **asked})
            problem = method.pose(pair.degraded.to(library.device), settings)
            if number == 0 and problem.guess is not None:
                table.add("predictor", pair, problem.decode(problem.guess))
            for samples in (settings.samples, mean_of) if mean_of > settings.samples else (settings.samples,):
                last = finish(restore(problem, replace(settings, samples=samples)))
                label = key if samples == settings.samples else f"{key}, mean of {samples}"
                table.add(label, pair, last.result, last.seconds, last.calls)
        yield table.scores()


def as_table(scores: Sequence[Scores]) -> str:
    """The scores as a Markdown table."""
    lines = ["| | PSNR RGB | PSNR Y | SSIM | LPIPS | NIQE | calls | s |", "|---|---|---|---|---|---|---|---|"]
    for s in scores:
        natural = "" if math.isnan(s.niqe) else f"{s.niqe:.2f}"
        quality = f"{s.psnr:.2f} | {s.psnr_y:.2f} | {s.ssim:.4f} | {s.lpips:.4f} | {natural}"
        lines.append(f"| {s.what} | {quality} | {s.calls:.0f} | {s.seconds:.1f} |")
    return "\n".join(lines)


def as_json(scores: Sequence[Scores]) -> list[dict[str, Any]]:
    """The scores as plain dicts; a number that there is not is null."""
    rows = [asdict(s) for s in scores]
    return [{key: None if isinstance(v, float) and math.isnan(v) else v for key, v in row.items()} for row in rows]
