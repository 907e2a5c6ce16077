"""Inputs and comparisons that the runners share."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
import procedural


def given(spec: Mapping[str, Any]) -> Tensor:
    """The input that a fixture describes: {"kind": normal | uniform | value, ...}, then * scale + shift."""
    if spec["kind"] == "value":
        x = np.asarray(spec["value"])
    else:
        x = getattr(procedural, spec["kind"])(spec["name"], spec["shape"])
    if "scale" in spec or "shift" in spec:
        x = (x * np.float32(spec.get("scale", 1.0)) + np.float32(spec.get("shift", 0.0))).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(x))


def normal(name: str, shape: tuple[int, ...]) -> Tensor:
    """A standard normal draw by name."""
    return torch.from_numpy(procedural.normal(name, shape))


def assert_close(actual: Tensor, expected: np.ndarray, tolerance: float | None, what: str, relative: float = 1e-5):
    """Largest difference within `tolerance`, or within `relative` times the largest expected value."""
    expected = torch.as_tensor(expected)
    assert tuple(actual.shape) == tuple(expected.shape), f"{what}: {tuple(actual.shape)} != {tuple(expected.shape)}"
    limit = tolerance if tolerance is not None else relative * max(1.0, expected.abs().max().item())
    worst = (actual.double() - expected.double()).abs().max().item()
    assert worst <= limit, f"{what}: differs by {worst:.3g}, allowed {limit:.3g}"


def assert_same_keys(module: nn.Module, meta: Mapping[str, Any]) -> None:
    """The module's state dict has exactly the fixture's keys and shapes (buffers included)."""
    ours = {key: list(value.shape) for key, value in module.state_dict().items()}
    theirs = {key: list(shape) for key, shape, _ in meta["tensors"]}
    missing, extra = sorted(theirs.keys() - ours.keys()), sorted(ours.keys() - theirs.keys())
    assert not missing and not extra, f"missing {missing[:5]}, unexpected {extra[:5]}"
    wrong = [k for k in theirs if theirs[k] != ours[k]]
    assert not wrong, f"misshapen: {[(k, ours[k], theirs[k]) for k in wrong[:5]]}"


def fill(module: nn.Module, meta: Mapping[str, Any], salt: str | None = None) -> nn.Module:
    """Procedural weights in; buffers keep what the network computed itself. In eval mode."""
    state = procedural.state_dict(meta, meta.get("salt", "") if salt is None else salt)
    missing, unexpected = module.load_state_dict(state, strict=False)
    buffers = {key for key, _, kind in meta["tensors"] if kind == "buffer"}
    assert not unexpected and set(missing) <= buffers, f"missing {sorted(set(missing) - buffers)[:5]}, {unexpected[:5]}"
    return module.eval()
