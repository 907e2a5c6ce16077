"""The benchmarks run and print what they promise; what they print is for people, not for a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_overhead_prints_its_lines():
    command = [sys.executable, "-m", "benchmarks.overhead", "--rounds", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for said in ("engine loop / bare network calls", "with the film / without", "MFLOP/px", "512 x 512 photo"):
        assert said in done.stdout
