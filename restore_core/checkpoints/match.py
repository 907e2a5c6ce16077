"""Whose keys are these? Build the network that they belong to and fill it, or say what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from restore_core.errors import KeysDiffer
from restore_core.networks import ARCHITECTURES, Architecture


def architecture_of(state: Mapping[str, Tensor]) -> Architecture:
    """The one architecture whose signature is among the keys."""
    keys = frozenset(state)
    for architecture in ARCHITECTURES:
        if architecture.matches(keys):
            return architecture
    known = ", ".join(a.key for a in ARCHITECTURES)
    raise KeysDiffer(
        f"These {len(keys)} parameters (first: {_some(sorted(keys))}) belong to no network known here, so none can be "
        f"built. Known: {known}."
    )


def build(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> nn.Module:
    """The network with these weights, float32, in eval mode without gradients."""
    module = architecture_of(state).build(state, config)
    fill(module, state)
    return module.float().eval().requires_grad_(False)


def fill(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy `state` into `module`; KeysDiffer names the first missing, unexpected and misshapen keys."""
    own = module.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & state.keys())
        if state[key].shape != own[key].shape
    ]
    if missing or unexpected or misshapen:
        parts = (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        found = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in parts if names)
        raise KeysDiffer(f"The file does not fit the network: {found}. Choose the file made for it.")
    module.load_state_dict(state)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
