"""Every fixture in GOLDEN_DIR (default: tests/golden) against our own code, chosen by the fixture's `case`.

A fixture that no runner knows fails: nothing is skipped. Published sizes (`*_full*` with outputs)
and whole pipelines (`*_e2e*`) are slow.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from golden_cases import RUNNERS

FOLDER = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parent / "golden")
FIXTURES = sorted(FOLDER.glob("*.json"))


def _parameter(path: Path):
    slow = ("_full" in path.stem or "_e2e" in path.stem) and path.with_suffix(".npz").exists()
    return pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if slow else [])


def test_there_are_fixtures():
    assert FIXTURES, f"{FOLDER} holds no fixture (*.json); set GOLDEN_DIR to a folder that does."


@pytest.mark.parametrize("path", [_parameter(path) for path in FIXTURES])
def test_golden(path: Path):
    meta = json.loads(path.read_text())
    outputs = dict(np.load(path.with_suffix(".npz"))) if path.with_suffix(".npz").exists() else {}
    case = meta.get("case")
    assert case in RUNNERS, f"{path.name}: no runner for the case {case!r}; known: {', '.join(sorted(RUNNERS))}"
    RUNNERS[case](meta, outputs)
