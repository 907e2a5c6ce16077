"""What is wrong with a picture? A guess from the picture itself, with the sentence that explains it.

Each rule looks at one measured quantity and speaks for one task; the first that speaks decides. Tasks without weights
are not proposed: their rules are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from restore_core.checkpoints.catalogue import COMPACT
from restore_core.metrics import edge_blur, noise
from restore_core.metrics.defects import blockiness
from restore_core.metrics.scene import Streaks, colour_left, streaks, veil

NOISY = 5.0  # grey levels: above, noise is what one sees first
MUFFLED = 1.5  # grey levels that JPEG's blocks leave of such noise; of photographs without it a fifth has more
BLOCKY = 0.4  # grey levels of step at a grid of 8 px; photographs stay below 0.2
HAZY = 0.24  # light over the darkest places; of 156 clear photographs two have more
RAINY = (0.3, 60.0, 14.0)  # how much streaks agree, degrees from upright, strength; 3 of 156 without rain pass
FEW = 200  # pixels of the short side: below, chance looks like rain, and edges like blocks
ONE_HUE, TINTED = 0.02, 0.03  # a print in one colour, and that colour yellow
SMALL = 400  # pixels of the long side: a picture below is too small for a screen
MEDIUM = 1000  # pixels: a faultless picture up to here may be wanted larger
SOFT = 1.2  # pixels of blur: above, even a small picture is blurred rather than small
CRISP = 0.7  # pixels of blur: below, there is none to remove
SMALLEST = 32  # pixels of the short side that the estimates need
LOOKED_AT = 768  # pixels: a large picture is judged by its middle, at its own scale


@dataclass(frozen=True)
class Diagnosis:
    """A task, and a sentence that says what was seen."""

    task: str
    sentence: str


@dataclass(frozen=True)
class Look:
    """A picture's measurements, each taken when it is first asked for."""

    image: Tensor

    @cached_property
    def middle(self) -> Tensor:
        return _middle(self.image, LOOKED_AT)

    @cached_property
    def grain(self) -> float:
        return noise(self.middle).item()

    @cached_property
    def blur(self) -> float:
        return edge_blur(self.middle).item()

    @cached_property
    def blocks(self) -> float:
        return blockiness(self.middle).item()

    @cached_property
    def veil(self) -> float:
        return veil(self.middle).item()

    @cached_property
    def streaks(self) -> Streaks:
        return streaks(self.middle)

    @cached_property
    def colour(self) -> tuple[float, float]:
        """(how much hues differ, how warm the mean is)."""
        left, warmth = colour_left(self.middle)
        return left.item(), warmth.item()

    @property
    def longest(self) -> int:
        return max(self.image.shape[-2:])

    @property
    def size(self) -> str:
        return f"{self.image.shape[-1]} × {self.image.shape[-2]} pixels"

    @property
    def faults(self) -> dict[str, str]:
        """What a file or a camera did, task -> words."""
        least = BLOCKY if min(self.image.shape[-2:]) >= FEW else 2 * BLOCKY
        blocky = self.blocks > least
        noisy = self.grain > (MUFFLED if blocky else NOISY)
        found = {
            "denoise": (noisy, f"noisy (about {self.grain:.0f} grey levels of 255)"),
            "jpeg": (blocky, f"blocky from JPEG (steps of {self.blocks:.1f} grey levels)"),
            "deblur": (self.blur > SOFT, f"blurred ({_wide(self.blur)})"),
        }
        return {task: words for task, (is_so, words) in found.items() if is_so}


def _wide(blur: float) -> str:
    return f"edges about {blur:.1f} pixels wide" if blur < 10 else "hardly any sharp edge"


def _rain(look: Look) -> str | None:
    seen, (alike, tilt, strength) = look.streaks, RAINY
    if min(look.image.shape[-2:]) < FEW:
        return None
    if seen.alike > alike and abs(seen.tilt) < tilt and seen.strength > strength and seen.more_than_dark > -0.02:
        return f"Thin bright streaks lie all one way ({abs(seen.tilt):.0f} degrees from upright), so rain is removed."
    return None


def _haze(look: Look) -> str | None:
    if look.veil <= HAZY:
        return None
    return f"Even its darkest places are bright ({100 * look.veil:.0f} % of white), as in haze, so haze is removed."


def _old(look: Look) -> str | None:
    left, warmth = look.colour
    if left < ONE_HUE and warmth > TINTED:
        return "It has a single yellowish hue, as old prints have, so traces of age are removed."
    if left < ONE_HUE / 4 and look.faults:
        words = ", ".join(look.faults.values())
        return f"It has no colour and is {words}, as old prints are, so traces of age are removed."
    return None


def _several(look: Look) -> str | None:
    words = list(look.faults.values())
    if len(words) < 2 or set(look.faults) == {"denoise", "jpeg"}:  # the weights for noise know it from files
        return None
    return f"It is {', '.join(words[:-1])} and {words[-1]}, so several faults are removed at once."


def _noise(look: Look) -> str | None:
    words = [look.faults[fault] for fault in ("denoise", "jpeg") if fault in look.faults]
    return f"It looks {' and '.join(words)}, so noise is removed." if "denoise" in look.faults else None


def _jpeg(look: Look) -> str | None:
    return f"It looks {look.faults['jpeg']}, so the blocks are removed." if "jpeg" in look.faults else None


def _small(look: Look) -> str | None:
    if look.longest <= SMALL and look.blur < SOFT:
        return f"It is small ({look.size}) and sharp enough, so it is made four times larger."
    return None


def _medium(look: Look) -> str | None:
    if look.longest <= MEDIUM and look.blur < CRISP:
        return f"It is sharp and clean but not large ({look.size}), so it is made twice as large."
    return None


def _blur(look: Look) -> str:
    soft = f"Its edges are about {look.blur:.1f} pixels wide" if look.blur < 10 else "It has hardly any sharp edge"
    return f"{soft} and there is little noise, so blur is removed."


RULES: Mapping[str, Callable[[Look], str | None]] = {  # what hides the rest comes first
    "rain": _rain, "haze": _haze, "old": _old, "blind": _several, "denoise": _noise, "jpeg": _jpeg, "sr4": _small,
    "sr2": _medium, "deblur": _blur,
}  # fmt: skip


def diagnose(image: Tensor, tasks: Collection[str] = COMPACT) -> Diagnosis:
    """image (1, 3, H, W), RGB in [0, 1]; `tasks` may be proposed, the ones that have weights."""
    look = Look(image)
    if min(image.shape[-2:]) < SMALLEST:
        return Diagnosis("sr4", f"It is tiny ({look.size}), so it is made four times larger.")
    for task, rule in RULES.items():
        sentence = rule(look) if task in tasks else None
        if sentence is not None:
            return Diagnosis(task, sentence)
    return Diagnosis("deblur", _blur(look))


def _middle(image: Tensor, side: int) -> Tensor:
    """The middle of image, at most side x side."""
    top, left = (max(0, (length - side) // 2) for length in image.shape[-2:])
    return image[..., top : top + side, left : left + side]
