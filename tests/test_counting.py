"""Numbers in texts: one of a thing is told as one, and between the sides of a picture stands a multiplication sign."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import restore_core
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


def texts(source: str) -> Iterator[str]:
    """What a module says, with 0 in the place of what is filled in; docstrings, which are about it, are left out."""
    tree = ast.parse(source)
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            silent |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.value


def test_sizes_are_told_alike_everywhere():
    files = sorted(Path(restore_core.__file__).parent.rglob("*.py"))
    said = [(path.name, text) for path in files for text in texts(path.read_text(encoding="utf-8"))]
    assert len(said) > 1000
    assert [(name, text) for name, text in said if re.search(r"[\d}] x ([\d{]|$)|^ x $", text)] == []
    assert list(texts('"""8 x 8."""\nsay(f"{a} x {b}", "c")')) == ["0 x 0", "c"]
