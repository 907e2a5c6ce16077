"""What DiffBIR costs, stage by stage, and what its guidance does. Random weights: cost does not depend on them.

    python -m benchmarks.diffbir shapes               published sizes: parameters, FLOPs, live bytes, without computing
    python -m benchmarks.diffbir seconds [--full]     one call of each stage, timed; --full needs 6 GB and minutes
    python -m benchmarks.diffbir step [--full]        a guided step as the published code takes it and as the tool does
    python -m benchmarks.diffbir memory               peak of live bytes over the picture's size, stage by stage, tiny
    python -m benchmarks.diffbir guidance FOLDER      compact variant: PSNR and LPIPS over the guidance scale

`memory` runs whole restorations in pieces that fit into STEPBACK_MEMORY (here 0.5 GB, if nothing else is said). What
grows with the picture then are the pictures themselves and latents (a quarter of a byte a pixel each): the peak is
C + 12 bytes x pixels x (photo, first restoration; at the end the result), C being the largest window's activations.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.diffbir_models import FULL, TINY, Networks, Sizes, build
from benchmarks.peak import Live, peak_bytes
from restore_core import devices
from restore_core.checkpoints import catalogue
from restore_core.degradations import TASKS
from restore_core.degradations.realworld import RECIPES
from restore_core.engine import Frame, finish, restore
from restore_core.evaluation import Pair, Table, as_table, pairs
from restore_core.library import Library
from restore_core.methods.cleaning import clean
from restore_core.methods.colour import FIXES
from restore_core.methods.diffbir import DiffBIR
from restore_core.methods.diffbir_latent import pose_latent
from restore_core.methods.diffbir_weights import process_of, truncated
from restore_core.networks.stable_diffusion import ControlNet, UNet

VARIANT, STEPS, CFG = "v2-1-photo", 10, 8.0
Stage = Callable[[], object]


def stages(sizes: Sizes, device: torch.device, side: int, rows: int = 2) -> Iterator[tuple[str, Stage, int]]:
    """(name, one call for a square picture of `side`, calls in a run of STEPS guided steps), built in turn."""
    x = torch.zeros(1, 3, side, side, device=device)
    z = torch.zeros(1, 4, side // 8, side // 8, device=device)
    pair, text = z.expand(rows, -1, -1, -1), torch.zeros(rows, 77, sizes.text[0], device=device)
    quarter = x[..., : side // 4, : side // 4]
    cleaners = build(sizes, device, parts=("cleaners",)).cleaners
    yield "clean, SwinIR", lambda: cleaners["swinir"](x), 1
    yield "clean, BSRNet x4", lambda: cleaners["bsrnet"](quarter), 1
    yield "clean, SCUNet", lambda: cleaners["scunet"](x), 1
    yield from _reading(sizes, device)
    autoencoder = build(sizes, device, parts=("autoencoder",)).base.autoencoder
    yield "encode", lambda: autoencoder.encode(x), 1
    yield "decode", lambda: autoencoder.decode(z), 1
    denoiser = build(sizes, device, parts=("denoiser",))
    unet, control = denoiser.base.unet, denoiser.control
    yield f"control + U-Net, {rows} prompts", lambda: unet(pair, 500.0, text, control(pair, 500.0, text, pair)), STEPS


def _reading(sizes: Sizes, device: torch.device) -> Iterator[tuple[str, Stage, int]]:
    """The text encoder lives as long as it is measured, as in a run."""
    reader = build(sizes, device, parts=("text",)).base.text
    ids = torch.zeros(2, 77, dtype=torch.int64, device=device)
    yield "read the prompts", lambda: reader(ids), 1


def shapes(sides: tuple[int, ...] = (512, 1024, 2048)) -> Iterator[str]:
    """Published sizes on the meta device."""
    yield "| stage | calls | " + " | ".join(f"{s} px: TFLOP a call, live GB" for s in sides) + " |"
    yield "|---|---|" + "---|" * len(sides)
    for found in zip(*(stages(FULL, torch.device("meta"), side) for side in sides), strict=True):
        cells = [f"{_flops(run) / 1e12:.3g}, {peak_bytes(run) / 1e9:.2f}" for _, run, _ in found]
        yield f"| {found[0][0]} | {found[0][2]} | " + " | ".join(cells) + " |"


@torch.no_grad()
def _flops(run: Stage) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@torch.no_grad()
def seconds(sizes: Sizes, device: torch.device, precision: str, side: int, rounds: int) -> Iterator[str]:
    """One call of each stage, the fastest of `rounds`, by the clock and by the processors; its FLOPs and live bytes by
    the shapes alone, in float32."""
    yield "| stage | calls an image | TFLOP a call | live MB | s a call | CPU s a call | s an image |"
    yield "|---|---|---|---|---|---|---|"
    by_shapes = stages(sizes, torch.device("meta"), side)
    for (name, run, calls), (_, shape, _) in zip(stages(sizes, device, side), by_shapes, strict=True):
        with devices.autocast(device, precision):
            taken, busy = min(_timed(run, device) for _ in range(rounds))
        cost = f"{_flops(shape) / 1e12:.3g} | {peak_bytes(shape) / 1e6:.0f}"
        yield f"| {name} | {calls} | {cost} | {taken:.3f} | {busy:.3f} | {taken * calls:.2f} |"
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    yield f"\nThe process took {most:.1f} GB at most, the weights of one part of the networks at a time included."


@torch.no_grad()
def step(sizes: Sizes, device: torch.device, precision: str, side: int, rounds: int) -> Iterator[str]:
    """A step's two predictions, one change after another: seconds, and their ratio to the published way's, a median
    over interleaved rounds.

    The published code asks for one prompt after the other; attention is softmax(q k^T / sqrt(d)) v as written.
    """
    denoiser = build(sizes, device, parts=("denoiser",))
    unet, control = denoiser.base.unet, denoiser.control
    z = torch.zeros(2, 4, side // 8, side // 8, device=device)
    text = torch.zeros(2, 77, sizes.text[0], device=device)

    def predict(z: Tensor, text: Tensor) -> Tensor:
        return unet(z, 500.0, text, control(z, 500.0, text, z))

    def apart() -> object:
        return [predict(z[k : k + 1], text[k : k + 1]) for k in range(2)]

    def together() -> object:
        return predict(z, text)

    plain, last = torch.contiguous_format, torch.channels_last
    ways: dict[str, tuple[Stage, bool, torch.memory_format, str]] = {  # what is run, fused attention, layout, precision
        "as published, float32": (apart, False, plain, "float32"),
        "both prompts in one call": (together, False, plain, "float32"),
        "and fused attention": (together, True, plain, "float32"),
        "and channels last": (together, True, last, "float32"),
    }
    if precision != "float32":
        ways[f"and {precision}"] = (together, True, last, precision)
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):  # the first round makes plans
        for name, (run, fused, layout, kind) in ways.items():
            _arrange((unet, control), fused, layout)
            with devices.autocast(device, kind):
                took[name].append(_timed(run, device)[0])
    first = next(iter(took))
    yield "| a step | s | of the published way |"
    yield "|---|---|---|"
    for name, times in took.items():
        ratio = statistics.median(a / b for a, b in zip(times[1:], took[first][1:], strict=True))
        yield f"| {name} | {statistics.median(times[1:]):.2f} | {ratio:.2f} |"


def _arrange(networks: Sequence[UNet | ControlNet], fused: bool, layout: torch.memory_format) -> None:
    from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

    for one in networks:
        one.network.set_attn_processor(AttnProcessor2_0() if fused else AttnProcessor())
        one.to(memory_format=layout)


def _timed(run: Stage, device: torch.device) -> tuple[float, float]:
    """Seconds, and those of all this process's threads together: less disturbed where others use the machine."""
    began, busy = time.perf_counter(), time.process_time()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began, time.process_time() - busy


