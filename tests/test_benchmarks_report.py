"""The report reads what benchmarks print, keeps what was found before, and marks what missed its goal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.report import PARTS, Line, Part, keep, machine, rows, table

PRINTED = """CPU, 2 threads, bfloat16
engine loop / bare network calls, 256 px, 20 steps: 1.015
with the film / without, 256 px, 20 steps: 1.071
deblur predictor: 0.271 MFLOP/px, 0.51 s/megapixel
512 x 512 photo, dvsr at its defaults (20 steps): 4.1 s, peak 0.90 GB
512 x 512 photo, irsde at its defaults (20 steps): 5.2 s, peak 0.90 GB
"""


def test_rows_are_read_from_what_is_printed():
    found = {row["what"]: row["value"] for row in rows(PARTS["engine"], PRINTED)}
    assert found["engine loop over bare network calls"] == 1.015
    assert found["512 x 512, compact, Balanced, irsde (20 steps)"] == 5.2
    assert found["deblur predictor, a megapixel"] == 0.51


def test_what_is_not_printed_is_told():
    (row,) = rows(Part(("start",), (Line(r"page: (?P<value>\d+) s", "page", "s", 8.0),)), "Traceback")
    assert row["value"] is None
    text = table({"start": {"machine": machine(), "rows": [row]}})
    assert "| Page | not found | at most 8 |" in text


def test_parts_are_kept_and_the_table_has_ratios_first(tmp_path: Path):
    path = tmp_path / "report.json"
    told = list(rows(PARTS["engine"], PRINTED))
    keep(path, "start", {"machine": machine(), "rows": list(rows(PARTS["start"], "start to page: 6.5 s\n"))})
    keep(path, "engine", {"machine": machine(), "rows": told})
    assert list(json.loads(path.read_text())) == ["engine", "start"]
    text = path.with_suffix(".md").read_text()
    assert text.index("## Ratios") < text.index("1.015") < text.index("## Seconds") < text.index("6.5")
    assert "| **1.071** | at most 1.05 |" in text and "| 4.1 | at most 5 |" in text and "**5.2**" in text


def test_the_machine_has_no_name_and_no_place():
    import platform

    said = " ".join(machine().values())
    assert platform.node() not in said.split() and "/" not in re.sub(r"\(.*?\)", "", said)


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_a_benchmark_that_is_there(name: str):
    part = PARTS[name]
    assert (Path(report.__file__).parent / f"{part.command[0]}.py").exists()
    assert all("(?P<value>" in line.pattern for line in part.lines)


def test_what_was_printed_before_the_limit_counts(monkeypatch):
    run, slow = subprocess.run, "print('start to page: 6.5 s'); import time; time.sleep(60)"
    python = [sys.executable, "-u", "-c", slow]
    monkeypatch.setattr(report.subprocess, "run", lambda command, **options: run(python, **options))
    assert report.run(PARTS["start"], 3.0) == "start to page: 6.5 s\n"
