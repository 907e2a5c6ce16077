"""Names that no system stumbles over, from what a browser calls a photo."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from pathlib import PureWindowsPath

LONGEST = 80  # characters of a name without its suffix
NAMELESS = "photo"
FORBIDDEN = frozenset('<>:"/\\|?*')  # by some system or other
DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{kind}{k}" for kind in ("com", "lpt") for k in range(10))})


def shown_name(name: str) -> str:
    """A photo's name as it came, without folders and without what is not to be seen."""
    last = PureWindowsPath(name).name  # knows both kinds of slashes
    seen = "".join(c for c in unicodedata.normalize("NFC", last) if c.isprintable())
    return seen.strip()[: LONGEST + 20] or NAMELESS


def stem_of(name: str) -> str:
    """The name of a photo's result: its own without the suffix, for every system, and never a way to another folder."""
    shown = shown_name(name)
    stem = shown[: shown.rindex(".")] if "." in shown.lstrip(".") else shown
    plain = "".join("_" if c in FORBIDDEN else c for c in stem)[:LONGEST].strip(" .")
    return f"{plain}_" if plain.split(".")[0].casefold() in DEVICES else plain or NAMELESS


def suffix_of(name: str) -> str:
    """The suffix that a photo came with, in letters and figures; "" without one."""
    found = "".join(c for c in PureWindowsPath(shown_name(name)).suffix if c.isascii() and c.isalnum())[:8]
    return f".{found}" if found else ""


def distinct(stem: str, taken: Collection[str]) -> str:
    """`stem`, or `stem (2)` and so on where one of the `taken` is the same to some system."""
    there, found, number = {name.casefold() for name in taken}, stem, 1
    while found.casefold() in there:
        number += 1
        found = f"{stem} ({number})"
    return found


__all__ = ["distinct", "shown_name", "stem_of", "suffix_of"]
