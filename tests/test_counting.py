"""One of a thing is told as one."""

from __future__ import annotations

import pytest
import torch

from restore_core import devices
from restore_core.counting import counted
from restore_core.tradeoff.running import Estimate


@pytest.mark.parametrize(("number", "told"), [(0, "0 points"), (1, "1 point"), (2, "2 points"), (2000, "2,000 points")])
def test_numbers_and_their_nouns_agree(number: int, told: str):
    assert counted(number, "point") == told


def test_a_machine_and_an_estimate_of_one(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert devices.describe(torch.device("cpu")) == "CPU, 1 thread"
    assert Estimate(1, 1, 5.0).sentence == "1 point: about 5 s."
    assert Estimate(0, 1, 0.0).sentence == "This point is measured already."
    assert Estimate(2, 3, 5.0).sentence == "3 points, 1 of them measured already: about 5 s."
