"""Weights files: safetensors, PyTorch's zip and its older pickle, wrapped as authors wrap them."""

from __future__ import annotations

import io
import tempfile
from collections import OrderedDict
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save

from restore_core.checkpoints.reading import open_state
from restore_core.errors import CheckpointError


def seeds() -> list[bytes]:
    """Small valid files."""
    generator = torch.Generator().manual_seed(0)
    state = OrderedDict(
        (name, torch.randn(shape, generator=generator))
        for name, shape in (("conv.weight", (2, 3, 3, 3)), ("conv.bias", (2,)), ("norm.weight", (4,)))
    )
    half = {name: tensor.half() for name, tensor in state.items()}
    nested = {"params_ema": {f"module.{name}": tensor for name, tensor in state.items()}, "epoch": 3}
    lightning = {"state_dict": state, "hyper": {"rate": 1e-4, "names": ["a", "b"]}, "global_step": 9}
    made = [save(dict(state)), save(half, {"format": "pt"}), save({"x": torch.arange(3)})]
    for content in (state, half, nested, lightning):
        made += [_saved(content, zipped) for zipped in (True, False)]
    return made


def _saved(content: object, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@cache
def _place() -> Path:
    return Path(tempfile.mkdtemp(prefix="stepback-fuzz-")) / "file.pth"


def attempt(data: bytes) -> str:
    """Open it: "read" or "refused"; anything else is raised."""
    path = _place()
    path.unlink(missing_ok=True)  # a new file: the old one's bytes may still be mapped
    path.write_bytes(data)
    try:
        state = open_state(path)
    except CheckpointError as error:
        assert str(error).count("Traceback") == 0 and len(str(error)) < 1200, "not a sentence"
        return "refused"
    assert state and all(isinstance(tensor, torch.Tensor) for tensor in state.values())
    assert sum(tensor.untyped_storage().nbytes() for tensor in state.values()) <= 64 * len(data) + 4096
    return "read"
