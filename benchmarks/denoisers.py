"""Forms of the denoiser, trained alike on one fixed predictor: python -m benchmarks.denoisers PHOTOS --task sr4

Each trial learns D from the same crops, levels and noise, by the loss of training/objectives.py, with averaged weights.
Measured on the held-out photographs (every 40th; their middle 192 px): PSNR of D at three levels of noise (deviations
in units of [-1, 1]), and PSNR and LPIPS of a sampled restoration (SR3, 10 steps). Seconds are processor seconds of an
update. A trial is added by a line in FORMS.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from restore_core import degradations
from restore_core.degradations import TASKS
from restore_core.engine import finish, restore
from restore_core.images import resize
from restore_core.library import Library, card
from restore_core.methods import METHODS
from restore_core.metrics import lpips, psnr
from restore_core.networks.compact_blocks import Modulation
from restore_core.networks.compact_unet import DENOISER, CompactModel, CompactUNet
from restore_core.training.data import Crops, generator_of, read_folder, split
from restore_core.training.loop import validation_crops
from restore_core.training.muon import Muon
from restore_core.training.objectives import denoiser_loss
from restore_core.training.recipes import Choices, Compact

LEVELS = (0.05, 0.2, 0.8)
STEPS = 10


class PredictsClean(CompactModel):
    """The raw output is (x0 - g)/sd, whatever the level."""

    @staticmethod
    def estimate(raw: Tensor, r: Tensor, a: Tensor, s: Tensor, g: Tensor, sd: Tensor) -> Tensor:
        return g + sd * raw

    @staticmethod
    def target(x0: Tensor, r: Tensor, a: Tensor, s: Tensor, g: Tensor, sd: Tensor) -> Tensor:
        return (x0 - g) / sd


class PredictsNoise(CompactModel):
    """The raw output is eps, as in DDPM: r = a (x0 - g) + s eps."""

    @staticmethod
    def estimate(raw: Tensor, r: Tensor, a: Tensor, s: Tensor, g: Tensor, sd: Tensor) -> Tensor:
        return g + (r - s * raw) / a.clamp(min=1e-3)

    @staticmethod
    def target(x0: Tensor, r: Tensor, a: Tensor, s: Tensor, g: Tensor, sd: Tensor) -> Tensor:
        return (r - a * (x0 - g)) / s


class WithoutGuess(CompactModel):
    """F does not see g (D still starts from it)."""

    @staticmethod
    def network_input(r: Tensor, a: Tensor, s: Tensor, g: Tensor, y: Tensor, sd: Tensor) -> Tensor:
        return CompactModel.network_input(r, a, s, torch.zeros_like(g), y, sd)


class WithoutPhoto(CompactModel):
    """F does not see y."""

    @staticmethod
    def network_input(r: Tensor, a: Tensor, s: Tensor, g: Tensor, y: Tensor, sd: Tensor) -> Tensor:
        return CompactModel.network_input(r, a, s, g, torch.zeros_like(y), sd)


@dataclass(frozen=True)
class Form:
    """sizes: of the network; model: what its output means and what it sees; drop: share without a condition;
    shift_only: the level is added to the features and does not scale them (DDPM's way)."""

    sizes: Mapping[str, Any] = field(default_factory=lambda: DENOISER)
    model: type[CompactModel] = CompactModel
    drop: float = 0.1
    shift_only: bool = False
    levels: bool = True


def sizes(unshuffle: int, widths: tuple[int, ...], depths: tuple[int, ...], block: str = "plain") -> dict[str, Any]:
    """Of a U-Net."""
    return {"unshuffle": unshuffle, "widths": widths, "depths": depths, "block": block}


FORMS: Mapping[str, Form] = {
    "2 px, 32-64-128": Form(sizes(2, (32, 64, 128), (2, 2, 4))),
    "level added, not multiplied": Form(shift_only=True),
    "not told the level": Form(levels=False),
    "predicts x0 - g": Form(model=PredictsClean),
    "predicts eps": Form(model=PredictsNoise),
    "does not see g": Form(model=WithoutGuess),
    "does not see y": Form(model=WithoutPhoto),
    "condition never dropped": Form(drop=0.0),
    "condition dropped in 30 %": Form(drop=0.3),
    "1 px, 16-32-64-96": Form(sizes(1, (16, 32, 64, 96), (1, 2, 2, 4))),
    "4 px, 96-160": Form(sizes(4, (96, 160), (2, 3))),
    "wider and shallower, 48-96": Form(sizes(2, (48, 96), (1, 4))),
    "48-96, six deep blocks": Form(sizes(2, (48, 96), (1, 6))),
    "48-96-128, few fine blocks": Form(sizes(2, (48, 96, 128), (1, 2, 3))),
    "64-128, two deep blocks": Form(sizes(2, (64, 128), (1, 2))),
    "NAFNet's blocks, 48-96-128": Form(sizes(2, (48, 96, 128), (2, 3, 4), "simple")),
}


class _ShiftOnly(nn.Module):
    """A Modulation's linear map with the scales held at 0."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.linear = linear

    def forward(self, embedding: Tensor) -> Tensor:
        scale, shift = self.linear(embedding).chunk(2, dim=1)
        return torch.cat([0 * scale, shift], dim=1)


def model_of(form: Form, known: CompactModel) -> CompactModel:
    """An untrained denoiser beside the known predictor; from the same seed."""
    torch.manual_seed(0)
    network = CompactUNet(9, **form.sizes, levels=form.levels)
    if form.shift_only:
        for module in network.modules():
            if isinstance(module, Modulation) and module.modulate is not None:
                module.modulate = _ShiftOnly(module.modulate)
    model = form.model(known.predictor, network)
    model.sd, model.data_sd = known.sd.clone(), known.data_sd.clone()
    model.predictor.requires_grad_(False)
    return model.to(memory_format=torch.channels_last)


def trained(form: Form, known: CompactModel, crops: Crops, updates: int) -> tuple[CompactModel, float]:
    """(averaged model, processor seconds of an update)."""
    model, average = model_of(form, known), model_of(form, known)
    recipe = Compact(crops.task, Choices())
    inside = [p for p in recipe.kernels(model) if p.requires_grad]
    ids = {id(p) for p in inside}
    optimiser = Muon(inside, [p for p in model.denoiser.parameters() if id(p) not in ids])
    spent = 0.0
    for update in range(updates):
        x0, y = crops[update]
        began = time.process_time()
        optimiser.rate = recipe.rate * min(1.0, (update + 1) / 100) * max(0.01, 1 - update / updates)
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            g = model.predict(y)
            denoiser_loss(model, x0, y, g, generator_of(0, update, purpose=1), form.drop).backward()
        nn.utils.clip_grad_norm_(model.denoiser.parameters(), 1.0)
        optimiser.step()
        decay = min(0.995, (1 + update) / (10 + update))
        with torch.no_grad():
            pairs = zip(average.denoiser.parameters(), model.denoiser.parameters(), strict=True)
            for mean, value in pairs:
                mean.lerp_(value, 1 - decay)
        spent += time.process_time() - began
    return average.eval().requires_grad_(False), spent / updates


@torch.no_grad()
def measured(model: CompactModel, task_key: str, held: list[Tensor]) -> list[float]:
    """PSNR of D at each of LEVELS, then PSNR and LPIPS of a sampled picture; means."""
    task, scores = TASKS[task_key], []
    method = METHODS["sr3"](card("sr3").variant_for(task_key), {"network": model})
    settings = card("sr3").settings(method.variant.key, steps=STEPS, precision="bfloat16")
    for k, clean in enumerate(held):
        generator = degradations.generator_of(k)
        small = task(clean, task.standard, generator)
        y, x0 = resize(small, clean.shape[-2:]).clamp(0, 1) * 2 - 1, clean * 2 - 1
        found = []
        with torch.autocast("cpu", torch.bfloat16):
            g = model.predict(y)
            for level in LEVELS:
                r = x0 - g + level * torch.randn(x0.shape, generator=generator)
                d = model.denoise(r, torch.tensor(1.0), torch.tensor(level), g, y)
                found.append(-10 * ((d.clamp(-1, 1) - x0) / 2).square().mean().log10().item())
        result = finish(restore(method.pose(small, settings), replace(settings, seed=k))).result
        scores.append([*found, float(psnr(result, clean)), float(lpips(result, clean))])
    return torch.tensor(scores).mean(dim=0).tolist()


def cost(model: CompactModel) -> float:
    """Thousands of floating-point operations a pixel."""
    x, one = torch.zeros(1, 3, 96, 96), torch.tensor(1.0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.denoise(x, one, one, x, x)
    return counter.get_total_flops() / 96**2 / 1e3


def main() -> int:
    """Print the table, a row as soon as it is known; the exit code."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.denoisers")
    p.add_argument("photos", type=Path)
    p.add_argument("--task", default="sr4", choices=[key for key, task in TASKS.items() if not task.spectra])
    p.add_argument("--form", action="append", choices=tuple(FORMS), help="repeatable; default: all")
    p.add_argument("--updates", type=int, default=600)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--crop", type=int, default=64)
    asked = p.parse_args()
    task = TASKS[asked.task]
    kept, held = split(read_folder(asked.photos, asked.crop + 2 * task.margin))
    held, crops = validation_crops(held), Crops(kept, task, asked.batch, asked.crop)
    known = Library("cpu").network(f"compact/{asked.task}")
    levels = " | ".join(f"D at {level:g}" for level in LEVELS)
    print(f"| | kFLOP/px | s | {levels} | sampled | LPIPS |\n" + "|---" * (5 + len(LEVELS)) + "|", flush=True)
    for name in asked.form or FORMS:
        model, seconds = trained(FORMS[name], known, crops, asked.updates)
        *psnrs, perceived = measured(model, asked.task, held)
        told = " | ".join(f"{value:.2f}" for value in psnrs)
        print(f"| {name} | {cost(model):.0f} | {seconds:.3f} | {told} | {perceived:.4f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
