"""DDNM: what the photo tells is kept, the rest is drawn. Wang, Yu and Zhang, ICLR 2023, arXiv 2212.00490.

    x0 <- x0 + A^+ (y - A x0)      (eq. 8 and 13)

in every step, so the result explains the photo exactly: A x0 = y. It takes the photo at its word; noise in y is kept.
"""

from __future__ import annotations

from torch import Tensor

from restore_core.methods import known
from restore_core.methods.base import Method
from restore_core.problem import Problem
from restore_core.settings import Settings


class DDNM(Method):
    """Range from the photo, null space from the prior."""

    card = known.card(
        key="ddnm",
        title="DDNM",
        paper="Wang et al. 2023, Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model",
        summary="The damage must be known. What the photo tells is kept to the letter, the rest is drawn freely.",
        options=(known.BLUR,),
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """VP from pure noise, every guess projected on the pictures that explain the photo."""
        told = known.setting(image, settings, self.variant)
        network = known.prior(self.modules["network"], told)
        return known.problem(told, network, lambda x0, share: told.operator.project(x0, told.y))
