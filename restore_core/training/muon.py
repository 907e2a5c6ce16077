"""Muon: momentum whose every matrix is made orthogonal. Jordan et al. 2024; scaled as by Liu et al. 2025 (2502.16982).

    m <- mu m + (1 - mu) grad,      u = (1 - mu) grad + mu m                   (Nesterov)
    W <- W - rate (0.2 sqrt(max(rows, columns)) orthogonal(u) + decay W)

orthogonal(u) = U V^T for u = U S V^T: the step of norm 1 that goes down fastest where a matrix's norm is its largest
singular value. A kernel (out, in, h, w) is the matrix (out, in h w). The factor gives a step the root mean square that
AdamW's have, so rates carry over. Vectors and what touches pixels directly stay with AdamW.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that drives singular values from (0, 1] to about 1
ITERATIONS = 5
DECAY = 1.0  # steps have one size however small the gradient: without decay the kernels grow until networks burst


class Muon:
    """Muon for `kernels`, AdamW without decay for the `rest`.

    speed   the rate of the kernels over the rate of the rest
    decay   of the kernels

    Used as a torch.optim.Optimizer is: zero_grad, step, state_dict, load_state_dict; `rate` is set before each step.
    """

    def __init__(
        self,
        kernels: Iterable[nn.Parameter],
        rest: Iterable[nn.Parameter],
        *,
        speed: float = 3.0,
        momentum: float = 0.95,
        decay: float = DECAY,
    ):
        self.kernels, self.speed, self.momentum, self.decay = list(kernels), speed, momentum, decay
        self.adamw = torch.optim.AdamW(list(rest), betas=(0.9, 0.99), weight_decay=0.0)
        self.momenta = [torch.zeros_like(p) for p in self.kernels]
        self.rate = 0.0

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.adamw.zero_grad(set_to_none=True)
        for p in self.kernels:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step at `rate`."""
        for group in self.adamw.param_groups:
            group["lr"] = self.rate
        self.adamw.step()
        alike = defaultdict(list)  # kernels of one shape are worked on at once
        for p, m in zip(self.kernels, self.momenta, strict=True):
            if p.grad is not None:
                m.lerp_(p.grad, 1 - self.momentum)
                alike[p.shape].append((p, p.grad.lerp(m, self.momentum)))
        for shape, pairs in alike.items():
            steps = orthogonal(torch.stack([u.flatten(1) for _, u in pairs]))
            length = 0.2 * math.sqrt(max(steps.shape[-2:]))
            for (p, _), step in zip(pairs, steps, strict=True):
                p.mul_(1 - self.speed * self.rate * self.decay)
                p.sub_(step.reshape(shape).to(p), alpha=self.speed * self.rate * length)

    def state_dict(self) -> dict[str, Any]:
        """What load_state_dict takes."""
        return {"momenta": self.momenta, "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where state_dict was asked for; from a state of AdamW alone, with fresh momenta."""
        if "momenta" not in state:
            if not self.kernels:
                self.adamw.load_state_dict(state)
            return
        for own, value in zip(self.momenta, state["momenta"], strict=True):
            own.copy_(value)
        self.adamw.load_state_dict(state["adamw"])


def orthogonal(u: Tensor) -> Tensor:
    """U V^T of each matrix U S V^T in (K, rows, columns), singular values within about 0.7 to 1.2, bfloat16."""
    a, b, c = COEFFICIENTS
    tall = u.shape[-2] > u.shape[-1]
    x = (u.mT if tall else u).bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


__all__ = ["Muon", "orthogonal"]
