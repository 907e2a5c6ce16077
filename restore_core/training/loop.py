"""Training: Muon and AdamW, cosine rate, averaged weights, and a state on disk that survives a kill."""

from __future__ import annotations

import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restore_core.checkpoints.files import open_state
from restore_core.degradations import TASKS
from restore_core.errors import SettingsError
from restore_core.images import resize
from restore_core.training import curve
from restore_core.training.control import TrainDiffBIR
from restore_core.training.data import Crops, generator_of, split, to_tensor
from restore_core.training.muon import Muon
from restore_core.training.published import TrainIRSDE, TrainResShift, TrainSR3
from restore_core.training.recipes import Choices, Compact, DvSR, Recipe

SAVE_EVERY = 120.0  # seconds between states on disk
WORKERS = 8  # threads that make crops for a graphics card, which would wait for one
RECIPES: Mapping[str, type[Recipe]] = {
    recipe.key: recipe for recipe in (Compact, DvSR, TrainSR3, TrainResShift, TrainIRSDE, TrainDiffBIR)
}


@dataclass(frozen=True)
class Plan:
    """One training run. `updates` may be changed when resuming: the rate follows the share that is done.

    rate   peak learning rate; 0: the method's own
    """

    task: str
    updates: int
    batch: int = 16
    crop: int = 96
    rate: float = 0.0
    warmup: int = 200
    average: float = 0.999
    seed: int = 0
    bf16: bool = False
    method: str = "compact"
    choices: Choices = field(default_factory=Choices)


@dataclass(frozen=True)
class Progress:
    """Where a run stands; `losses` are means since the last report, PSNR in dB over held-out photographs."""

    update: int
    seconds: float
    losses: Mapping[str, float]
    rate: float
    psnr: float | None = None
    psnr_input: float | None = None

    def to_json(self) -> dict[str, Any]:
        """One flat line of the log."""
        return {**{k: v for k, v in asdict(self).items() if k != "losses"}, **self.losses}


def recipe_of(plan: Plan) -> Recipe:
    """The plan's method for its task, or SettingsError for a plan that cannot be carried out."""
    if plan.task not in TASKS:
        raise SettingsError(f"There is no task called '{plan.task}' to train for. Choose one of {', '.join(TASKS)}.")
    if plan.method not in RECIPES:
        raise SettingsError(
            f"There is no method called '{plan.method}' to train. Choose one of {', '.join(RECIPES)}."
        )
    if plan.crop < 32 or plan.crop % 32:
        raise SettingsError(f"Crops of {plan.crop} px do not divide by 32, as the networks need. Choose 64, 96 or 128.")
    if plan.choices.lpips and plan.crop < 64:
        raise SettingsError(f"LPIPS cannot see crops of {plan.crop} px. Choose 64 or more, or leave --lpips out.")
    if plan.updates < 1 or plan.batch < 1 or not plan.rate >= 0:
        raise SettingsError("Updates, batch and rate must all be above 0 to train anything. Choose larger ones.")
    return RECIPES[plan.method](TASKS[plan.task], plan.choices)


def smallest(plan: Plan) -> int:
    """The least side of a photograph, in pixels, that crops can be taken from."""
    return plan.crop + 2 * recipe_of(plan).task.margin


class Run:
    """Model, averaged model and optimiser of one training run; what is drawn follows from seed and update.

    init   a weights file to start from
    """

    def __init__(self, plan: Plan, device: torch.device, init: Path | None = None):
        self.plan, self.device, self.recipe = plan, device, recipe_of(plan)
        torch.manual_seed(plan.seed)  # initial weights
        self.model, self.average = (self.recipe.build() for _ in range(2))
        if init is not None:
            self.recipe.begin(self.model, open_state(init))
        self.average.load_state_dict(self.model.state_dict())
        self.average.requires_grad_(False).eval()
        for model in (self.model, self.average):
            model.to(device, memory_format=torch.channels_last)
        self.optimiser = self._optimiser()
        self.update, self.seconds = 0, 0.0

    def _optimiser(self) -> Muon:
        inner = self.recipe.kernels(self.model)
        ids = {id(p) for p in inner}
        return Muon(inner, (p for p in self.model.parameters() if p.requires_grad and id(p) not in ids))

    @property
    def rate(self) -> float:
        """Linear warm-up, then half a cosine down to 1 % of the peak."""
        peak = self.plan.rate or self.recipe.rate
        cosine = 0.505 + 0.495 * math.cos(math.pi * min(1.0, self.update / self.plan.updates))
        return peak * min(1.0, (self.update + 1) / self.plan.warmup) * cosine

    def losses(self, x0: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The recipe's losses of one batch, with autocast where the plan has it."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.plan.bf16):
            return self.recipe.lose(self.model, x0, y, generator_of(self.plan.seed, self.update, purpose=1))

    def step(self, x0: Tensor, y: Tensor) -> dict[str, float]:
        """One update from one batch; its losses, none where it led nowhere."""
        self.optimiser.rate = self.rate
        losses = self.losses(x0, y)
        self.optimiser.zero_grad()
        sum(losses.values()).backward()
        clips = self.recipe.clips(self.model)
        norms = [nn.utils.clip_grad_norm_(part.parameters(), largest) for part, largest in clips]
        self.update += 1
        if not all(norm.isfinite() for norm in norms):  # one such step would be the end of the run: it is left out
            return {}
        self.optimiser.step()
        self.recipe.observe(self.model, self.update - 1)
        self._follow()
        return {name: loss.item() for name, loss in losses.items()}

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.plan.average, self.update / (9 + self.update))
        for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for kept, value in zip(self.average.buffers(), self.model.buffers(), strict=True):
            kept.copy_(value)

    def save(self, path: Path) -> None:
        """The whole state, written beside and renamed, so that a kill leaves the old one whole."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "update": self.update,
            "seconds": self.seconds,
            "plan": asdict(self.plan),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, path)

    def load(self, path: Path) -> None:
        """Continue from `save`'s file."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        for what in ("task", "method"):
            before, now = state["plan"].get(what, "compact"), getattr(self.plan, what)
            if before != now:
                raise SettingsError(
                    f"{path} holds a run for the {what} '{before}', so '{now}' cannot go on from it. Choose another "
                    f"--out folder."
                )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.update, self.seconds = state["update"], state["seconds"]


