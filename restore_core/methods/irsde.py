"""IR-SDE: restoration with mean-reverting stochastic differential equations. Luo et al., ICML 2023, arXiv 2301.11699.

    dx = theta_t (y - x) dt + sigma_t dw,   sigma_t^2 = 2 lambda^2 theta_t
    x_t = a x0 + (1 - a) y + lambda sqrt(1 - a^2) eps

The clean picture drifts towards the degraded one while a fixed amount of noise builds up; restoring runs it backwards.
T = 100, cosine theta, a_T = 0.005. lambda is told in grey levels of 255 (10 for rain, 50 for blur in the paper).
"""

from __future__ import annotations

from torch import Tensor

from restore_core.methods import compact
from restore_core.methods.base import Card, Method, presets
from restore_core.problem import Problem
from restore_core.processes import MeanReverting, theta_schedule
from restore_core.settings import Option, Settings

STEPS, END = 100, 0.005
NOISE = Option(
    "noise", "Noise level (lambda, grey levels)", 30.0, 1.0, 100.0, 1.0,
    help="The noise that the photo is given before it is restored. More noise, more freedom.",
)  # fmt: skip


class IRSDE(Method):
    """Mean reversion to the degraded picture, run backwards."""

    card = Card(
        key="irsde",
        title="IR-SDE / Refusion",
        paper="Luo et al. 2023, Image Restoration with Mean-Reverting Stochastic Differential Equations",
        summary="Lets the damage flow back out of the photo. Calm and close to the input; faces keep their looks.",
        variants=compact.VARIANTS,
        options=(NOISE,),
        defaults={"sampler": "ddim", "steps": 20, "spacing": "log-snr", "eta": 1.0, "noise": 30.0},
        presets=presets(
            {"samples": 8, "steps": 8, "eta": 0.0},
            {"steps": 10, "eta": 0.0},
            {},
            {"steps": 50},
            {"steps": 100, "sampler": "multistep-sde", "spacing": "log-snr"},
        ),
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """Mean reversion anchored at the input; process space is [-1, 1], so a grey level is 2/255."""
        scale = settings.options["noise"] * 2 / 255
        process = MeanReverting(theta_schedule("cosine", STEPS), scale, eps=END)
        return compact.pose(
            self.modules["network"], image, settings, self.variant.scale, process, anchor="degraded"
        )
