"""The bare state dict inside whatever a training script saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from restore_core.errors import CheckpointError

WRAPPERS = (  # averaged weights before raw ones
    "params_ema", "ema", "ema_state_dict", "model_ema", "g_ema", "params", "state_dict", "model_state_dict", "model",
    "net", "network", "generator", "weights",
)  # fmt: skip
PREFIXES = ("module.", "_orig_mod.")  # left by data parallelism and by compilation
TRAINING = ("optimizer", "optimizers", "schedulers", "optimizer_states")
DEPTH = 5


def peel(found: Any, file: str, inside: Sequence[str] = ()) -> dict[str, Tensor]:
    """Tensors by parameter name. `file`: named in errors; `inside`: keys to the state dict that cannot be guessed."""
    for key in inside:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    for _ in range(DEPTH):
        if not isinstance(found, Mapping) or not found or _is_bare(found):
            break
        found = _next(found, file)
    if not isinstance(found, Mapping) or not found:
        raise CheckpointError(
            f"{file} holds {_described(found)}, not parameters by name, so no network can be filled from "
            "it. Choose the file with the network's state dict."
        )
    tensors = {
        name: value for name, value in found.items() if isinstance(value, Tensor) and isinstance(name, str)
    }
    if not tensors:
        raise CheckpointError(
            f"{file} holds no tensors under their names. Choose the file with the network's weights."
        )
    return _without_prefixes(tensors, file)


def _is_bare(found: Mapping[Any, Any]) -> bool:
    wrapped = any(isinstance(found.get(key), Mapping) and _holds_tensors(found[key]) for key in WRAPPERS)
    return not wrapped and any(isinstance(value, Tensor) for value in found.values())


def _next(found: Mapping[Any, Any], file: str) -> Any:
    """One wrapper less."""
    for key in WRAPPERS:
        if isinstance(found.get(key), Mapping) and _holds_tensors(found[key]):
            return found[key]
    holders = [key for key, value in found.items() if isinstance(value, Mapping) and key not in TRAINING]
    holders = [key for key in holders if _holds_tensors(found[key])]
    if len(holders) == 1:
        return found[holders[0]]
    if holders:
        raise CheckpointError(
            f"{file} holds several networks ({', '.join(map(str, holders[:6]))}), and which one is meant "
            "cannot be told. Save the one you need to a file of its own."
        )
    if any(key in found for key in TRAINING):
        raise CheckpointError(
            f"{file} holds the state of a training (optimiser and counters), not the network's weights. "
            "Choose the weights file that was saved beside it."
        )
    return None


def _holds_tensors(found: Mapping[Any, Any], depth: int = DEPTH) -> bool:
    return any(
        isinstance(v, Tensor) or (depth > 0 and isinstance(v, Mapping) and _holds_tensors(v, depth - 1))
        for v in found.values()
    )


def _without_prefixes(tensors: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    bare: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        while name.startswith(PREFIXES):
            name = name.partition(".")[2]
        if name in bare:
            raise CheckpointError(
                f"{file} holds '{name}' twice, once behind a prefix, so it cannot be told which is meant. "
                "Save one of them."
            )
        bare[name] = tensor
    return bare


def _described(found: Any) -> str:
    return "nothing" if found is None else f"a {type(found).__name__}" + ("" if found else " without content")