PARTS = (("clean", 2), ("encode, pose", 2), ("control + U-Net", 2), ("decode, colour", 3))  # pictures there at the end


def memory(networks: Networks, sides: tuple[int, ...], changes: Mapping[str, object]) -> Iterator[str]:
    """Peak of live bytes in each part of one restoration, all that the run then holds included; and how much of it is
    neither the photo, nor the first restoration, nor the result (float32: 12 bytes a pixel each)."""
    yield "| side, px | a picture | " + " | ".join(f"{what}: peak, beyond {n} pictures" for what, n in PARTS) + " | s |"
    yield "|---|---|" + "---|" * len(PARTS) + "---|"
    for side in sides:
        began, picture = time.perf_counter(), 12 * side**2
        found = zip(peaks(networks, side, changes), PARTS, strict=True)
        cells = [f"{peak / 2**20:.0f} MB, {(peak - n * picture) / 2**20:.0f} MB" for peak, (_, n) in found]
        yield f"| {side} | {picture / 2**20:.0f} MB | {' | '.join(cells)} | {time.perf_counter() - began:.0f} |"


def peaks(networks: Networks, side: int, changes: Mapping[str, object]) -> Iterator[int]:
    """Of PARTS, in the order of a run."""
    ask = DiffBIR.card.settings(VARIANT, **{"steps": 1, "cfg": CFG, **changes})
    control = catalogue.record("diffbir/v2-1").config
    process = process_of(control)
    text = torch.zeros(2, 77, networks.base.text.network.config.hidden_size)
    with Live() as live:
        image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
        cleaned = clean(networks.cleaners["swinir"], image, 1, ask)
        yield live.lap()
        problem = pose_latent(
            networks.base, networks.control, cleaned, (side, side), text, process, control["predicts"], ask,
            times=truncated(process), condition_noise=torch.randn_like,
        )  # fmt: skip
        yield live.lap()
        frames = restore(problem, ask)
        for _ in range(ask.steps):
            next(frames)
        yield live.lap()
        for frame in frames:
            result = frame.result
        del result
        yield live.lap()