@torch.no_grad()
def validate(recipe: Recipe, model: nn.Module, pictures: list[Tensor], seed: int = 1) -> tuple[float, float]:
    """(PSNR of the recipe's quick result, PSNR of y) in dB, RGB, mean over the held-out pictures at standard damage."""
    task, scores = recipe.task, []
    device = next(model.parameters()).device
    for clean in pictures:
        generator = torch.Generator().manual_seed(seed)
        clean, y = task.lesson(clean, task.standard, generator)
        y = resize(y, clean.shape[-2:]).clamp(0, 1)
        result = (recipe.restore(model, (y * 2 - 1).to(device)).cpu() + 1) / 2
        scores.append([-10 * (p.clamp(0, 1) - clean).square().mean().log10().item() for p in (result, y)])
    mean = torch.tensor(scores).mean(dim=0)
    return mean[0].item(), mean[1].item()


def validation_crops(pictures: list, side: int = 192) -> list[Tensor]:
    """The middle of each picture, at most `side` px, in multiples of 4."""
    crops = []
    for picture in pictures:
        height, width = (min(n, side) // 4 * 4 for n in picture.shape[:2])
        top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
        crops.append(to_tensor(picture[top : top + height, left : left + width]))
    return crops


def train(
    plan: Plan,
    photos: Mapping[str, np.ndarray],
    out: Path,
    *,
    device: torch.device,
    init: Path | None = None,
    report_every: int = 50,
    validate_every: int = 500,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Train (or go on with) `plan` on `photos`, as data.read_folder gives them.

    The state is kept in out/state.pt, a log in out/log.jsonl and its curves in out/curve.svg; a kill loses at most
    SAVE_EVERY seconds. Yields a Progress every `report_every` updates.
    """
    state = out / "state.pt"
    if init is None and plan.choices.only == "denoiser" and not state.exists():
        raise SettingsError(
            "A denoiser that learns alone needs a predictor to learn beside, and --init names none. Give a file of "
            "compact weights there, or leave --only out."
        )
    run = Run(plan, device, None if state.exists() else init)
    pictures, held = split(photos)
    held = validation_crops(held)
    out.mkdir(parents=True, exist_ok=True)
    if state.exists():
        run.load(state)
        _forget_after(out, run.update)
    crops = Crops(pictures, run.recipe.task, plan.batch, plan.crop, plan.seed)
    batches = crops.ahead(run.update, WORKERS if device.type == "cuda" else 0)
    losses: dict[str, list[float]] = defaultdict(list)
    mark = saved = time.monotonic()
    while run.update < plan.updates and not stop():
        x0, y = (t.to(device, memory_format=torch.channels_last) for t in next(batches))
        for name, loss in run.step(x0, y).items():
            losses[name].append(loss)
        now = time.monotonic()
        run.seconds, mark = run.seconds + now - mark, now
        last = run.update == plan.updates
        if run.update % report_every == 0 or last:
            scores = (None, None)
            if run.update % validate_every == 0 or last:
                scores = validate(run.recipe, run.average, held)
            means = {name: sum(values) / len(values) for name, values in losses.items()}
            losses.clear()
            progress = Progress(run.update, run.seconds, means, run.rate, *scores)
            _write_down(out, progress)
            yield progress
        if now - saved > SAVE_EVERY:
            run.save(state)
            saved = now
    batches.close()
    run.save(state)


def _forget_after(out: Path, update: int) -> None:
    """Drop what the log tells of updates that were lost with a kill and will be done again."""
    log = out / "log.jsonl"
    if log.exists():
        lines = [line for line in log.read_text().splitlines() if json.loads(line)["update"] <= update]
        log.write_text("".join(line + "\n" for line in lines))


def _write_down(out: Path, progress: Progress) -> None:
    log = out / "log.jsonl"
    with log.open("a") as lines:
        lines.write(json.dumps(progress.to_json()) + "\n")
    if progress.psnr is not None:
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        (out / "curve.svg").write_text(curve.draw(rows))


__all__ = [
    "RECIPES", "Choices", "Plan", "Progress", "Run", "recipe_of", "smallest", "train", "validate", "validation_crops",
]  # fmt: skip
