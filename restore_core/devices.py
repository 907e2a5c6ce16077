"""Where networks run, in which precision, and how much room there is."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import nn

from restore_core.counting import counted
from restore_core.errors import SettingsError

CONTAINERS = (  # of control groups 2 and 1: where a container's memory is told, at most and now, and what is only cache
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
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


def cores() -> int:
    """Physical cores that this process may use: hyper-threads share one, affinity and a quota limit them."""
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:  # not Linux; PyTorch counts cores there by itself
        return torch.get_num_threads()
    siblings = {_first_line(f"/sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list") or str(n) for n in allowed}
    quota, _, period = _first_line("/sys/fs/cgroup/cpu.max").partition(" ")
    share = math.ceil(int(quota) / int(period)) if quota.isdigit() and period.isdigit() else len(siblings)
    return max(1, min(len(siblings), share))


def use_cores(workers: int = 1) -> int:
    """Let networks on the CPU run on the cores that there are, shared among so many workers; never on more than now.

    The environment variable OMP_NUM_THREADS has the last word. Returns the number of threads.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), max(1, cores() // workers)))
    return torch.get_num_threads()


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def check_compiler(device: torch.device) -> None:
    """SettingsError where networks cannot be compiled for `device`: told before a run."""
    if device.type == "cpu":
        wanted, found = "a C++ compiler", any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++", "cl")))
    else:
        wanted, found = "the package triton", importlib.util.find_spec("triton") is not None
    if not found:
        raise SettingsError(
            f"Compiling networks needs {wanted}, and there is none on this machine. Install one, or leave compiling "
            f"out: results are the same."
        )


def compiled(module: nn.Module, device: torch.device) -> nn.Module:
    """The module itself, to be compiled when it is first called; its parts where only they are ever called.

    On CUDA a call becomes one graph, whose kernels are launched at once. On a CPU the time is in the convolutions,
    which stay as they are: our compact network in bfloat16 took the same time as without (0.98).
    """
    parts = [module] if type(module).forward is not nn.Module.forward else module.children()
    for part in parts:
        part.compile(mode="reduce-overhead" if device.type == "cuda" else None)
    return module


def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        return f"{torch.cuda.get_device_name(device)}, {memory:.0f} GB"
    threads = counted(torch.get_num_threads(), "thread")
    return {"cpu": f"CPU, {threads}", "mps": "Apple GPU"}.get(device.type, device.type)


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free for networks, in the machine and in the container; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    machine = _number_after("MemAvailable:", "/proc/meminfo")
    return None if machine is None else min(1024 * machine, *map(_room, CONTAINERS))


def _room(told: tuple[str, str, str, str]) -> int:
    """Bytes that a container lets its programs still take, by the files that tell it; very many where none does."""
    folder, most, now, cache = told
    limit, used = (_first_line(f"{folder}/{name}") for name in (most, now))
    if not limit.isdigit() or not used.isdigit():
        return sys.maxsize
    return max(0, int(limit) - int(used) + (_number_after(cache, f"{folder}/memory.stat") or 0))


def _number_after(word: str, path: str) -> int | None:
    """The whole number behind a line's first word in one of the system's files; None where there is none."""
    try:
        lines = (line.split() for line in Path(path).read_text(encoding="ascii").splitlines())
        return next((int(found[1]) for found in lines if found[:1] == [word]), None)
    except (OSError, ValueError, IndexError):
        return None
