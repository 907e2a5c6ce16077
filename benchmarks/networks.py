"""The published networks at full size with random weights: python -m benchmarks.networks

    parameters, FLOP of one call, seconds of one call and its share of the machine's measured matrix product
    channels-last over the default memory format, bfloat16 over float32: ratios of times, below 1 is faster
    plain/ours: float32 in the default format over the way the tool runs it; goal: 1.2 or more
    --loading: seconds and peak memory of loading a file of about 500 MB; goal: at most 1.2 times the file on top of
    the module

Names and shapes come from the key lists in tests/golden (or $GOLDEN_DIR). Ratios are medians over interleaved rounds in
this one process; the matrix product is measured between them, as the machine's speed changes with its other work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from restore_core import devices
from restore_core.checkpoints import match

ROOT = Path(__file__).parents[1]
GEMM = 2048  # side of the matrices whose product is the machine's peak
FORMATS = {"default": torch.contiguous_format, "channels-last": torch.channels_last}


@dataclass(frozen=True)
class Case:
    """One network. `inputs`: shapes of its tensors, numbers as they are; config: what shapes cannot tell."""

    name: str
    fixture: str
    inputs: tuple[Any, ...]
    config: Mapping[str, Any] = field(default_factory=dict)


CASES: tuple[Case, ...] = (
    Case("SR3 16-128, 128 px", "sr3_full_sr_sr3_16_128", ((1, 6, 128, 128), 0.5), {"norm_groups": 32}),
    Case("SR3 64-512, 128 px", "sr3_full_sr_sr3_64_512", ((1, 6, 128, 128), 0.5), {"norm_groups": 16}),
    Case("ResShift, latent 64 px", "resshift_unet_full_realsr", ((1, 3, 64, 64), 3.0, (1, 3, 64, 64))),
    Case("VQ f4, 128 px there and back", "resshift_vq_full_f4", ((1, 3, 128, 128),)),
    Case("IR-SDE, 128 px", "irsde_cunet_nf64_d4_full", ((1, 3, 128, 128), 50.0, (1, 3, 128, 128))),
    Case("Denoising-SDE, 128 px", "irsde_denoising_unet_full", ((1, 3, 128, 128), 50.0)),
    Case("Refusion NAFNet, 128 px", "irsde_cnafnet_w64_full", ((1, 3, 128, 128), 50.0, (1, 3, 128, 128))),
    Case(
        "Refusion haze, latent 32 px", "irsde_cnafnet_dehazing_full", ((1, 8, 32, 32), 50.0, (1, 8, 32, 32)),
        {"intro_skip": True},
    ),
    Case("Refusion latents, 128 px there and back", "irsde_latent_unet_haze_full", ((1, 3, 128, 128),)),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What was measured of one network; seconds and ratios by precision."""

    name: str
    parameters: int
    flop: int
    seconds: float
    share: float
    channels_last: Mapping[str, float]
    bfloat16: float | None
    gain: float


def random_network(case: Case, device: torch.device) -> nn.Module:
    """The case's network with small random weights."""
    folder = Path(os.environ.get("GOLDEN_DIR") or ROOT / "tests" / "golden")
    tensors = json.loads((folder / f"{case.fixture}.json").read_text())["tensors"]
    shapes = {name: torch.empty(shape, device="meta") for name, shape, *_ in tensors}
    module = match.architecture_of(shapes).build(shapes, case.config)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = max(1, parameter[0].numel())
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * fan_in**-0.5)
    return module.eval().requires_grad_(False).to(device)


def made(inputs: tuple[Any, ...], device: torch.device) -> list[Any]:
    """Tensors of the given shapes, numbers as tensors of one."""
    draw = torch.Generator().manual_seed(1)
    return [
        torch.randn(x, generator=draw).to(device) if isinstance(x, tuple) else torch.tensor([x], device=device)
        for x in inputs
    ]


