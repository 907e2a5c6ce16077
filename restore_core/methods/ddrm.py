"""DDRM: each coordinate of the damage by itself, as noise allows. Kawar et al., NeurIPS 2022, arXiv 2201.11793.

    in coordinates V^T x:      x0_i <- x0_i + w_i (y_i / s_i - x0_i),      w_i = min(1, level s_i / sigma)

level = s_t/a_t is the run's noise, sigma the photo's. Where the run is noisier than what the photo tells of coordinate
i (sigma/s_i), the photo's value is taken whole (eq. 8, third case, eta_b = 1); later it counts by the ratio of the two
(second case, eta = 0); where s_i = 0 nothing is told (first case). The sampler's own eta adds fresh noise. Without
noise in the photo this is DDNM, as the authors note of both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from restore_core.methods import known
from restore_core.methods.base import Method
from restore_core.problem import Problem
from restore_core.settings import Settings


class DDRM(Method):
    """Guidance in the coordinates of the damage."""

    card = known.card(
        key="ddrm",
        title="DDRM",
        paper="Kawar et al. 2022, Denoising Diffusion Restoration Models",
        summary="The damage and the noise must be known. The photo is trusted as far as its noise allows.",
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """VP from pure noise, every guess pulled to the photo in the coordinates of the damage."""
        told = known.setting(image, settings, self.variant)
        network = known.prior(self.modules["network"], told)
        return known.problem(told, network, guide_of(told))


def guide_of(told: known.Setting) -> known.Guide:
    """The pull, with everything that does not change worked out once."""
    strengths, seen = told.operator.strengths, told.operator.measured(told.y)

    def guide(x0: Tensor, share: float) -> Tensor:
        t = torch.tensor(share * told.process.steps, dtype=torch.float64)
        a, _, s = told.process.marginal(t)
        weight = (strengths * (s / a) / max(told.sigma, 1e-9)).clamp(max=1) * (strengths > 0)
        guess = told.operator.coordinates(x0)
        return told.operator.picture(guess + weight.to(guess) * (seen.to(guess) - guess)).to(x0)

    return guide
