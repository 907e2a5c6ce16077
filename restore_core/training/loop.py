"""Training the compact model: AdamW, cosine rate, averaged weights, and a state on disk that survives a kill."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from restore_core.checkpoints.files import open_state
from restore_core.checkpoints.match import fill
from restore_core.degradations import TASKS, Task
from restore_core.errors import SettingsError
from restore_core.images import resize
from restore_core.networks import compact_unet
from restore_core.networks.compact_unet import CompactModel
from restore_core.training.data import Crops, read_folder, split, to_tensor
from restore_core.training.objectives import denoiser_loss, predictor_loss

SAVE_EVERY = 120.0  # seconds between states on disk
SD_MEMORY = 0.998  # of the running deviation of x0 - g(y)


@dataclass(frozen=True)
class Plan:
    """One training run. `updates` may be changed when resuming: the rate follows the share that is done."""

    task: str
    updates: int
    batch: int = 16
    crop: int = 96
    rate: float = 6e-4
    warmup: int = 200
    average: float = 0.999
    drop: float = 0.1
    seed: int = 0
    bf16: bool = False


@dataclass(frozen=True)
class Progress:
    """Where a run stands; losses are means since the last report."""

    update: int
    seconds: float
    predictor: float
    denoiser: float
    sd: float
    rate: float
    psnr: float | None = None
    psnr_input: float | None = None


def rate_at(plan: Plan, update: int) -> float:
    """Linear warm-up, then half a cosine down to 1 % of the rate."""
    cosine = 0.505 + 0.495 * math.cos(math.pi * min(1.0, update / plan.updates))
    return plan.rate * min(1.0, (update + 1) / plan.warmup) * cosine


class Run:
    """Model, averaged model, optimiser and random state of one training run."""

    def __init__(self, plan: Plan, device: torch.device):
        torch.manual_seed(plan.seed)  # initial weights
        self.plan, self.device = plan, device
        task = TASKS[plan.task]
        self.model, self.average = (
            _placed(compact_unet.new(4 if task.scale == 4 else 2, spectra=task.spectra), device) for _ in range(2)
        )
        self.average.load_state_dict(self.model.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        self.generator = torch.Generator().manual_seed(plan.seed)
        self.update, self.seconds = 0, 0.0

    def step(self, x0: Tensor, y: Tensor) -> tuple[float, float]:
        """One update from one batch; (predictor loss, denoiser loss)."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.plan, self.update)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.plan.bf16):
            first, g = predictor_loss(self.model, x0, y)
            second = denoiser_loss(self.model, x0, y, g, self.generator, self.plan.drop)
        self.optimiser.zero_grad(set_to_none=True)
        (first + second).backward()
        nn.utils.clip_grad_norm_(self.model.predictor.parameters(), 0.5)
        nn.utils.clip_grad_norm_(self.model.denoiser.parameters(), 1.0)
        self.optimiser.step()
        self._follow((g.detach() - x0).square().mean().sqrt())
        self.update += 1
        return first.item(), second.item()

    @torch.no_grad()
    def _follow(self, deviation: Tensor) -> None:
        memory = min(SD_MEMORY, (1 + self.update) / (10 + self.update))
        self.model.sd.lerp_(deviation, 1 - memory)
        decay = min(self.plan.average, (1 + self.update) / (10 + self.update))
        for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        self.average.sd.copy_(self.model.sd)

    def save(self, path: Path) -> None:
        """The whole state, written beside and renamed, so that a kill leaves the old one whole."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
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
        if state["plan"]["task"] != self.plan.task:
            raise SettingsError(
                f"{path} holds a run for the task '{state['plan']['task']}', so '{self.plan.task}' cannot go on from "
                f"it. Choose another --out folder."
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"].cpu())
        self.update, self.seconds = state["update"], state["seconds"]


def check(plan: Plan) -> None:
    """SettingsError for a plan that cannot be carried out."""
    if plan.task not in TASKS:
        raise SettingsError(f"There is no task called '{plan.task}' to train for. Choose one of {', '.join(TASKS)}.")
    if plan.crop < 32 or plan.crop % 32:
        raise SettingsError(f"Crops of {plan.crop} px do not divide by 32, as the networks need. Choose 64, 96 or 128.")
    if plan.updates < 1 or plan.batch < 1 or not plan.rate > 0:
        raise SettingsError("Updates, batch and rate must all be above 0 to train anything. Choose larger ones.")


def _placed(model: CompactModel, device: torch.device) -> CompactModel:
    return model.to(device, memory_format=torch.channels_last)


@torch.no_grad()
def validate(model: CompactModel, pictures: list[Tensor], task: Task, seed: int = 1) -> tuple[float, float]:
    """(PSNR of g(y), PSNR of y) in dB, RGB, mean over the held-out pictures at the task's standard damage."""
    scores = []
    for clean in pictures:
        generator = torch.Generator().manual_seed(seed)
        y = resize(task(clean, task.standard, generator), clean.shape[-2:]).clamp(0, 1)
        g = (model.predict((y * 2 - 1).to(model.sd.device)).cpu() + 1) / 2
        scores.append([-10 * (p.clamp(0, 1) - clean).square().mean().log10().item() for p in (g, y)])
    mean = torch.tensor(scores).mean(dim=0)
    return mean[0].item(), mean[1].item()


