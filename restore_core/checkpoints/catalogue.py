"""Every set of weights that a method may ask for: where it comes from, what it is, under which licence."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from restore_core.checkpoints import records_diffbir, records_irsde, records_resshift, records_sr3
from restore_core.checkpoints.sources import Bring, Checkpoint, Hub, Shipped, Source, Url
from restore_core.errors import CheckpointError

# tasks whose weights are shipped: weights/compact/TASK.safetensors, TASK.md
COMPACT = ("deblur", "sr4", "sr2", "denoise", "jpeg", "rain", "haze", "old", "blind")

_COMPACT: tuple[Checkpoint, ...] = tuple(
    Checkpoint(
        key=f"compact/{task}",
        architecture="compact",
        source=Shipped(f"compact/{task}.safetensors"),
        licence="Apache-2.0",
        terms="Any use is allowed. It was learnt from openly licensed photographs, named in weights/README.md.",
    )
    for task in COMPACT
)

CATALOGUE: Mapping[str, Checkpoint] = {
    record.key: record
    for record in (
        *_COMPACT,
        *records_sr3.RECORDS,
        *records_resshift.RECORDS,
        *records_irsde.RECORDS,
        *records_diffbir.RECORDS,
    )
}


def record(key: str) -> Checkpoint:
    """The record called `key`."""
    if key not in CATALOGUE:
        near = get_close_matches(key, CATALOGUE, n=4, cutoff=0.4) or sorted(
            {r.family for r in CATALOGUE.values()}
        )
        raise CheckpointError(
            f"No weights are called '{key}': there are {', '.join(near)}, ... All are named by python -m "
            "restore_core weights list."
        )
    return CATALOGUE[key]


__all__ = ["CATALOGUE", "COMPACT", "Bring", "Checkpoint", "Hub", "Shipped", "Source", "Url", "record"]
