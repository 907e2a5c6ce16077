"""Threads for the cores that there are, and networks that are compiled where somebody can."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import Tensor, nn

from restore_core import devices
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
