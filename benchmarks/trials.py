"""Forms of the predictor at equal cost, trained alike: python -m benchmarks.trials PHOTOS --task sr4 --updates 600

Each trial is a predictor alone, from the same seed, on the same crops in the same order, by L1, with the averaged
weights measured on the held-out photographs (every 40th). Only the form differs; widths and depths are chosen for
nearly equal multiplications a pixel. Seconds are processor seconds of an update and count as much as the decibels: on a
CPU, 3 x 3 convolutions of one channel each cost far more than their multiplications say.

Names: BLOCK-WIDTHxDEPTH; a trial is added by a line in TRIALS.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from restore_core.degradations import TASKS
from restore_core.images import resize
from restore_core.networks import spectrum
from restore_core.networks.compact_unet import CompactUNet
from restore_core.training.data import Crops, read_folder, split
from restore_core.training.loop import validation_crops
from restore_core.training.muon import Muon
from restore_core.training.recipes import lpips_loss

COST_SIDE = 96
OUTER = ("head", "tail", "embed", "embed_spectrum")  # what touches pixels, levels or spectra is AdamW's


@dataclass(frozen=True)
class Trial:
    """sizes: of the network; loss: see LOSSES; rate: peak learning rate; begin: factors on the weights it begins with,
    of the first convolution and of the blocks' last ones; muon: the rate inside over `rate`, 0 for AdamW everywhere;
    decay: of the weights inside, over their rate."""

    sizes: Mapping[str, Any]
    loss: str = "l1"
    rate: float = 6e-4
    spectra: bool = False
    begin: tuple[float, float] = (1.0, 1.0)
    muon: float = 0.0
    decay: float = 1e-4


def low(width: int, depth: int, block: str = "plain") -> dict[str, Any]:
    """A trunk at a quarter of the size, all at one width."""
    return {"unshuffle": 4, "widths": (width,), "depths": (depth,), "block": block}


def deep(widths: tuple[int, ...], depths: tuple[int, ...], unshuffle: int = 2, block: str = "plain") -> dict[str, Any]:
    """A U-Net."""
    return {"unshuffle": unshuffle, "widths": widths, "depths": depths, "block": block}


TRIALS: Mapping[str, Mapping[str, Trial]] = {
    "sr4": {
        "plain-64x24": Trial(low(64, 24)),
        "plain-96x11": Trial(low(96, 11)),
        "plain-128x6": Trial(low(128, 6)),
        "plain-48x43": Trial(low(48, 43)),
        "simple-64x60": Trial(low(64, 60, "simple")),
        "simple-128x16": Trial(low(128, 16, "simple")),
        "transformer-96x17": Trial(low(96, 17, "transformer")),
        "unet-64-96-128": Trial(deep((64, 96, 128), (2, 2, 4))),
        "plain-64x24, begun small": Trial(low(64, 24), begin=(1 / 3, 0.4)),
        "plain-64x24, first small": Trial(low(64, 24), begin=(1 / 3, 1.0)),
        "plain-64x24, blocks small": Trial(low(64, 24), begin=(1.0, 0.4)),
        "plain-64x24, L2": Trial(low(64, 24), "l2"),
        "plain-64x24, rate 1.2e-3": Trial(low(64, 24), rate=1.2e-3),
        "plain-64x24, LPIPS": Trial(low(64, 24), "lpips"),
        "plain-64x24, Muon": Trial(low(64, 24), muon=3.3),
        "plain-64x24, Muon, fast": Trial(low(64, 24), muon=8.3),
        "plain-64x24, Muon, slow": Trial(low(64, 24), muon=1.0),
        "plain-64x24, Muon, decay 0.3": Trial(low(64, 24), muon=3.3, decay=0.3),
        "plain-64x24, Muon, decay 1": Trial(low(64, 24), muon=3.3, decay=1.0),
        "plain-64x24, Muon, decay 3": Trial(low(64, 24), muon=3.3, decay=3.0),
        "plain-64x24, Muon, LPIPS": Trial(low(64, 24), "lpips", muon=3.3, decay=1.0),
        "simple-128x16, Muon": Trial(low(128, 16, "simple"), muon=3.3, decay=1.0),
        "transformer-96x17, Muon": Trial(low(96, 17, "transformer"), muon=3.3, decay=1.0),
    },
    "blind": {
        "unet-64-96-128": Trial(deep((64, 96, 128), (2, 2, 4))),
        "unet-64-96-128, spectrum": Trial(deep((64, 96, 128), (2, 2, 4)), spectra=True),
        "unet-32-64-128-192": Trial(deep((32, 64, 128, 192), (3, 3, 5, 4))),
        "unet-24-48-96, full size": Trial(deep((24, 48, 96, 128), (1, 2, 3, 4), unshuffle=1)),
        "simple-64-96-128": Trial(deep((64, 96, 128), (6, 6, 8), block="simple")),
        "transformer-64-96-128": Trial(deep((64, 96, 128), (2, 3, 5), block="transformer")),
    },
}
LOSSES = {
    "l1": lambda g, x0: (g - x0).abs().mean(),
    "l2": lambda g, x0: 10 * (g - x0).square().mean(),
    "lpips": lambda g, x0: (g - x0).abs().mean() + 0.1 * lpips_loss(g, x0),
}


@dataclass
class Outcome:
    """psnr: dB on held-out photographs after so many updates; seconds: processor seconds of an update."""

    name: str
    parameters: int
    flops: float
    seconds: float
    psnr: dict[int, float] = field(default_factory=dict)
    lpips: float = 0.0


class Trained:
    """A predictor with its optimiser and average."""

    def __init__(self, trial: Trial, updates: int, bf16: bool):
        torch.manual_seed(0)
        self.trial, self.updates, self.bf16, self.update = trial, updates, bf16, 0
        self.model, self.average = (self._network() for _ in range(2))
        self.average.load_state_dict(self.model.state_dict())
        self.average.requires_grad_(False)
        inside = [p for n, p in self.model.named_parameters() if p.ndim >= 2 and n.split(".")[0] not in OUTER]
        inside = inside if trial.muon else []
        ids = {id(p) for p in inside}
        rest = [p for p in self.model.parameters() if id(p) not in ids]
        self.optimiser = Muon(inside, rest, speed=trial.muon, decay=trial.decay)

    def _network(self) -> CompactUNet:
        network = CompactUNet(3, **self.trial.sizes, spectra=self.trial.spectra)
        first, last = self.trial.begin
        with torch.no_grad():
            for name, weight in network.named_parameters():
                weight.mul_(first if name == "head.weight" else last if name.endswith("leave.weight") else 1.0)
        return network.to(memory_format=torch.channels_last)

    def predict(self, network: nn.Module, y: Tensor) -> Tensor:
        """g(y)."""
        told = spectrum.power_spectrum(y) if self.trial.spectra else None
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return y + network(y, None, told).float()

    def step(self, x0: Tensor, y: Tensor) -> None:
        """One update."""
        self.optimiser.zero_grad()
        LOSSES[self.trial.loss](self.predict(self.model, y), x0).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
        shape = min(1.0, (self.update + 1) / 100) * max(0.01, 1 - self.update / self.updates)
        self.optimiser.rate = self.trial.rate * shape
        self.optimiser.step()
        self.update += 1
        decay = min(0.995, (1 + self.update) / (10 + self.update))
        for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(value.detach(), 1 - decay)

    @torch.no_grad()
    def validate(self, pictures: list[tuple[Tensor, Tensor]]) -> tuple[float, float]:
        """(PSNR in dB, LPIPS), means."""
        scores = []
        for clean, y in pictures:
            g = self.predict(self.average, y).clamp(-1, 1)
            mse = ((g - clean) / 2).square().mean()
            scores.append([-10 * mse.log10().item(), lpips_loss(g, clean).item()])
        return tuple(torch.tensor(scores).mean(dim=0).tolist())


def run(name: str, trial: Trial, asked: argparse.Namespace, pictures: tuple[list, list]) -> Outcome:
    """Train one trial and measure it four times on the way."""
    kept, held = pictures
    task = TASKS[asked.task]
    looked = []
    for clean in validation_crops(held):
        y = task(clean, task.standard, torch.Generator().manual_seed(1))
        looked.append((clean * 2 - 1, resize(y, clean.shape[-2:]).clamp(0, 1) * 2 - 1))
    crops = Crops(kept, task, asked.batch, asked.crop)
    trained = Trained(trial, asked.updates, asked.bf16)
    outcome = Outcome(name, sum(p.numel() for p in trained.model.parameters()), _cost(trained), 0.0)
    spent = 0.0
    for update in range(1, asked.updates + 1):
        x0, y = crops[update]
        began = time.process_time()
        trained.step(x0, y)
        spent += time.process_time() - began
        if update % max(1, asked.updates // 4) == 0:
            outcome.psnr[update], outcome.lpips = trained.validate(looked)
            print(f"{name}: {update} {outcome.psnr[update]:.3f} dB", file=sys.stderr, flush=True)
    outcome.seconds = spent / asked.updates
    return outcome


def _cost(trained: Trained) -> float:
    """Thousands of floating-point operations a pixel."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        trained.predict(trained.model, torch.zeros(1, 3, COST_SIDE, COST_SIDE))
    return counter.get_total_flops() / COST_SIDE**2 / 1e3


