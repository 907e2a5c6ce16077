"""One paper, one file. METHODS lists them in display order."""

from collections.abc import Mapping

from restore_core.methods.base import Card, Method, Preset, Variant
from restore_core.methods.diffbir import DiffBIR
from restore_core.methods.dvsr import DvSR
from restore_core.methods.irsde import IRSDE
from restore_core.methods.resshift import ResShift
from restore_core.methods.sr3 import SR3

METHODS: Mapping[str, type[Method]] = {m.card.key: m for m in (DvSR, SR3, ResShift, IRSDE, DiffBIR)}

__all__ = ["METHODS", "Card", "Method", "Preset", "Variant"]
