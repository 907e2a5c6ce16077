"""The numbers of teaching.md, as the Learn tab works them out: python docs/lessons.py [--picture cat] [--task sr4]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from restore_core.library import Library
from restore_core.teaching import forward as curves
from restore_core.teaching.levels import LEVELS, told
from restore_core.teaching.scenes import METHODS, Scene, pose, settings_of
from restore_core.ui.desk import Desk
from restore_core.ui.learn import back, both, chance
from restore_core.ui.learn.stage import Stage


def zero_decibels(scene: Scene, library: Library) -> Iterator[str]:
    """Where signal and noise are equally strong, a = s, and what is left at the end."""
    processes = {"ddpm": curves.ddpm()}
    processes |= {key: pose(scene, library, settings_of(scene, library, key)).process for key in METHODS}
    for key, process in processes.items():
        t = process.time_of(torch.tensor(1.0)).item()
        a, _, s = process.marginal(torch.tensor(float(process.steps)))
        yield f"{key}: 0 dB at t = {t:.1f} of {process.steps}; at the end a = {a:.4f}, s = {s:.3f}"


def going_back(stage: Stage, key: str) -> Iterator[str]:
    """PSNR of runs with few and many steps, flow and ancestral."""
    part = back.Back(stage, (), None, ())
    for sampler in ("ddim", "multistep", "heun"):
        for eta in (0.0, 1.0) if sampler == "ddim" else (0.0,):
            found = {n: part.show(key, "resshift", sampler, n, eta, 1)[0]["psnr"] for n in (2, 5, 10, 20)}
            yield f"resshift, {sampler}, eta {eta:g}: PSNR by steps {found}"


def by_chance(stage: Stage, key: str) -> Iterator[str]:
    """How far four runs part, by eta, start, method and steps; the samplers' own errors."""
    dice, walk = chance.Randomness(stage, (), None), chance.Steps(stage, (), None)
    for method, start, steps in (("dvsr", "same", 16), ("dvsr", "own", 16), ("sr3", "same", 8), ("sr3", "same", 24),
                                 ("dvsr", "same", 8), ("dvsr", "same", 24)):  # fmt: skip
        found = {e["eta"]: e["grey"] for e in dice.show(key, method, start, steps)["etas"]}
        yield f"{method}, {steps} steps, start {start}: spread in grey levels by eta {found}"
    for line in walk.show(key, "sr3")["lines"]:
        yield f"sr3, {line['key']} (order {line['order']}): (calls, error in grey levels) " + str(
            [(calls, error) for calls, error, _ in line["points"]]
        )


def not_both(stage: Stage, key: str) -> Iterator[str]:
    """Truth and looks of a sample, of means, of the predictor and of one step."""
    for method in ("dvsr", "irsde"):
        found = both.Both(stage, (), None).show(key, method, 16)
        means = {n: found["means"][n - 1] for n in (1, 2, 4, 12)}
        for n, point in means.items():
            gain = point["psnr"] - means[1]["psnr"]
            words = f"({gain:+.2f}, theory {found['gains'][n - 1]:+})"
            yield f"{method}, mean of {n}: {point['psnr']} dB {words}, LPIPS {point['lpips']}"
        for name in ("predictor", "single", "input"):
            yield f"{method}, {name}: {found[name]['psnr']} dB, LPIPS {found[name]['lpips']}"


def levels(scene: Scene, library: Library) -> Iterator[str]:
    """PSNR of the network's answers by the true level (rows) and the level that it is told (columns)."""
    yield "true \\ told " + " ".join(f"{level:>6}" for level in LEVELS)
    for level, row in zip(LEVELS, told(scene, library).psnr.tolist(), strict=True):
        yield f"{level:>11} " + " ".join(f"{value:6.2f}" for value in row)


def main() -> int:
    """Print them all; the exit code."""
    parser = argparse.ArgumentParser(description="The numbers of the Learn tab.")
    parser.add_argument("--picture", default="cat", help="cat, coffee or astronaut")
    parser.add_argument("--task", default="sr4", help="sr4, deblur, denoise")
    asked = parser.parse_args()
    library = Library("cpu")
    stage = Stage(Desk(library))
    scene = stage.set_up(asked.picture, asked.task)
    for title, lines in (
        ("1 Forward", zero_decibels(scene, library)),
        ("2 Going back", going_back(stage, scene.key)),
        ("3 Chance and steps", by_chance(stage, scene.key)),
        ("4 Not both", not_both(stage, scene.key)),
        ("5 The network", levels(scene, library)),
    ):
        sys.stdout.write(f"{title}\n")
        for line in lines:
            sys.stdout.write(f"    {line}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
