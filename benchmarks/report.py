"""Every benchmark in a bounded form, and what was found as one table: python -m benchmarks.report

    python -m benchmarks.report                      all parts, about half an hour on two cores
    python -m benchmarks.report --only engine start  some of them; what was found of the others before is kept
    python -m benchmarks.report --list               their names

Numbers go to benchmarks/report.json with the machine that they are from, and from there to benchmarks/report.md:
ratios first, for they hold on other machines too. Each part is a benchmark run as one would run it by hand, and each
row is a line that it prints, found by its pattern; where none is found the table says so.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from restore_core import devices, memory
from restore_core.counting import counted

ROOT = Path(__file__).parents[1]
FOUND = Path(__file__).with_name("report.json")
LONGEST = 1800.0  # seconds of a part
UNITS = {"x": "Ratios", "s": "Seconds", "GB": "Memory (10^9 bytes)"}  # in the table's order
NUMBER = r"(?P<value>[\d.]+)"


@dataclass(frozen=True)
class Line:
    """A row of the table: where it stands in a benchmark's output, what it is, and what it is meant to be.

    pattern   has a group `value`; each match is a row, and its other groups may be named in `what`
    goal      at most this; at least, where `more` is set
    """

    pattern: str
    what: str
    unit: str = "x"
    goal: float | None = None
    more: bool = False


@dataclass(frozen=True)
class Part:
    """One benchmark with its arguments, and the lines that count."""

    command: tuple[str, ...]
    lines: tuple[Line, ...]


PARTS: Mapping[str, Part] = {
    "engine": Part(("overhead", "--rounds", "5"), (
        Line(f"bare network calls, .*: {NUMBER}", "engine loop over bare network calls", goal=1.02),
        Line(f"with the film / without, .*: {NUMBER}", "run with the film over without", goal=1.05),
        Line(rf"512 x 512 photo, (?P<method>\w+) at its defaults (?P<steps>\(.*\)): {NUMBER} s",
             "512 x 512, compact, Balanced, {method} {steps}", "s", 5.0),
        Line(rf"(?P<name>\w+ (predictor|denoiser)): .* {NUMBER} s/megapixel", "{name}, a megapixel", "s"),
    )),
    "engine, float32": Part(("overhead", "--rounds", "5", "--precision", "float32", "--ratios"), (
        Line(f"bare network calls, .*: {NUMBER}", "engine loop over bare network calls, float32", goal=1.02),
        Line(f"with the film / without, .*: {NUMBER}", "run with the film over without, float32", goal=1.05),
    )),
    "batches": Part(("batched", "--rounds", "3"), (
        Line(rf"^\| (?P<what>8 samples|windows)(?P<size>[^|]*) \|.*\| {NUMBER} \|$",
             "one by one over in batches: {what}{size}", more=True),
    )),
    "networks": Part(("networks", "--rounds", "2"), (
        Line(rf"^\| (?P<name>(SR3|ResShift|IR-SDE)[^|]*) \|.*\| {NUMBER} \|$",
             "plain eager call over ours: {name}", goal=1.2, more=True),
        Line(rf"^\| (?P<name>(VQ|Den|Ref)[^|]*) \|.*\| {NUMBER} \|$", "plain eager call over ours: {name}"),
    )),
    "DiffBIR": Part(("diffbir", "step", "--full", "--side", "256", "--rounds", "1"), (
        Line(rf"^\| and (?P<how>bfloat16|float16) \|.*\| {NUMBER} \|$",
             "DiffBIR's guided step in {how} over the published way", goal=0.6),
    )),
    "start": Part(("start",), (
        Line(f"start to page: {NUMBER} s", "start to page", "s", 8.0),
        Line(f"(?P<name>import|help)(?P<of>.*): {NUMBER} s", "{name}{of}", "s"),
    )),
    "large": Part(("large", "--sizes", "1.5", "6", "--steps", "2"), (
        Line(rf"^\| (?P<size>\d+ x \d+) \|.*\| {NUMBER} GB \|", "file to file, {size}, IR-SDE, PNG", "GB", 3.0),
    )),
    "24 megapixels": Part(("large", "--sizes", "24", "--steps", "2"), (
        Line(rf"^\| (?P<size>\d+ x \d+) \|.*\| {NUMBER} GB \|", "file to file, {size}, IR-SDE, PNG", "GB", 3.0),
    )),
    "24 megapixels, JPEG": Part(
        ("large", "--sizes", "24", "--steps", "2", "--kind", "jpg", "--task", "deblur"), (
            Line(rf"^\| (?P<size>\d+ x \d+) \|.*\| {NUMBER} GB \|", "file to file, {size}, DvSR, JPEG", "GB", 3.0),
        )),
    "24 megapixels, x4": Part(("large", "--sizes", "24", "--steps", "2", "--task", "sr4"), (
        Line(rf"^\| (?P<size>\d+ x \d+) \|.*\| {NUMBER} GB \|", "file to file, x4 to {size}, ResShift", "GB", 3.0),
    )),
    "kept": Part(("kept", "--rounds", "2"), (
        Line(f"8 samples with the map / without: {NUMBER}", "eight samples with the map over without", goal=1.05),
        Line(f"two settings compared.*run: {NUMBER}", "two settings compared, measured and kept, over the runs"),
    )),
    "trade-off": Part(("tradeoff", "--rounds", "2"), (
        Line(f"with the map over without.*: {NUMBER}", "sweep with its live map over without"),
        Line(f"12 points.*: {NUMBER} s", "sweep of 12 points, 256 px", "s"),
    )),
    "learn": Part(("learn",), (Line(f"slowest: {NUMBER} s", "slowest control of Learn", "s"),)),
    "loading": Part(("networks", "--loading"), (
        Line(rf"^(?P<kind>\.\w+) .* s, {NUMBER} of the file", "memory of loading {kind} over the file", goal=1.2),
    )),
}  # fmt: skip


def machine() -> dict[str, str]:
    """What the numbers depend on, without a name or a place."""
    device = devices.choose()
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": f"{devices.cores()}, {counted(torch.get_num_threads(), 'thread')}",
        "memory": f"{memory.total() / 1e9:.0f} GB",
        "device": devices.describe(device),
        "precision": devices.choose_precision(device),
        "torch": torch.__version__,
        "system": f"{platform.system()}, Python {platform.python_version()}",
    }


def rows(part: Part, output: str) -> Iterator[dict[str, Any]]:
    """What a benchmark's output says, in the order of its lines; `value` None where a line is missing."""
    for line in part.lines:
        found = list(re.finditer(line.pattern, output, re.MULTILINE))
        about = {"unit": line.unit, "goal": line.goal, "more": line.more}
        for match in found:
            yield {"what": line.what.format_map(match.groupdict()), "value": float(match["value"])} | about
        if not found:
            yield {"what": re.sub(r"[{}]", "", line.what), "value": None} | about


