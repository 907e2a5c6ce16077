"""The table's columns: which number, which direction, how many digits; and who is best in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from restore_core.metrics import METRICS


@dataclass(frozen=True)
class Column:
    """One column of the table: how its numbers are told, and which way is better ("" where neither is)."""

    key: str
    label: str
    unit: str
    better: str
    digits: int

    def told(self, value: float | None) -> str:
        """The number with as many digits as mean something."""
        return "–" if value is None else f"{value:.{self.digits}f}{f' {self.unit}' if self.unit else ''}"


def _column(key: str, digits: int, words: str = "") -> Column:
    metric = METRICS[key]
    label = f"{words} ({metric.label})" if words else metric.label
    return Column(key, label, metric.unit, metric.better, digits)


COLUMNS: Mapping[str, Column] = {
    column.key: column
    for column in (
        Column("calls", "Network calls", "", "lower", 0),
        Column("seconds", "Time", "s", "lower", 1),
        Column("consistency", "Faithful to your photo", "dB", "higher", 1),
        _column("niqe", 2, "Looks like a photo"),
        _column("sharpness", 2),
        _column("psnr", 2),
        _column("ssim", 4),
        _column("lpips", 4),
    )
}


def columns(numbers: Mapping[str, Mapping[str, float]]) -> list[Column]:
    """The columns that any row has, in a fixed order. numbers: row -> column key -> value."""
    return [column for key, column in COLUMNS.items() if any(key in row for row in numbers.values())]


def best(numbers: Mapping[str, Mapping[str, float]], column: Column) -> frozenset[str]:
    """Rows that are best in a column; none where all are equal, or there is nothing to be best at."""
    values = {name: row[column.key] for name, row in numbers.items() if column.key in row}
    if len(set(values.values())) < 2:
        return frozenset()
    top = (max if column.better == "higher" else min)(values.values())
    return frozenset(name for name, value in values.items() if value == top)
