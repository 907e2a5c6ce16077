"""Weights rounded to 8 bits, for files that ship: half the size of half precision.

    w[c] ~ scale[c] q[c],      q whole in -127..127,      scale[c] = max |w[c]| / 127

c runs over the output channels of a matrix or kernel, so what is small beside its neighbours is not lost. In the file q
takes w's name, and scale that name with SUFFIX behind it. Vectors (biases, norms) and small kernels stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from restore_core.errors import CheckpointError

SUFFIX = ".scale"
LARGEST = 127
FEWEST = 1024  # numbers of a tensor; with fewer, nothing is gained


def rounded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with its large tensors as int8 and float32 scales; each number is off by at most scale/2."""
    out = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point() or tensor.ndim < 2 or tensor.numel() < FEWEST:
            out[name] = tensor
            continue
        rows = tensor.float().flatten(1)
        scale = rows.abs().amax(1) / LARGEST
        steps = rows / scale.clamp(min=torch.finfo(scale.dtype).tiny)[:, None]
        out[name] = steps.round().to(torch.int8).reshape(tensor.shape)
        out[name + SUFFIX] = scale
    return out


def restored(state: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """The state as networks take it, float32 where it was rounded. `file`: named in errors."""
    return {
        name: _restored(name, tensor, state, file)
        for name, tensor in state.items()
        if not (name.endswith(SUFFIX) and _is_rounded(state, name.removesuffix(SUFFIX)))
    }


def _is_rounded(state: Mapping[str, Tensor], name: str) -> bool:
    return name in state and state[name].dtype == torch.int8 and name + SUFFIX in state


def _restored(name: str, tensor: Tensor, state: Mapping[str, Tensor], file: str) -> Tensor:
    if not _is_rounded(state, name):
        return tensor
    scale = state[name + SUFFIX]
    if tensor.ndim < 2 or scale.shape != tensor.shape[:1] or not scale.is_floating_point():
        raise CheckpointError(
            f"{file}: '{name}' is rounded to 8 bits, and its scales are of shape {tuple(scale.shape)} for a tensor of "
            f"shape {tuple(tensor.shape)}, so its numbers cannot be told. Get the file again."
        )
    return tensor.float() * scale.float().reshape(-1, *(1 for _ in tensor.shape[1:]))


__all__ = ["SUFFIX", "restored", "rounded"]