def as_table(outcomes: list[Outcome]) -> str:
    """Markdown."""
    marks = list(outcomes[0].psnr)
    head = " | ".join(f"{mark:,} updates" for mark in marks)
    lines = [f"| | parameters | kFLOP/px | s | {head} | LPIPS |", "|---" * (5 + len(marks)) + "|"]
    for o in outcomes:
        scores = " | ".join(f"{o.psnr[mark]:.2f}" for mark in marks)
        lines.append(
            f"| {o.name} | {o.parameters / 1e6:.2f} M | {o.flops:.0f} | {o.seconds:.2f} | {scores} | {o.lpips:.3f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """The command; the exit code."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.trials")
    p.add_argument("photos", type=Path)
    p.add_argument("--task", required=True, choices=TRIALS)
    p.add_argument("--trial", action="append", help="repeatable; default: all of the task")
    p.add_argument("--updates", type=int, default=600)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--crop", type=int, default=64)
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--json", type=Path, help="append outcomes there, one line each")
    asked = p.parse_args()
    pictures = split(read_folder(asked.photos, asked.crop + 2 * TASKS[asked.task].margin))
    outcomes = []
    for name in asked.trial or TRIALS[asked.task]:
        outcomes.append(run(name, TRIALS[asked.task][name], asked, pictures))
        if asked.json:
            with asked.json.open("a") as lines:
                lines.write(json.dumps(vars(outcomes[-1])) + "\n")
    print(as_table(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
