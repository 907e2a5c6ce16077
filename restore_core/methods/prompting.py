"""Classifier-free guidance (Ho and Salimans 2022): what a prompt adds to the answer to another one, taken w times.

    raw = n + w (p - n),     p, n: the network's answers to the positive and to the negative prompt, in one batched call

At w = 1 the negative prompt plays no part and is not asked. raw may be eps, v or x0: all are linear in each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from restore_core.problem import Network

CONTEXT = "context"  # key in cond of the encoded prompts, (2, tokens, width): positive, negative


def growing(scale: float, index: float, total: int = 1000) -> float:
    """DiffBIR's weight for w > 1: w(t) = 1 + w (1 - cos(pi ((T - t)/T)^5))/2, from 1 at t = T - 1 to 1 + w at t = 0.

    index   t, counted from 0, as the network is told it
    """
    if scale <= 1:
        return scale
    return 1 + scale * (1 - math.cos(math.pi * ((total - index) / total) ** 5)) / 2


def classifier_free(network: Network, weight: Callable[[Tensor], float]) -> Network:
    """A network of (x, t, cond) that sees one context row for each picture -> the guided one of a single picture.

    weight   t -> w;   cond["context"] holds the positive and the negative row, everything else is the same for both
    """

    def guided(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        w, context = weight(t), cond[CONTEXT]
        if w == 1:
            return network(x, t, {**cond, CONTEXT: context[:1]})
        both = {key: _twice(value) for key, value in cond.items() if key != CONTEXT}
        positive, negative = network(_twice(x), t, {**both, CONTEXT: context[:2]}).chunk(2)
        return negative + w * (positive - negative)

    return guided


def _twice(value: Tensor) -> Tensor:
    return torch.cat([value, value])
