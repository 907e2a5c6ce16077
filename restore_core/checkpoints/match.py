"""Whose keys are these? Build the network that they belong to and fill it, or say what differs.

A network is built with its parameters on the meta device, where they have shapes and no memory, and is compared with
the file before a number is read. Then each tensor is copied once: what is returned is whole and shares nothing with
the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from restore_core.checkpoints.catalogue import CATALOGUE
from restore_core.checkpoints.sources import Checkpoint
from restore_core.errors import CheckpointError, KeysDiffer
from restore_core.networks import ARCHITECTURES, Architecture

DERIVED = (
    "relative_position_index",
    "attn_mask",
)  # buffers that follow from the sizes; a network makes its own
_STRANGERS = (  # part of a parameter's name, whose it is
    (
        ("lora_", ".lora.", "hada_w1", "lokr_w1"),
        "a LoRA, a small change to a network that is not in the file",
    ),
    (("conv_first.weight", ".rdb1."), "a Real-ESRGAN or RRDB generator"),
    (("weight_orig", "weight_u"), "a discriminator, the half of a GAN that only judges"),
    (("model.diffusion_model.", "down_blocks.0.attentions"), "a Stable Diffusion network"),
    (("text_model.", "visual.transformer."), "a text or image encoder"),
)


def architecture_of(state: Mapping[str, Tensor]) -> Architecture:
    """The one architecture whose signature is among the keys."""
    keys = frozenset(state)
    for architecture in ARCHITECTURES:
        if architecture.matches(keys):
            return architecture
    stranger = next(
        (whose for parts, whose in _STRANGERS if any(p in key for key in keys for p in parts)), None
    )
    whose = f"belong to {stranger}" if stranger else "belong to no network known here"
    known = ", ".join(a.key for a in ARCHITECTURES)
    raise KeysDiffer(
        f"These {len(keys)} parameters (first: {_some(sorted(keys))}) {whose}, so no network can be built. "
        f"Known: {known}."
    )


def build(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> nn.Module:
    """The network with these weights, float32, in eval mode without gradients."""
    state = network_of(state)
    module = blank(state, config)
    fill(module, state)
    return module.eval().requires_grad_(False)


def network_of(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The entries that are the network's, where published files hold more beside it."""
    return architecture_of(state).select(state)


def blank(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> nn.Module:
    """The network that the names and shapes call for; its parameters are on the meta device and hold nothing."""
    architecture = architecture_of(state)
    try:
        with WithoutMemory():
            return architecture.build(state, config)
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
        missing = (
            f"'{error.args[0]}' is missing"
            if isinstance(error, KeyError)
            else "its shapes contradict each other"
        )
        raise KeysDiffer(
            f"The file has the marks of {architecture.key}, but {missing}, so the network cannot be built. "
            "It was perhaps cut or made for another version: choose the file made for it."
        ) from error


def fill(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy `state` into `module`, all or nothing; KeysDiffer names the first missing, unexpected and misshapen keys."""
    own = module.state_dict()
    compare(own, state)
    check_numbers(state)
    ready = {name: state[name] if _is_derived(name) else _copy(state[name]) for name in own if name in state}
    module.load_state_dict(ready | {n: t for n, t in own.items() if _is_derived(n)}, assign=True)


def compare(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """KeysDiffer unless the file's names and shapes are the network's, buffers that follow from the sizes apart."""
    ours, theirs = ({name for name in names if not _is_derived(name)} for names in (own, state))
    misshapen = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in sorted(ours & theirs)
        if state[name].shape != own[name].shape
    ]
    parts = (
        ("missing", sorted(ours - theirs)),
        ("unexpected", sorted(theirs - ours)),
        ("misshapen", misshapen),
    )
    found = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in parts if names)
    if found:
        raise KeysDiffer(f"The file does not fit the network: {found}. Choose the file made for it.")


def check_numbers(state: Mapping[str, Tensor]) -> None:
    """CheckpointError if a weight is NaN or infinite."""
    unfit = [name for name, tensor in state.items() if not _is_derived(name) and not _is_finite(tensor)]
    if unfit:
        raise CheckpointError(
            f"{len(unfit)} of {len(state)} parameters hold NaN or infinite numbers (first: {_some(unfit)}), "
            "so every picture would come out black. The training failed or the file was damaged: get it "
            "again, or an earlier one."
        )


def expect(checkpoint: Checkpoint, state: Mapping[str, Tensor]) -> None:
    """KeysDiffer unless the state dict may be the record's: its architecture, its telling shapes."""
    architecture = architecture_of(state)
    if architecture.key != checkpoint.architecture:
        raise KeysDiffer(
            f"{checkpoint.key} is a network of the kind {checkpoint.architecture}, and the file holds one "
            f"of the kind {architecture.key}. Choose another file{_named(candidates(state))}."
        )
    differing = _differences(checkpoint, state)
    if differing:
        raise KeysDiffer(
            f"The file holds another network of the same kind than {checkpoint.key} ({_some(differing)}): "
            f"for another scale or task. Choose another file{_named(candidates(state))}."
        )


def candidates(state: Mapping[str, Tensor]) -> tuple[Checkpoint, ...]:
    """The records that the state dict may belong to, by architecture and telling shapes; more than one: only the person
    who has the file can say which, as no shape does."""
    kind = architecture_of(state).key
    return tuple(r for r in CATALOGUE.values() if r.architecture == kind and not _differences(r, state))


class WithoutMemory(TorchFunctionMode):
    """torch.empty, which layers make their parameters with, gives meta tensors; values that are computed stay real.

    Unlike a default device it leaves buffers alone, and unlike a patch of nn.Module it is this thread's only.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def _differences(checkpoint: Checkpoint, state: Mapping[str, Tensor]) -> list[str]:
    found = {name: tuple(state[name].shape) if name in state else None for name in checkpoint.shapes}
    return [
        f"{name} {found[name] or 'absent'} instead of {shape or 'absent'}"
        for name, shape in checkpoint.shapes.items()
        if found[name] != shape
    ]


def _copy(tensor: Tensor) -> Tensor:
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(dtype=dtype, copy=True, memory_format=torch.contiguous_format)


def _is_finite(tensor: Tensor) -> bool:
    """A sum in float64 is finite if and only if all its float32 terms are, and needs no memory."""
    return not tensor.is_floating_point() or bool(tensor.sum(dtype=torch.float64).isfinite())


def _is_derived(name: str) -> bool:
    return name.rpartition(".")[2] in DERIVED


def _named(records: Sequence[Checkpoint]) -> str:
    return f", or use this one as {' or '.join(r.key for r in records[:4])}" if records else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
