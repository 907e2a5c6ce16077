"""Any readable weights file as safetensors: the bare state dict, which needs no pickle ever after."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from restore_core.checkpoints import checksums, files, folders, match
from restore_core.checkpoints.reading import format_of, open_state
from restore_core.checkpoints.recognition import recognise
from restore_core.checkpoints.rounding import rounded
from restore_core.errors import CheckpointError


def convert(path: Path, target: Path | None = None, *, eight_bits: bool = False) -> Path:
    """Write the file's tensors beside it (or to `target`) as safetensors; the new path.

    Names are those of the bare state dict. The file remembers where it comes from: name and SHA-256 of the source, its
    architecture, and its key in the catalogue where that is certain.

    eight_bits  large tensors are rounded (checkpoints/rounding.py)
    """
    if format_of(path) == "safetensors" and not eight_bits:
        raise CheckpointError(
            f"{path.name} is a safetensors file already, so there is nothing to convert. Use it as it is."
        )
    target = target or path.with_suffix(".safetensors")
    if target.exists():
        raise CheckpointError(
            f"{target.name} exists already and is not replaced. Delete it first, or choose another name."
        )
    state = open_state(path)
    match.check_numbers(state)
    origin = {"format": "pt", "source": path.name, "source_sha256": checksums.sha256(path, folders.memory())}
    records = recognise(path)
    origin["architecture"] = match.architecture_of(state).key
    if len(records) == 1:
        origin["key"] = records[0].key
    tensors = rounded(state) if eight_bits else state
    with files.making_room(target, sum(t.numel() * t.element_size() for t in tensors.values())) as part:
        save_file({n: t.clone(memory_format=torch.contiguous_format) for n, t in tensors.items()}, part, origin)
    return target
