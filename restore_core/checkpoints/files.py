"""Weights on disk: where they lie, and how they are opened without running any code in them."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from restore_core.checkpoints.catalogue import Checkpoint
from restore_core.errors import CheckpointError, NotDownloaded


def folder() -> Path:
    """The weights folder: $STEPBACK_WEIGHTS, or weights/ beside the package."""
    return Path(os.environ.get("STEPBACK_WEIGHTS") or Path(__file__).parents[2] / "weights")


def path_of(checkpoint: Checkpoint) -> Path:
    """Where the record's file lies, or would lie."""
    return folder() / checkpoint.source.file


def locate(checkpoint: Checkpoint) -> Path:
    """The record's file on this machine, or NotDownloaded."""
    path = path_of(checkpoint)
    if not path.is_file():
        raise NotDownloaded(
            f"The weights '{checkpoint.key}' are not on this machine: {path.name} is not in {path.parent.name}/. They "
            f"come with the project; get the file from its repository, or train it with python -m restore_core train."
        )
    return path


def open_state(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors or PyTorch file, on the CPU; a pickle that wants to run code is refused."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} wants to run code when it is opened, so it was not opened. Ask for a safetensors file, or "
            f"convert it where you trust it."
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path.name} is not a whole weights file ({type(error).__name__}), so nothing can be loaded from it. Get it "
            f"again."
        ) from error
