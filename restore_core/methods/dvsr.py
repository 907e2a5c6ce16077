"""DvSR: a predictor, then diffusion of what it missed. Whang et al., CVPR 2022, arXiv 2112.02475.

    q_t = sqrt(abar_t)(x0 - g) + sqrt(1 - abar_t) eps,     x_t = q_t + g = a x0 + (1 - a) g + s eps

so DvSR is the variance-preserving process anchored at g = g(y), and x_t is a viewable picture from the first frame on.
Its dial is the inference schedule (T, beta_T): beta linear from 1e-6 to beta_T over T steps, chosen without retraining.
More steps with less noise look better; fewer steps with more noise are closer to the truth (section 4.3).
"""

from __future__ import annotations

from torch import Tensor

from restore_core.methods import compact
from restore_core.methods.base import Card, Method, presets
from restore_core.problem import Problem
from restore_core.processes import VariancePreserving, beta_schedule
from restore_core.settings import Option, Settings

BETA_START = 1e-6
NOISE = Option(
    "noise", "Largest noise level (1 - alpha_T)", 0.1, 0.001, 0.9, 0.001,
    help="beta_T of the schedule. Low keeps more of the first guess, high lets more be redrawn.",
)  # fmt: skip


class DvSR(Method):
    """Predictor and residual denoiser."""

    card = Card(
        key="dvsr",
        title="DvSR",
        paper="Whang et al. 2022, Deblurring via Stochastic Refinement",
        summary="First a plain guess, then fine detail is drawn on top of it. Fast, and gentle with faces.",
        variants=compact.VARIANTS,
        options=(NOISE,),
        defaults={"sampler": "ddim", "steps": 20, "spacing": "log-snr", "eta": 1.0, "noise": 0.1},
        presets=presets(
            {"samples": 8, "steps": 6},
            {"steps": 6},
            {},
            {"steps": 40},
            {"steps": 40, "sampler": "multistep-sde"},
        ),
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """VP anchored at g; the schedule has as many steps as the run, as in the paper."""
        betas = beta_schedule("linear", settings.steps, BETA_START, settings.options["noise"])
        return compact.pose(
            self.modules["network"], image, settings, self.variant.scale, VariancePreserving(betas),
            anchor="predicted", from_guess=True, heed=self.heed,
        )  # fmt: skip
