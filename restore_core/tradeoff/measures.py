"""What is measured of each result, and which two numbers span the map.

With the clean picture: distortion by PSNR, perception by LPIPS. Without one: consistency with the photo against a
measure that needs no reference, which is weaker evidence and is said to be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from restore_core.metrics import METRICS, Metric, consistency, consistency_with, operator_between
from restore_core.metrics.consistency import Operator
from restore_core.metrics.natural import BLOCK, FEWEST_BLOCKS
from restore_core.tradeoff.subject import BORDER, Subject, as_file

TRUER = "closer to the truth"
LIKE_A_PHOTO = "looks more like a photo"
KNOWN = "Measured against the clean picture: PSNR for faithfulness, LPIPS for looks."
UNKNOWN = (
    "There is no clean picture, so faithfulness is how well a result, damaged again, matches your photo, and looks are "
    "judged by {measure} alone. Both can be fooled: a result may match the photo and still invent."
)


@dataclass(frozen=True)
class Plane:
    """The two axes of the map, with the words for their better ends, and the sentence that says what they are."""

    x: Metric
    y: Metric
    note: str
    x_word: str = TRUER
    y_word: str = LIKE_A_PHOTO


def plane_of(subject: Subject, scale: int = 1) -> Plane:
    """PSNR and LPIPS with a clean picture; consistency and NIQE (edge sharpness for small results) without."""
    if subject.clean is not None:
        return Plane(METRICS["psnr"], METRICS["lpips"], KNOWN)
    size = tuple(length * scale for length in subject.degraded.shape[-2:])
    y = METRICS["niqe"] if niqe_fits(size) else METRICS["sharpness"]
    x = consistency_with(subject.degraded, lambda result: result)
    return Plane(x, y, UNKNOWN.format(measure=y.label))


def niqe_fits(size: tuple[int, int]) -> bool:
    """Whether a picture of (height, width) has the blocks that NIQE needs."""
    return (size[0] // BLOCK) * (size[1] // BLOCK) >= FEWEST_BLOCKS


class Measures:
    """Measures the results of one subject. The damage is fitted once per set of weights, on their first guess."""

    def __init__(self, subject: Subject):
        self.subject = subject
        self._operators: dict[str, Operator] = {}

    def of(self, result: Tensor, weights: str, guess: Callable[[], Tensor | None]) -> dict[str, float]:
        """Every number of a result (1, 3, H, W), rounded to 8 bits first, as a file would be.

        weights   what made it; `guess` is these weights' first guess as RGB, asked for once, None if there is none
        """
        result = as_file(result.float().cpu())
        found = self._against_clean(result) | {"consistency": self._consistency(result, weights, guess)}
        if self.subject.clean is None:
            key = "niqe" if niqe_fits(tuple(result.shape[-2:])) else "sharpness"
            found[key] = METRICS[key].run(result).item()
        return found

    def _against_clean(self, result: Tensor) -> dict[str, float]:
        clean = self.subject.clean
        if clean is None:
            return {}
        found = {
            key: METRICS[key].run(result, clean, crop_border=BORDER).item()
            for key in ("psnr", "ssim", "lpips")
        }
        return found | {"mse": 10 ** (-found["psnr"] / 10)}

    def _consistency(self, result: Tensor, weights: str, guess: Callable[[], Tensor | None]) -> float:
        y = self.subject.degraded
        if weights not in self._operators:
            sharp = guess() if self.subject.clean is None else self.subject.clean
            if sharp is None:  # nothing but the result itself tells what the damage may have been
                return consistency(result, y, operator_between(result, y)).item()
            self._operators[weights] = operator_between(sharp.float().cpu(), y)
        return consistency(result, y, self._operators[weights]).item()
