"""ResShift: diffusion by residual shifting. Yue et al., NeurIPS 2023, arXiv 2307.12348.

    x_t = (1 - eta_t) x0 + eta_t y + kappa sqrt(eta_t) eps

The chain leads from the degraded picture with noise to the clean one, so 15 steps (or 4) suffice. The published
networks work in a latent space of unit variance with kappa = 2; the compact denoiser works on pixels in [-1, 1].
"""

from __future__ import annotations

from torch import Tensor

from restore_core.methods import compact
from restore_core.methods.base import Card, Method, presets
from restore_core.problem import Problem
from restore_core.processes import ResidualShifting
from restore_core.settings import Option, Settings

STEPS = 15
NOISE = Option(
    "noise", "Noise scale (kappa)", 0.5, 0.05, 4.0, 0.05,
    help="How much noise is laid over the input. 2 is the paper's, for its latent space.",
)  # fmt: skip


class ResShift(Method):
    """From the noisy input to the clean picture by shifting the residual."""

    card = Card(
        key="resshift",
        title="ResShift",
        paper="Yue et al. 2023, ResShift: Efficient Diffusion Model for Image Super-resolution by Residual Shifting",
        summary="Walks from your photo to the clean one in few steps. Crisp texture; small faces may change.",
        variants=compact.VARIANTS,
        options=(NOISE,),
        defaults={"sampler": "ddim", "steps": STEPS, "spacing": "log-snr", "eta": 1.0, "noise": 0.5},
        presets=presets(
            {"samples": 8, "steps": 8, "eta": 0.0},
            {"steps": 8, "eta": 0.0},
            {},
            {"steps": 40},
            {"steps": 80, "sampler": "multistep-sde", "spacing": "log-snr"},
        ),
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """Residual shifting anchored at the input, 15 indices, any number of steps between them."""
        process = ResidualShifting(STEPS, settings.options["noise"], min_level=0.04 * settings.options["noise"])
        return compact.pose(
            self.modules["network"], image, settings, self.variant.scale, process, anchor="degraded"
        )
