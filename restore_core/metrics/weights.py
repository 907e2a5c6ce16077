"""Where the learnt parameters of LPIPS and NIQE lie, and how they are opened."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from restore_core.errors import CheckpointError

FOLDER = Path(__file__).resolve().parents[2] / "weights" / "metrics"


def open_parameters(path: Path, names: frozenset[str]) -> dict[str, Tensor]:
    """The tensors of a safetensors file, which must have exactly these names."""
    if not path.is_file():
        raise CheckpointError(
            f"There is no file {path}, so this metric has no parameters to measure with. "
            f"Put {path.name} there (it is part of the repository) or pass the path of your copy."
        )
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}), so this metric has no parameters. "
            f"Restore {path.name} from the repository."
        ) from error
    if state.keys() != names:
        differing = ", ".join(sorted(state.keys() ^ names)[:6])
        raise CheckpointError(
            f"{path} does not hold the parameters of this metric: missing or unexpected {differing}. "
            f"Restore {path.name} from the repository."
        )
    return state
