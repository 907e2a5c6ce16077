"""Threads for the cores that there are, and networks that are compiled where somebody can."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from restore_core import devices, memory
from restore_core.errors import SettingsError

CPU = torch.device("cpu")


@pytest.fixture
def threads(monkeypatch):
    """As many as asked for, put back afterwards."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def system(monkeypatch, allowed: set[int], files: dict[str, str]) -> None:
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: allowed, raising=False)
    monkeypatch.setattr(devices, "_first_line", lambda path: files.get(path, ""))


def siblings(*groups: str) -> dict[str, str]:
    """The system's files where the n-th processor belongs to the n-th group."""
    place = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    return {place.format(n): group for n, group in enumerate(groups)}


@pytest.mark.parametrize(
    ("allowed", "files", "count"),
    [
        ({0, 1, 2, 3}, siblings("0,2", "1,3", "0,2", "1,3"), 2),  # two cores with two threads each
        ({0, 1, 2, 3}, siblings("0", "1", "2", "3"), 4),
        ({0, 2}, siblings("0,2", "1,3", "0,2", "1,3"), 1),  # only one core's threads are allowed
        ({0, 1, 2, 3}, {}, 4),  # a system that says nothing
        ({0, 1, 2, 3}, {"/sys/fs/cgroup/cpu.max": "150000 100000"}, 2),  # a container with one and a half
        ({0, 1, 2, 3}, {"/sys/fs/cgroup/cpu.max": "max 100000"}, 4),
        ({0, 1, 2, 3}, {"/sys/fs/cgroup/cpu.max": "10000 100000"}, 1),
    ],
)
def test_cores_are_counted(monkeypatch, allowed: set[int], files: dict[str, str], count: int):
    system(monkeypatch, allowed, files)
    assert devices.cores() == count


def test_workers_share_the_cores_and_threads_are_never_more_than_now(monkeypatch, threads):
    system(monkeypatch, set(range(8)), {})
    threads(8)
    assert devices.use_cores(4) == 2 == torch.get_num_threads()
    assert devices.use_cores(1) == 2
    threads(8)
    assert devices.use_cores(20) == 1


def test_who_set_the_threads_is_heeded(monkeypatch, threads):
    system(monkeypatch, {0}, {})
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    threads(3)
    assert devices.use_cores() == 3


GROUPS = {  # what the system tells in a container of 3 GB, 1 GB of it in use and half of that only cache
    2: {
        "/sys/fs/cgroup/memory.max": "3000000000", "/sys/fs/cgroup/memory.current": "1000000000",
        "/sys/fs/cgroup/memory.stat": "anon 500000000\nfile 500000000\ninactive_file 500000000",
    },
    1: {
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "3000000000",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes": "1000000000",
        "/sys/fs/cgroup/memory/memory.stat": "inactive_file 7\ntotal_inactive_file 500000000",
    },
}  # fmt: skip
WIDE = {"/sys/fs/cgroup/memory.max": "max", "/sys/fs/cgroup/memory.current": "1000000000"}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        (GROUPS[2], 2_500_000_000), (GROUPS[1], 2_500_000_000), (WIDE, 64_000_000_000), ({}, 64_000_000_000),
        (GROUPS[2] | {"/sys/fs/cgroup/memory.current": "3600000000"}, 0),
    ],
)  # fmt: skip
def test_a_container_has_less_memory_than_its_machine(monkeypatch, files: dict[str, str], free: int):
    told = {"/proc/meminfo": "MemTotal: 99000000 kB\nMemAvailable: 62500000 kB"} | files

    def read(path: Path, **_: str) -> str:
        if str(path) not in told:
            raise FileNotFoundError(path)
        return told[str(path)]

    monkeypatch.setattr(Path, "read_text", read)
    assert devices.free_memory(CPU) == free and memory.free(CPU) == free
    told.pop("/proc/meminfo")
    assert devices.free_memory(CPU) is None and memory.free(CPU) == memory.UNKNOWN


def test_without_a_compiler_a_sentence_tells_before_the_run(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SettingsError, match=r"C\+\+ compiler.*leave compiling out"):
        devices.check_compiler(CPU)
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="triton"):
        devices.check_compiler(torch.device("cuda"))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++" if name == "g++" else None)
    devices.check_compiler(CPU)


class Bundle(nn.Module):
    """Two networks in one file, which is never called itself."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(2, 2), nn.Linear(2, 2)


def test_what_is_called_is_compiled(monkeypatch):
    asked: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: asked.append(self))
    bundle, single = Bundle(), nn.Linear(2, 2)
    assert devices.compiled(bundle, CPU) is bundle and asked == [bundle.one, bundle.other]
    assert devices.compiled(single, CPU) is single and asked[2:] == [single]


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.silu(self.conv(x)) * 2 + 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_a_compiled_network_gives_the_same_picture():
    plain, x = Small().eval(), torch.rand(1, 3, 32, 32)
    fast = Small().eval()
    fast.load_state_dict(plain.state_dict())
    with torch.no_grad():
        assert torch.allclose(devices.compiled(fast, CPU)(x), plain(x), atol=1e-5)
