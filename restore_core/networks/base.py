"""What the loader has to know of a network: how to recognise its parameters, and how to build it from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

StateDict = Mapping[str, Tensor]


@dataclass(frozen=True)
class Architecture:
    """A network that can be told from the parameter names in a file.

    signature   names (or name endings that begin with a star) that only this architecture has
    build       (state dict, config) -> module with the widths, depths and heads read off the shapes; the weights
                are not filled in. `config` holds what shapes cannot tell (norm groups, window size, ...).
    select      the entries of a file that are this network's, where published files hold more
    """

    key: str
    signature: tuple[str, ...]
    build: Callable[[StateDict, Mapping[str, Any]], nn.Module]
    select: Callable[[StateDict], StateDict] = dict

    def matches(self, keys: frozenset[str]) -> bool:
        """True if every part of the signature is among `keys`."""
        return all(_present(part, keys) for part in self.signature)


def _present(part: str, keys: frozenset[str]) -> bool:
    if part.startswith("*"):
        return any(key.endswith(part[1:]) for key in keys)
    return part in keys


def count(state: StateDict, prefix: str, suffix: str) -> int:
    """How many consecutive indices i = 0, 1, ... have the key prefix + str(i) + suffix."""
    n = 0
    while f"{prefix}{n}{suffix}" in state:
        n += 1
    return n
