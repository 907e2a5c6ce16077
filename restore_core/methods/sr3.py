"""SR3: super-resolution by iterative refinement. Saharia et al. 2021, arXiv 2104.07636.

    x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps     (no anchor: the network sees the input beside x_t)

The network is told the noise level sqrt(abar), not t, so the schedule is free at inference. T = 2000, beta linear from
1e-6 to 1e-2; fewer steps visit a subset of that schedule (stretching beta instead is the classic mistake).
"""

from __future__ import annotations

from torch import Tensor

from restore_core.methods import compact
from restore_core.methods.base import Card, Method, presets
from restore_core.problem import Problem
from restore_core.processes import VariancePreserving, beta_schedule
from restore_core.settings import Option, Settings

STEPS, BETA_START, BETA_END = 2000, 1e-6, 1e-2
NOISE = Option(
    "noise", "End of the noise schedule (beta_T)", BETA_END, 0.005, 0.05, 0.001,
    help="How fast the picture drowns in noise. 0.01 is the paper's; from about 0.005 the start is pure noise.",
)  # fmt: skip


class SR3(Method):
    """Conditional diffusion from pure noise."""

    card = Card(
        key="sr3",
        title="SR3",
        paper="Saharia et al. 2021, Image Super-Resolution via Iterative Refinement",
        summary="Starts from pure noise and lets the photo steer every step. Freest of all, so it may redraw faces.",
        variants=compact.VARIANTS,
        options=(NOISE,),
        defaults={"sampler": "ddim", "steps": 30, "spacing": "log-snr", "eta": 1.0, "noise": BETA_END},
        presets=presets(
            {"samples": 8, "steps": 8, "eta": 0.0},
            {"steps": 12, "sampler": "multistep", "spacing": "log-snr"},
            {},
            {"steps": 60},
            {"steps": 100, "sampler": "multistep-sde", "spacing": "log-snr"},
        ),
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """VP with anchor zero."""
        betas = beta_schedule("linear", STEPS, BETA_START, settings.options["noise"])
        return compact.pose(
            self.modules["network"], image, settings, self.variant.scale, VariancePreserving(betas), anchor="zero"
        )
