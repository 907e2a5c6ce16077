"""What is foreseen of a run's time: lines through short measurements, and samples that walk together."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch

from restore_core import timing
from restore_core.library import Library, card
from restore_core.tiling import together
from restore_core.timing import Line, Timing, measured
from restore_core.tradeoff import Subject, Sweep, requests
from restore_core.tradeoff.running import estimate


def timed(monkeypatch: pytest.MonkeyPatch, before: Line, call: Line, bytes_per_pixel: float = 0.0) -> list[int]:
    """Runs that would take what the lines say; the sides that were run."""
    sides = []

    def run(rehearse, side):
        sides.append(side)
        problem = SimpleNamespace(anchor=torch.zeros(1, 3, side, side), bytes_per_pixel=bytes_per_pixel)
        return before(side**2), call(side**2), problem

    monkeypatch.setattr(timing, "_timed", run)
    return sides


def test_two_sizes_tell_what_a_call_costs_and_what_a_pixel(monkeypatch):
    sides = timed(monkeypatch, Line(0.01, 1e-6), Line(0.003, 2e-7))
    found = measured(None, (128, 256))
    assert sides == [128, 256]
    assert found.seconds(1e6, 20) == pytest.approx(0.01 + 1 + 20 * (0.003 + 0.2))


def test_a_slow_network_is_timed_once(monkeypatch):
    sides = timed(monkeypatch, Line(0.0, 1e-6), Line(0.0, 1e-3))
    assert measured(None, (128, 256)).seconds(1e4, 2) == pytest.approx(0.01 + 20)
    assert sides == [128]


@pytest.mark.parametrize("quick, slow", [(0.02, 0.01), (0.001, 0.5)])
def test_on_a_busy_machine_pixels_still_count_and_no_part_is_below_nothing(quick: float, slow: float):
    line = timing._line([128**2, 256**2], [quick, slow])
    assert line.fixed >= 0 and line.each > 0 and line(256**2) == pytest.approx(slow)


def test_samples_that_walk_together_launch_once():
    at_once = Timing(Line(0.0, 0.0), Line(1.0, 1e-3), lambda pixels: 4)
    alone = Timing(Line(0.0, 0.0), Line(1.0, 1e-3))
    assert alone.seconds(100, 5, 6) == pytest.approx(5 * 6 * 1.1)
    assert at_once.seconds(100, 5, 6) == pytest.approx(5 * ((1 + 0.4) + (1 + 0.2)))


def test_how_many_walk_together_is_the_engines_own_number(monkeypatch):
    timed(monkeypatch, Line(0.0, 0.0), Line(0.0, 0.0), bytes_per_pixel=350)
    batch = measured(None, (128, 256)).batch
    sizes = [batch(side**2) for side in (32, 96, 256, 4000)]
    assert sizes[0] == 16 and sizes[-1] == 1 and all(a >= b for a, b in itertools.pairwise(sizes))


def test_a_state_smaller_than_the_result_counts_by_its_own_pixels():
    latents = SimpleNamespace(anchor=torch.zeros(1, 4, 16, 16), bytes_per_pixel=350)
    found = [timing._batching(latents, 64**2)(side**2) for side in (512, 1024, 2048)]
    assert found == [together(350, torch.device("cpu"), (side // 4) ** 2) for side in (512, 1024, 2048)]
    assert found[0] > found[1] > 1


@pytest.mark.parametrize(("first", "runs"), [(0.9, 2), (1.1, 1)])
def test_a_second_run_counts_where_the_first_may_have_made_plans(monkeypatch, first: float, runs: int):
    takes, clock, steps = [first, 0.5], [0.0], []

    def restore(problem: object, settings: object) -> list[SimpleNamespace]:
        took = takes[len(steps) - 1]
        clock[0] += took
        return [SimpleNamespace(seconds=0.8 * took, calls=4), SimpleNamespace()]

    monkeypatch.setattr(timing, "restore", restore)
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    before, call, _ = timing._timed(lambda side, count: (steps.append(count), None), 128)
    took = takes[runs - 1]
    assert steps == [1, 2][:runs] and (before, call) == pytest.approx((0.2 * took, 0.2 * took))


def test_a_method_is_timed_once_for_all_its_settings():
    library = Library("cpu")
    settings = card("sr3").settings(card("sr3").variant_for("denoise").key)
    assert not library.is_measured(settings)
    found = library.timing(settings)
    assert library.is_measured(settings) and library.timing(settings) is found
    assert 0 < found.seconds(512**2, 10) < found.seconds(1024**2, 10) < found.seconds(1024**2, 20)


def sweep_takes(method: str, task: str, variant: str | None, values: tuple[int, ...], side: int = 100) -> float:
    """Seconds foreseen of a sweep over steps on a damaged photo, where a pixel takes 1 before and 0.1 in a call."""
    plan = requests(Sweep(task, {"steps": values}, method, variant, changes={"sampler": "ddim", "samples": 1}))
    subject = Subject("photo", task, torch.zeros(1, 3, side, side))  # nobody knows the clean picture
    return estimate(plan, subject, None, lambda settings: Timing(Line(0.0, 1.0), Line(0.0, 0.1))).seconds


def test_a_sweep_that_enlarges_takes_as_long_as_its_results_are_large():
    assert sweep_takes("dvsr", "sr4", None, (10,)) == pytest.approx(400**2 * (1 + 1.0), rel=1e-3)
    assert sweep_takes("dvsr", "denoise", None, (10, 20)) == pytest.approx(100**2 * (1 + 3.0), rel=1e-3)


@pytest.mark.parametrize("values", [(10,), (10, 20)])
def test_published_networks_look_at_the_photo_anew_for_every_run_and_at_512_pixels(values: tuple[int, ...]):
    found = sweep_takes("diffbir", "blind", "v2-photo", values)
    assert found == pytest.approx(512**2 * (len(values) + 0.1 * sum(values)), rel=1e-3)
