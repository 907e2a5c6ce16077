"""Numbers of things in words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """(1, "point") -> "1 point"; (2000, "point") -> "2,000 points": for nouns whose plural is theirs with an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


__all__ = ["counted"]
