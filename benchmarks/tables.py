"""Make the tables of weights/README.md again: python -m benchmarks.tables weights/README.md --sets FOLDER

A table is a line that holds nothing but `python -m restore_core evaluate SET --task ...`, `python -m benchmarks.peers
SET --task ...` or `python -m benchmarks.sets SET SET --task ...`, an empty line, and Markdown rows, which are replaced
by what the command prints now. SET is a name in capitals: SET5 is FOLDER/set5. The text is written after each table,
the last one first.
--only TASK makes the tables of one task; --missing only those without rows.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

COMMAND = re.compile(r"`python -m (restore_core evaluate|benchmarks\.peers|benchmarks\.sets) ([^`]+)`")
SET = re.compile(r"[A-Z][A-Z0-9]+")


@dataclass(frozen=True)
class Table:
    """One command in the text, and the lines [start, stop) of its rows."""

    module: str
    words: tuple[str, ...]
    start: int
    stop: int

    @property
    def task(self) -> str:
        """What follows --task."""
        return self.words[self.words.index("--task") + 1]

    def arguments(self, sets: Path) -> list[str]:
        """The words, with folders in the place of the sets' names."""
        return [str(sets / word.lower()) if SET.fullmatch(word) else word for word in self.words]


def find(lines: list[str]) -> list[Table]:
    """Every table of a text."""
    tables = []
    for k, line in enumerate(lines):
        if told := COMMAND.fullmatch(line.strip()):
            start = stop = k + 2
            while stop < len(lines) and lines[stop].startswith("|"):
                stop += 1
            tables.append(Table(told[1], tuple(shlex.split(told[2])), start, stop))
    return tables


def refresh(text: str, run: Callable[[Table], str], wanted: Callable[[Table], bool]) -> str:
    """The text with the rows of every wanted table as `run` gives them, from the last table to the first."""
    lines = text.splitlines()
    for table in reversed(find(lines)):
        if wanted(table):
            rows = [line for line in run(table).splitlines() if line.startswith("|")]
            closed = table.stop >= len(lines) or not lines[table.stop]
            lines[table.start : table.stop] = rows if closed else [*rows, ""]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command; the exit code."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.tables")
    p.add_argument("text", type=Path)
    p.add_argument("--sets", type=Path, required=True)
    p.add_argument("--models", type=Path, help="for benchmarks.peers")
    p.add_argument("--only", action="append", metavar="TASK")
    p.add_argument("--missing", action="store_true")
    asked = p.parse_args()

    def wanted(table: Table) -> bool:
        return (not asked.only or table.task in asked.only) and not (asked.missing and table.stop > table.start)

    def run(table: Table) -> str:
        more = ["--models", str(asked.models)] if asked.models and table.module == "benchmarks.peers" else []
        command = [sys.executable, "-m", *table.module.split(), *table.arguments(asked.sets), *more]
        print(shlex.join(command), file=sys.stderr, flush=True)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    text = asked.text.read_text()
    for table in filter(wanted, reversed(find(text.splitlines()))):
        text = refresh(text, run, lambda other, one=table: other == one)
        asked.text.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