def _validation_crops(pictures: list, side: int = 192) -> list[Tensor]:
    crops = []
    for picture in pictures:
        height, width = (min(n, side) // 4 * 4 for n in picture.shape[:2])
        top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
        crops.append(to_tensor(picture[top : top + height, left : left + width]))
    return crops


def train(
    plan: Plan,
    data: Path,
    out: Path,
    *,
    device: torch.device,
    init: Path | None = None,
    report_every: int = 50,
    validate_every: int = 500,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Train (or go on with) `plan` on the photos in `data`.

    The state is kept in out/state.pt and a log in out/log.jsonl; a kill loses at most SAVE_EVERY seconds. Yields a
    Progress every `report_every` updates.
    """
    check(plan)
    task = TASKS[plan.task]
    pictures, held = split(read_folder(data, plan.crop + 2 * task.margin))
    held = _validation_crops(held)
    out.mkdir(parents=True, exist_ok=True)
    run = Run(plan, device)
    state = out / "state.pt"
    if state.exists():
        run.load(state)
    elif init is not None:
        fill(run.model, open_state(init))
        run.average.load_state_dict(run.model.state_dict())
    run.generator.manual_seed(plan.seed + 7919 * (run.update + 1))  # fresh crops after a resumption
    crops = iter(Crops(pictures, task, plan.batch, plan.crop, run.generator))
    losses: list[tuple[float, float]] = []
    mark = saved = time.monotonic()
    while run.update < plan.updates and not stop():
        x0, y = (t.to(device, memory_format=torch.channels_last) for t in next(crops))
        losses.append(run.step(x0, y))
        now = time.monotonic()
        run.seconds, mark = run.seconds + now - mark, now
        if run.update % report_every == 0 or run.update == plan.updates:
            scores = (None, None)
            if run.update % validate_every == 0 or run.update == plan.updates:
                scores = validate(run.average, held, task)
            means = torch.tensor(losses).mean(dim=0).tolist()
            losses = []
            progress = Progress(
                run.update, run.seconds, *means, run.model.sd.item(), rate_at(plan, run.update), *scores
            )
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(asdict(progress)) + "\n")
            yield progress
        if now - saved > SAVE_EVERY:
            run.save(state)
            saved = now
    run.save(state)


def export(state: Path, path: Path) -> dict[str, float | int | str]:
    """Write the averaged weights of a run in half precision as safetensors; returns its plan and progress."""
    saved = torch.load(state, weights_only=True, map_location="cpu")
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.half().contiguous() for key, value in saved["average"].items()}
    tensors["sd"], tensors["data_sd"] = (saved["average"][k].float() for k in ("sd", "data_sd"))
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata={"architecture": "compact", "task": saved["plan"]["task"]})
    os.replace(part, path)
    return {**saved["plan"], "update": saved["update"], "seconds": saved["seconds"]}
