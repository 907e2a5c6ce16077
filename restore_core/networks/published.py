"""Networks of other libraries under the names of the published files.

A module of diffusers or transformers names its parameters in a way of its own, and the files of DiffBIR and Stable
Diffusion in theirs (CompVis's latent diffusion). `Published` wraps such a module so that its state dict has the
published names and shapes: whoever compares, fills or saves it meets those alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from restore_core.errors import CheckpointError

INSTALL = "pip install -r requirements-diffbir.txt"
Rule = tuple[str, str | Callable[[re.Match[str]], str]]  # what a name holds, what stands there instead


def absent(packages: Iterable[str]) -> str:
    """How to get those of the packages that are not installed, as a sentence; "" where all are."""
    lacking = [name for name in packages if importlib.util.find_spec(name) is None]
    if not lacking:
        return ""
    many = len(lacking) > 1
    which = f"{' and '.join(lacking)}, which are" if many else f"the package {lacking[0]}, which is"
    return f"These weights are run by {which} not installed here. Install {'them' if many else 'it'} first: {INSTALL}"


def borrow(library: str, name: str) -> Any:
    """A class of diffusers or transformers, or CheckpointError with the way to get it."""
    try:
        return getattr(importlib.import_module(library), name)
    except (
        ImportError,
        AttributeError,
        RuntimeError,
    ) as error:  # they import their parts when these are asked for
        reason = str(error).strip().splitlines()[-1]
        raise CheckpointError(
            f"These weights are run by the packages diffusers and transformers, and {library} cannot be imported "
            f"({reason}). Install both with: {INSTALL}"
        ) from error


@dataclass(frozen=True)
class Entry:
    """One published tensor: `parts` of the wrapped network joined along `dim`.

    kernel   published as the kernel of a 1x1 convolution, (out, in, 1, 1), and held as a matrix
    """

    parts: tuple[str, ...]
    dim: int = 0
    kernel: bool = False

    def publish(self, own: Mapping[str, Tensor]) -> Tensor:
        """The tensor as files hold it."""
        tensors = [own[part] for part in self.parts]
        joined = tensors[0] if len(tensors) == 1 else torch.cat(tensors, self.dim)
        return joined[..., None, None] if self.kernel else joined

    def part(self, published: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """The tensor as the wrapped network holds it, one for each part."""
        held = published[..., 0, 0] if self.kernel else published
        return [held] if len(sizes) == 1 else [t.contiguous() for t in held.split(list(sizes), self.dim)]


def rename(name: str, rules: Sequence[Rule]) -> str:
    """`name` after each rule in turn."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def renamed(names: Sequence[str], rules: Sequence[Rule]) -> dict[str, Entry]:
    """Published name -> entry, for a network whose tensors differ from the file's in nothing but their names."""
    return {rename(name, rules): Entry((name,)) for name in names}


class Published(nn.Module):
    """`network` with its state dict under published names; subclasses say how it is called.

    entries   published name -> what it is made of; every parameter of `network` stands in exactly one
    """

    def __init__(self, network: nn.Module, entries: Mapping[str, Entry]):
        super().__init__()
        self.network = network
        self._entries = dict(entries)
        self._own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        named = {part for entry in self._entries.values() for part in entry.parts}
        if named != self._own.keys():
            raise CheckpointError(
                f"The installed diffusers or transformers names its parameters in a way that is not known here (first: "
                f"{min(named ^ self._own.keys())}), so the published weights would not find their places. Install the "
                f"versions asked for: {INSTALL}"
            )
        self.register_state_dict_post_hook(_publish)
        self.register_load_state_dict_pre_hook(_take)


def _publish(module: Published, state: dict[str, Any], prefix: str, _: Any) -> None:
    """The wrapped network's entries give way to the published ones."""
    own = {name: state.pop(f"{prefix}network.{name}") for name in module._own}
    state.update({prefix + name: entry.publish(own) for name, entry in module._entries.items()})


def _take(module: Published, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Published entries that are there give way to the wrapped network's."""
    for name, entry in module._entries.items():
        if prefix + name in state:
            sizes = [module._own[part][entry.dim] if module._own[part] else 1 for part in entry.parts]
            parts = entry.part(state.pop(prefix + name), sizes)
            state.update({f"{prefix}network.{p}": t for p, t in zip(entry.parts, parts, strict=True)})
