"""Is the result faithful to the photograph that we were given? Damaged again in the same way, it should match y."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.metrics.base import Metric
from restore_core.metrics.fidelity import psnr

Operator = Callable[[Tensor], Tensor]


def consistency(result: Tensor, y: Tensor, operator: Operator) -> Tensor:
    """PSNR in dB between operator(result) and y, (N,); 100 at most. The operator must draw no noise of its own.

    With noise of deviation s (of 1) in y, a perfect result reaches -20 log10(s) dB: more means that it fits the noise.
    """
    again = operator(result)
    if again.shape != y.shape:
        raise SettingsError(
            f"Damaged again, the result has shape {tuple(again.shape)}, but the photograph has {tuple(y.shape)}, "
            "so the two cannot be compared. Use the operator that y was made with, at the same scale."
        )
    return psnr(again, y)


def consistency_with(y: Tensor, operator: Operator) -> Metric:
    """The metric of one photograph and its damage: run(result), like any other without a reference."""

    def run(result: Tensor) -> Tensor:
        return consistency(result, y, operator)

    return Metric(
        "consistency", "Faithful to your photo", "higher", "dB", False, run, "PSNR of A(result) against y"
    )
