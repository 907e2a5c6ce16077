"""What is wrong with a picture? A guess from the picture itself, with the sentence that explains it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from restore_core.metrics import edge_blur, noise

NOISY = 5.0  # grey levels: above, noise is what one sees first
SMALL = 400  # pixels of the long side: a picture below is too small for a screen
SOFT = 1.2  # pixels of blur: above, even a small picture is blurred rather than small
SMALLEST = 32  # pixels of the short side that the estimates need
LOOKED_AT = 768  # pixels: a large picture is judged by its middle, at its own scale


@dataclass(frozen=True)
class Diagnosis:
    """A task, and a sentence that says what was seen."""

    task: str
    sentence: str


def diagnose(image: Tensor) -> Diagnosis:
    """image (1, 3, H, W), RGB in [0, 1]. Noise first (it hides everything else), then smallness, then blur."""
    height, width = image.shape[-2:]
    size = f"{width} x {height} pixels"
    if min(height, width) < SMALLEST:
        return Diagnosis("sr4", f"It is tiny ({size}), so it is made four times larger.")
    middle = _middle(image, LOOKED_AT)
    grain, blur = noise(middle).item(), edge_blur(middle).item()
    if grain > NOISY:
        return Diagnosis("denoise", f"It looks noisy (about {grain:.0f} grey levels of 255), so noise is removed.")
    if max(height, width) <= SMALL and blur < SOFT:
        return Diagnosis("sr4", f"It is small ({size}) and sharp enough, so it is made four times larger.")
    soft = f"Its edges are about {blur:.1f} pixels wide" if blur < 10 else "It has hardly any sharp edge"
    return Diagnosis("deblur", f"{soft} and there is little noise, so blur is removed.")


def _middle(image: Tensor, side: int) -> Tensor:
    """The middle of image, at most side x side."""
    top, left = (max(0, (length - side) // 2) for length in image.shape[-2:])
    return image[..., top : top + side, left : left + side]
