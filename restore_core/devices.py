"""Where networks run, in which precision, and how much room there is."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from restore_core.errors import SettingsError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose(name: str | None = None) -> torch.device:
    """The device asked for by name ("cpu", "cuda", "cuda:1", "mps"), or CUDA, then MPS, then the CPU."""
    if name is None or name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(
            f"The device '{name}' cannot be used on this machine, so nothing can run there. Choose cpu, or leave the "
            f"device out to have one chosen."
        ) from error
    return device


def choose_precision(device: torch.device) -> str:
    """The fastest precision that the device has in hardware: bfloat16 on CUDA cards and on CPUs with bf16 tiles."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device.type == "cpu" and torch.cpu._is_amx_tile_supported():
        return "bfloat16"
    return "float32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The context in which networks run in `precision`; float32 needs none."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, PRECISIONS[precision])


def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        return f"{torch.cuda.get_device_name(device)}, {memory:.0f} GB"
    return {"cpu": f"CPU, {torch.get_num_threads()} threads", "mps": "Apple GPU"}.get(device.type, device.type)


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free for networks, None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        told = Path("/proc/meminfo").read_text(encoding="ascii")
        return 1024 * int(told.partition("MemAvailable:")[2].split()[0])
    except (OSError, ValueError, IndexError):
        return None