def damaged(folder: Path, damage: str, scale: int, seed: int = 0) -> Iterator[Pair]:
    """By a task's standard damage, or by a random chain of the blind methods, its result 1/scale of the clean size."""
    if damage in TASKS:
        yield from pairs(folder, TASKS[damage], {}, seed)
        return
    yield from pairs(folder, TASKS["denoise" if scale == 1 else f"sr{scale}"], {}, seed, damage)


def guidance(
    folder: Path, damage: str, variant: str, scales: Sequence[float], limit: int | None, changes: Mapping[str, object]
) -> Iterator[str]:
    """After each picture the table so far: input, then every scale; the seeds are the pictures' numbers."""
    table, library = Table(), Library()
    for k, pair in enumerate(damaged(folder, damage, DiffBIR.card.variant(variant).scale)):
        if limit is not None and k >= limit:
            break
        table.add("input", pair, pair.enlarged)
        for scale in scales:
            last = _guided(library, pair, variant, {**changes, "guidance": scale, "seed": k})
            table.add(f"guidance {scale:g}", pair, last.result, last.seconds, last.calls)
        yield as_table(table.scores())


def _guided(library: Library, pair: Pair, variant: str, changes: Mapping[str, object]) -> Frame:
    ask = DiffBIR.card.settings(variant, precision=library.precision, **changes)
    problem = library.method("diffbir", ask.variant).pose(pair.degraded.to(library.device), ask)
    return finish(restore(problem, ask))


def main() -> None:
    """Run one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="table", required=True)
    commands.add_parser("shapes")
    for table in ("seconds", "step"):
        timed = commands.add_parser(table)
        timed.add_argument("--full", action="store_true")
        timed.add_argument("--side", type=int, default=512)
        timed.add_argument("--rounds", type=int, default=3)
        timed.add_argument("--device", default="cpu")
        timed.add_argument("--precision", choices=tuple(devices.PRECISIONS), help="default: what the device does best")
    sized = commands.add_parser("memory")
    sized.add_argument("--sides", default="512,1024,2048")
    sized.add_argument("--colour", choices=tuple(FIXES), default="wavelet")
    sized.add_argument("--steps", type=int, default=1)
    guided = commands.add_parser("guidance")
    guided.add_argument("folder", type=Path)
    guided.add_argument("--damage", default="denoise", help=", ".join((*TASKS, *RECIPES)))
    guided.add_argument("--variant", help="default: the compact one for the damage")
    guided.add_argument("--scales", default="0,0.2,0.4,0.6,0.8,1")
    guided.add_argument("--limit", type=int)
    guided.add_argument("--steps", type=int)
    for line in _lines(parser.parse_args()):
        print(line, flush=True)


def _lines(asked: argparse.Namespace) -> Iterator[str]:
    if asked.table == "shapes":
        yield from shapes()
    elif asked.table in ("seconds", "step"):
        device = devices.choose(asked.device)
        which = "published" if asked.full else "tiny"
        precision = asked.precision or devices.choose_precision(device)
        yield f"{devices.describe(device)}, {precision}, {asked.side} px, {which} sizes\n"
        sizes = FULL if asked.full else TINY
        made = seconds if asked.table == "seconds" else step
        yield from made(sizes, device, precision, asked.side, asked.rounds)
    elif asked.table == "memory":
        os.environ.setdefault("STEPBACK_MEMORY", "0.5")
        yield f"pieces that fit into {os.environ['STEPBACK_MEMORY']} GB"
        changes = {"colour": asked.colour, "steps": asked.steps}
        yield from memory(build(TINY, torch.device("cpu")), tuple(int(s) for s in asked.sides.split(",")), changes)
    else:
        variant = asked.variant or f"compact-{asked.damage}"
        scales = [float(scale) for scale in asked.scales.split(",")]
        yield from guidance(asked.folder, asked.damage, variant, scales, asked.limit, {"steps": asked.steps})


if __name__ == "__main__":
    main()