def run(part: Part, limit: float = LONGEST) -> str:
    """What the benchmark prints within so many seconds; what went wrong is printed here, and rows will be missing."""
    command = [sys.executable, "-u", "-m", f"benchmarks.{part.command[0]}", *part.command[1:]]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired as late:
        print(f"benchmarks.{part.command[0]}: not done within {limit:.0f} s", file=sys.stderr)
        return (late.stdout or b"").decode()
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
    return done.stdout


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: the machines, then rows by unit, ratios first."""
    machines: list[dict[str, str]] = []
    for told in found.values():
        if told["machine"] not in machines:
            machines.append(told["machine"])
    text = ["# What it costs", "", "Written by `python -m benchmarks.report`; goals in the last column.", ""]
    for number, about in enumerate(machines, 1):
        where = f"Machine {number}: " if len(machines) > 1 else ""
        text.append(f"- {where}" + "; ".join(f"{name} {value}" for name, value in about.items()))
    for unit, title in UNITS.items():
        text += ["", f"## {title}", "", "| what | measured | goal | benchmark |", "|---|---|---|---|"]
        for name in (name for name in PARTS if name in found):
            text += [_row(row, name) for row in found[name]["rows"] if row["unit"] == unit]
    return "\n".join(text) + "\n"


def _row(row: Mapping[str, Any], part: str) -> str:
    value, goal = row["value"], row["goal"]
    told = "not found" if value is None else f"{value:g}"
    if goal is not None and value is not None:
        met = value >= goal if row["more"] else value <= goal
        told = told if met else f"**{told}**"
    aim = "" if goal is None else f"{'at least' if row['more'] else 'at most'} {goal:g}"
    command = " ".join(PARTS[part].command)
    return f"| {row['what'][:1].upper()}{row['what'][1:]} | {told} | {aim} | `{command}` |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that were asked for, and write both files after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), metavar="PART", default=tuple(PARTS))
    parser.add_argument("--list", action="store_true", help="name the parts")
    parser.add_argument("--into", type=Path, default=FOUND, metavar="FILE", help="JSON; the table goes beside it")
    parser.add_argument("--limit", type=float, default=LONGEST, help="seconds of a part")
    asked = parser.parse_args(arguments)
    if asked.list:
        print("\n".join(f"{name}: {' '.join(part.command)}" for name, part in PARTS.items()))
        return
    for name in asked.only:
        began = time.perf_counter()
        told = list(rows(PARTS[name], run(PARTS[name], asked.limit)))
        part = {"machine": machine(), "seconds": round(time.perf_counter() - began), "rows": told}
        keep(asked.into, name, part)
        for row in told:
            print(_row(row, name), flush=True)


def keep(path: Path, name: str, part: Mapping[str, Any]) -> None:
    """Add a part to what was found before, in the order of PARTS, and write the table anew."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found[name] = part
    found = {key: found[key] for key in PARTS if key in found}
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
