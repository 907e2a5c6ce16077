"""What a task's weights are worth on a folder of clean pictures: damaged with fixed seeds, restored, compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore_core.degradations import TASKS, Task
from restore_core.engine import finish, restore
from restore_core.errors import SettingsError
from restore_core.images import load, resize
from restore_core.library import Library, card
from restore_core.metrics import lpips, psnr, psnr_y, ssim
from restore_core.settings import Settings

BORDER = 4  # pixels that are not measured, the convention of x4 super-resolution, kept for every task
SUFFIXES = frozenset({".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Scores:
    """Means over the pictures: PSNR in dB (RGB; Y of BT.601), SSIM, LPIPS (AlexNet), seconds and calls of one."""

    what: str
    psnr: float
    psnr_y: float
    ssim: float
    lpips: float
    seconds: float
    calls: float
    pictures: int


@dataclass(frozen=True)
class Pair:
    """A clean picture and what the task made of it; `degraded` is at its own size."""

    name: str
    clean: Tensor
    degraded: Tensor


def pairs(folder: Path, task: Task, damage: Mapping[str, float], seed: int) -> Iterator[Pair]:
    """Every picture of the folder, cropped to multiples of 4 and damaged; the k-th uses the seed seed + k."""
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not files:
        raise SettingsError(f"{folder} holds no pictures, so nothing can be measured. Choose a folder of clean photos.")
    for k, path in enumerate(files):
        clean = load(path).rgb
        height, width = (side // 4 * 4 for side in clean.shape[-2:])
        clean = clean[..., :height, :width]
        generator = torch.Generator().manual_seed(seed + k)
        yield Pair(path.name, clean, task(clean, {**task.standard, **damage}, generator))


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
) -> Iterator[list[Scores]]:
    """After each picture, the table so far: input, predictor, then each method once and as a mean of `mean_of` samples
    (0: leave these out). `changes` move every method's defaults."""
    task = TASKS[task_key] if task_key in TASKS else None
    if task is None:
        raise SettingsError(f"There is no task called '{task_key}'. Choose one of {', '.join(TASKS)}.")
    asked = dict(changes or {})
    asked.setdefault("precision", library.precision)
    table: dict[str, list[tuple[float, ...]]] = {}
    for k, pair in enumerate(pairs(folder, task, damage or {}, seed)):
        if limit is not None and k >= limit:
            break
        plain = resize(pair.degraded, pair.clean.shape[-2:]).clamp(0, 1)
        _add(table, "input", pair, plain, 0, 0)
        for number, key in enumerate(methods):
            variant = card(key).variant_for(task_key)
            settings = card(key).settings(variant.key, **{"seed": seed + k, **asked})
            problem = library.method(key, variant.key).pose(pair.degraded.to(library.device), settings)
            if number == 0 and problem.guess is not None:
                _add(table, "predictor", pair, problem.decode(problem.guess), 0, 0)
            for samples in (1, mean_of) if mean_of > 1 else (1,):
                ask = Settings(**(settings.to_json() | {"samples": samples}))
                last = finish(restore(problem, ask))
                label = key if samples == 1 else f"{key}, mean of {samples}"
                _add(table, label, pair, last.result, last.seconds, last.calls)
        yield [_mean(what, rows) for what, rows in table.items()]


def _add(table: dict, what: str, pair: Pair, result: Tensor, seconds: float, calls: float) -> None:
    result = result.cpu()
    scores = [float(metric(result, pair.clean, crop_border=BORDER)) for metric in (psnr, psnr_y, ssim, lpips)]
    table.setdefault(what, []).append((*scores, seconds, calls))


def _mean(what: str, rows: list[tuple[float, ...]]) -> Scores:
    means = torch.tensor(rows, dtype=torch.float64).mean(dim=0).tolist()
    return Scores(what, *means, len(rows))


def as_table(scores: Sequence[Scores]) -> str:
    """The scores as a Markdown table."""
    lines = ["| | PSNR RGB | PSNR Y | SSIM | LPIPS | calls | s |", "|---|---|---|---|---|---|---|"]
    for s in scores:
        quality = f"{s.psnr:.2f} | {s.psnr_y:.2f} | {s.ssim:.4f} | {s.lpips:.4f}"
        lines.append(f"| {s.what} | {quality} | {s.calls:.0f} | {s.seconds:.1f} |")
    return "\n".join(lines)


def as_json(scores: Sequence[Scores]) -> list[dict[str, Any]]:
    """The scores as plain dicts."""
    return [asdict(s) for s in scores]
