"""What is wrong with a picture? A guess from the picture itself, with the sentence that explains it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from restore_core.metrics.natural import noise_level, sharpness

NOISY = 6.0  # grey levels: above, noise is what one sees first
SMALL = 320  # pixels of the long side: below, a picture is too small to be looked at


@dataclass(frozen=True)
class Diagnosis:
    """A task, and a sentence that says what was seen."""

    task: str
    sentence: str


def diagnose(image: Tensor) -> Diagnosis:
    """image (1, 3, H, W), RGB in [0, 1]. Noise first (it hides everything else), then smallness, then blur."""
    height, width = image.shape[-2:]
    noise = float(noise_level(image))
    if noise > NOISY:
        return Diagnosis("denoise", f"It looks noisy (about {noise:.0f} grey levels), so noise is removed.")
    if max(height, width) <= SMALL:
        return Diagnosis("sr4", f"It is small ({width} x {height} pixels), so it is made four times larger.")
    return Diagnosis(
        "deblur", f"There is little noise and it is not small (sharpness {float(sharpness(image)):.1f}), so blur is removed."
    )
