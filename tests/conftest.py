"""Fixtures that several tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from restore_core.processes import (
    MeanReverting,
    Process,
    ResidualShifting,
    VariancePreserving,
    beta_schedule,
    theta_schedule,
)


def all_processes() -> dict[str, Process]:
    """One of each family, at the settings of the sampler specification's tables."""
    return {
        "vp": VariancePreserving(beta_schedule("linear", 1000, 1e-4, 2e-2)),
        "vp-cosine": VariancePreserving(beta_schedule("cosine", 1000)),
        "resshift": ResidualShifting(15, 2.0),
        "resshift4": ResidualShifting(4, 2.0, min_level=0.2),
        "mean-reverting": MeanReverting(theta_schedule("cosine", 100), 0.2),
    }


@pytest.fixture(params=list(all_processes()))
def process(request: pytest.FixtureRequest) -> Process:
    """Each process in turn."""
    return all_processes()[request.param]


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gradio makes an event loop for each of its locks and closes none of them: they are closed here."""
    made, new = [], asyncio.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        made.append(new())
        return made[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", new_event_loop)
    yield
    if made:
        asyncio.set_event_loop(None)
    for loop in made:
        loop.close()
