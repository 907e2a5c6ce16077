"""Inert objects in the place of what training frameworks leave in a weights file beside its tensors.

The first Stable Diffusion files hold callbacks and counters of PyTorch Lightning, and numbers of NumPy. Nothing of them
is wanted, and nothing of them is imported or run: wherever the file asks for one by name, it gets a StandIn, which
takes whatever it is given and keeps none of it. Names of any other package are still refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from torch.serialization import safe_globals

IDLE = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.")
NUMBERS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")


class StandIn:
    """Takes any arguments and any state, and holds nothing."""

    def __new__(cls, *_: object) -> StandIn:
        return super().__new__(cls)

    def __init__(self, *_: object):
        pass

    def __setstate__(self, _: object) -> None:
        pass


def instead_of(names: Iterable[str]) -> AbstractContextManager[None]:
    """While it is open, torch's restricted reader builds a StandIn wherever a file asks for one of `names` that is
    known to be idle."""
    return safe_globals([(StandIn, name) for name in names if name.startswith(IDLE) or name in NUMBERS])
