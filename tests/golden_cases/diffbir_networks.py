"""DiffBIR's networks: names, shapes and outputs of the published implementation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden_cases.compare import assert_close, assert_same_keys, fill, given
from restore_core.checkpoints import match
from restore_core.networks import rrdbnet, scunet, swinir

Meta = Mapping[str, Any]
Outputs = Mapping[str, np.ndarray]
CLEANERS = {"SwinIR": swinir.ARCHITECTURE, "RRDBNet": rrdbnet.ARCHITECTURE, "SCUNet": scunet.ARCHITECTURE}


@torch.no_grad()
def cleaner(meta: Meta, outputs: Outputs) -> None:
    """Told from its keys, built from its shapes; compared at every `subsample`-th row and column."""
    assert meta["class"] in CLEANERS, f"unknown class {meta['class']!r}; known: {', '.join(CLEANERS)}"
    shapes = {key: torch.empty(shape, device="meta") for key, shape, _ in meta["tensors"]}
    assert match.architecture_of(shapes) is CLEANERS[meta["class"]]
    network = CLEANERS[meta["class"]].build(shapes, {})
    assert_same_keys(network, meta)
    fill(network, meta)
    every = meta.get("subsample", 1)
    for name, spec in meta["inputs"].items():
        out = network(given(spec))
        _close(out[..., ::every, ::every], outputs, meta, f"out_{name}")
        _close(_stats(out), outputs, meta, f"stats_{name}")


def _close(actual: Tensor, outputs: Outputs, meta: Meta, name: str) -> None:
    """These fixtures' tolerance is relative to the largest value of each output."""
    assert_close(actual, outputs[name], None, name, relative=meta["tolerance"])


def _stats(x: Tensor) -> Tensor:
    return torch.stack([x.mean(), x.std(), x.abs().max()])


RUNNERS = {"diffbir/cleaner": cleaner}
