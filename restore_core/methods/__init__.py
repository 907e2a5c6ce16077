"""One paper, one file. METHODS lists the blind ones in display order; KNOWN those that must be told the damage."""

from collections.abc import Mapping

from restore_core.methods.base import Card, Method, Preset, Variant
from restore_core.methods.ddnm import DDNM
from restore_core.methods.ddrm import DDRM
from restore_core.methods.diffbir import DiffBIR
from restore_core.methods.dps import DPS
from restore_core.methods.dvsr import DvSR
from restore_core.methods.irsde import IRSDE
from restore_core.methods.resshift import ResShift
from restore_core.methods.sr3 import SR3

METHODS: Mapping[str, type[Method]] = {m.card.key: m for m in (DvSR, SR3, ResShift, IRSDE, DiffBIR)}
KNOWN: Mapping[str, type[Method]] = {m.card.key: m for m in (DDNM, DDRM, DPS)}  # shown beside them in Compare
EVERY: Mapping[str, type[Method]] = {**METHODS, **KNOWN}

__all__ = ["EVERY", "KNOWN", "METHODS", "Card", "Method", "Preset", "Variant"]
