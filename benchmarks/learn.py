"""How fast the Learn tab answers, and how good its reference is: python -m benchmarks.learn

    each control of each part: seconds from the handler's start to its answer, nothing kept from before
    the flow's reference: its distance from the same path in 1,000 Euler steps and in 400 of second order

Goal: every control below 5 s on two cores. Seconds of the processor are told beside those on the wall, for a machine
that others use at the same time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

from restore_core import devices
from restore_core.library import Library
from restore_core.teaching.convergence import REFERENCE, distance, flow
from restore_core.teaching.scenes import pose, settings_of
from restore_core.ui.desk import Desk
from restore_core.ui.learn import back, both, chance, forward, network
from restore_core.ui.learn.stage import RESULTS, Recent, Stage

GOAL = 5.0


def controls(stage: Stage, key: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every control as the page calls it."""
    yield "picture: another example", lambda: stage.set_up("coffee", "sr4")
    yield "1 forward: the chapter", lambda: forward.Forward(stage, None).show(key)
    for name in forward.FAMILIES:
        yield f"1 forward: {name}", lambda name=name: forward.family(stage, key, name, None)
    yield "1 forward: noise", lambda: forward.family(stage, key, "resshift", 1.0)
    runs = back.Back(stage, (), None, ())
    for _, sampler in back.SAMPLER_CHOICES:
        yield f"2 going back: {sampler}, 8 steps", lambda s=sampler: runs.show(key, "resshift", s, 8, 1, 1)
    yield "2 going back: heun, 20 steps", lambda: runs.show(key, "sr3", "heun", 20, 1, 1)
    dice, walk = chance.Randomness(stage, (), None), chance.Steps(stage, (), None)
    yield "3 chance: 16 steps", lambda: dice.show(key, "dvsr", "same", 16)
    yield "3 chance: 24 steps", lambda: dice.show(key, "dvsr", "same", 24)
    yield "3 few steps and many", lambda: walk.show(key, "sr3")
    plane = both.Both(stage, (), None)
    yield "4 not both: 16 steps", lambda: plane.show(key, "dvsr", 16)
    yield "4 not both: 24 steps", lambda: plane.show(key, "dvsr", 24)
    for which in ("denoiser", "predictor"):
        yield f"5 network: {which}", lambda which=which: network.Diagram(stage, (), None).show(key, which)
    yield "5 network: levels", lambda: network.Levels(stage, None).show(key)


def warmed(device: str | None) -> tuple[Stage, str]:
    """A server on which somebody has looked at another picture before: networks loaded, nothing worked out for ours."""
    stage = Stage(Desk(Library(device)))
    first = stage.set_up("astronaut", "sr4").key
    for _, act in controls(stage, first):
        act()
    return Stage(stage.desk, stage.scenes, Recent(RESULTS)), stage.set_up("cat", "sr4").key


def reference(stage: Stage, key: str) -> Iterator[str]:
    """How far the reference's end lies from finer ones."""
    scene, library = stage.scene(key), stage.desk.library
    for method in ("sr3", "resshift"):
        settings = settings_of(scene, library, method, steps=15, seed=1)
        problem = pose(scene, library, settings)
        end = flow(problem, settings, *REFERENCE).picture
        for sampler, steps in (("ddim", 1000), ("multistep", 400)):
            apart = distance(flow(problem, settings, sampler, steps).picture, end)
            yield f"{method}: {REFERENCE[0]} {REFERENCE[1]} and {sampler} {steps} end {apart:.2f} grey levels apart"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device")
    parser.add_argument("--reference", action="store_true", help="measure the flow's reference too (minutes)")
    asked = parser.parse_args()
    stage, key = warmed(asked.device)
    print(f"{devices.describe(stage.desk.library.device)}, {stage.desk.library.precision}")
    slowest = 0.0
    for name, act in controls(stage, key):
        began, worked = time.perf_counter(), time.process_time()
        act()
        wall, worked = time.perf_counter() - began, time.process_time() - worked
        slowest = max(slowest, wall)
        print(f"{name:34s} {wall:6.2f} s   (processor {worked:5.2f} s)")
    print(f"slowest: {slowest:.2f} s; goal below {GOAL:g} s: {'met' if slowest < GOAL else 'missed'}")
    if asked.reference:
        for line in reference(stage, key):
            print(line)


if __name__ == "__main__":
    main()
