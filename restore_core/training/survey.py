"""How long a run will take and how much memory, found out before its first update."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from restore_core.training.data import generator_of
from restore_core.training.loop import Plan, Run

COPIES = 5  # of the weights: themselves, their average, gradients, and two moments of the optimiser


@dataclass(frozen=True)
class Survey:
    """seconds of one update; bytes for weights and what the losses keep for their gradients; parameters."""

    seconds: float
    memory: int
    parameters: int

    def sentence(self, plan: Plan) -> str:
        """What a person wants to know before starting."""
        left = self.seconds * plan.updates
        span = f"{left / 3600:.1f} hours" if left > 5400 else f"{max(1, round(left / 60))} minutes"
        return (
            f"{self.parameters / 1e6:.1f} million parameters; about {self.seconds:.2g} s an update, {span} for "
            f"{plan.updates:,} updates; about {self.memory / 1e9:.1f} GB of memory beside the photos"
        )


def survey(plan: Plan, device: torch.device) -> Survey:
    """Time two updates of a throw-away run on noise (the first warms up) and count what the gradients need."""
    run = Run(plan, device)
    shape = (plan.batch, 3, plan.crop, plan.crop)
    x0, y = (torch.rand(shape, generator=generator_of(plan.seed, k)).to(device) * 2 - 1 for k in range(2))
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run.step(x0, y)
    began = time.perf_counter()
    run.step(x0, y)
    seconds = time.perf_counter() - began
    parameters = sum(p.numel() for p in run.model.parameters())
    return Survey(seconds, 4 * COPIES * parameters + sum(kept.values()), parameters)


__all__ = ["Survey", "survey"]