def flop_of(run: Callable[[], object]) -> int:
    """Floating-point operations of one call: two for each multiplication with its addition."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def gemm(dtype: torch.dtype, device: torch.device) -> Callable[[], Tensor]:
    """A large matrix product: what the machine can do at best."""
    one, other = (torch.ones(GEMM, GEMM, dtype=dtype, device=device) for _ in range(2))
    return lambda: one @ other


def measure(case: Case, device: torch.device, rounds: int, precisions: tuple[str, ...]) -> Row:
    """All ways of running one network, in turn, `rounds` times."""
    modules = {name: random_network(case, device).to(memory_format=form) for name, form in FORMATS.items()}
    inputs = made(case.inputs, device)
    peak = gemm(torch.float32, device)

    def way(form: str, precision: str) -> Callable[[], object]:
        @torch.no_grad()
        def run() -> object:
            with devices.autocast(device, precision):
                return modules[form](*inputs)

        return run

    ways = {(form, precision): way(form, precision) for precision in precisions for form in FORMATS}
    took: dict[Any, list[float]] = {key: [] for key in [*ways, "peak"]}
    for run in [*ways.values(), peak]:
        run()  # the first call makes plans and tables
    for _ in range(rounds):
        for key, run in [*ways.items(), ("peak", peak)]:
            took[key].append(seconds(run, device))

    def ratio(one: Any, other: Any) -> float:
        return statistics.median(a / b for a, b in zip(took[one], took[other], strict=True))

    flop = flop_of(ways["default", "float32"])
    best = ("channels-last", "float32")
    gemm_rate = 2 * GEMM**3 / statistics.median(took["peak"])
    return Row(
        case.name,
        sum(p.numel() for p in modules["default"].parameters()),
        flop,
        statistics.median(took[best]),
        flop / statistics.median(took[best]) / gemm_rate,
        {p: ratio(("channels-last", p), ("default", p)) for p in precisions},
        ratio(("channels-last", "bfloat16"), best) if "bfloat16" in precisions else None,
        ratio(("default", "float32"), ("channels-last", precisions[-1])),
    )


LOAD = """
import sys, time
from pathlib import Path
from restore_core.checkpoints import match, reading

def peak():
    told = Path("/proc/self/status").read_text()
    return 1024 * int(told.partition("VmHWM:")[2].split()[0])

match.build(reading.open_state(Path(sys.argv[1])), {})  # imports and caches are not the file's
before, began = peak(), time.perf_counter()
module = match.build(reading.open_state(Path(sys.argv[2])), {})
print(time.perf_counter() - began, peak() - before, sum(p.nbytes for p in module.state_dict().values()))
"""


def loading(suffix: str, folder: Path) -> tuple[float, float, int]:
    """(seconds, peak memory on top of the module over the file's size, the file's size) in a process of its own."""
    save = save_file if suffix == ".safetensors" else torch.save
    paths = []
    for fixture in ("resshift_unet_small_sr", "resshift_unet_full_realsr"):
        module = random_network(Case("", fixture, ()), torch.device("cpu"))
        paths.append(folder / f"{fixture}{suffix}")
        save(module.state_dict(), paths[-1])
    command = [sys.executable, "-c", LOAD, *map(str, paths)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    took, peak, module_bytes = float(told[0]), int(told[1]), int(told[2])
    size = paths[-1].stat().st_size
    return took, (peak - module_bytes) / size, size


def _line(row: Row, precisions: tuple[str, ...]) -> str:
    formats = " | ".join(f"{row.channels_last[p]:.2f}" for p in precisions)
    half = "-" if row.bfloat16 is None else f"{row.bfloat16:.2f}"
    return (
        f"| {row.name} | {row.parameters / 1e6:.1f} M | {row.flop / 1e9:.0f} G | {row.seconds:.2f} | "
        f"{row.share:.0%} | {formats} | {half} | {row.gain:.2f} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="", help="part of a network's name")
    parser.add_argument("--loading", action="store_true", help="measure loading instead")
    asked = parser.parse_args()
    if asked.loading:
        with tempfile.TemporaryDirectory() as folder:
            for suffix in (".pth", ".safetensors"):
                took, over, size = loading(suffix, Path(folder))
                print(f"{suffix:12} {size / 1e6:.0f} MB: {took:.2f} s, {over:.2f} of the file on top of the module")
        return
    device = devices.choose(asked.device)
    fast = devices.choose_precision(device)
    precisions = ("float32",) if fast == "float32" else ("float32", "bfloat16")
    print(f"{devices.describe(device)}, {asked.rounds} rounds")
    heads = " | ".join(f"channels-last/default, {p}" for p in precisions)
    heads += " | bfloat16/float32 | plain/ours"
    print(f"| network | parameters | FLOP a call | s, channels-last | of GEMM | {heads} |")
    print("|" + "---|" * (7 + len(precisions)))
    for case in CASES:
        if asked.only in case.name:
            print(_line(measure(case, device, asked.rounds, precisions), precisions), flush=True)


if __name__ == "__main__":
    main()
