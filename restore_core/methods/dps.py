"""DPS: the gradient of what the photo says, through the network. Chung et al., ICLR 2023, arXiv 2209.14687.

    x0 <- x0 + (s^2/a) grad_x log p(y | x_t),      log p(y | x_t) = -sum_i (U^T (y - A D(x_t)))_i^2 / (2 v_i)

by Tweedie (eq. 10), i running over the coordinates of the damage. The paper's step, zeta/|y - A D|, belongs to one
sampler. Here v_i = sigma^2 + s_i^2 r^2, with r^2 = level^2 sd^2/(level^2 + sd^2) the variance that the guess still has
(Song et al. 2023, Pi-GDM): exact for Gaussian pictures, whatever A and the sampler, so no step length is to be tuned.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from restore_core.methods import known
from restore_core.methods.base import Method
from restore_core.problem import Network, Problem
from restore_core.settings import Settings

TINY = 1e-12  # below any variance: what was not measured has neither gap nor variance


class DPS(Method):
    """Guidance by the likelihood's gradient."""

    card = known.card(
        key="dps",
        title="DPS",
        paper="Chung et al. 2023, Diffusion Posterior Sampling for General Noisy Inverse Problems",
        summary="The damage and the noise must be known. Each step asks the network how to explain the photo better.",
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """VP from pure noise; a guess takes a pass through the network and one back."""
        told, model = known.setting(image, settings, self.variant), self.modules["network"]
        return known.problem(told, posterior(known.prior(model, told), told, model.data_sd.item() ** 2))


def posterior(network: Network, told: known.Setting, variance: float) -> Network:
    """E[x0 | x_t, y] from E[x0 | x_t]; `variance` of pictures themselves."""
    strengths, seen = told.operator.strengths, told.operator.measured(told.y)

    def guided(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        known.refuse_tiles(x, told)
        a, _, s = (c.to(x) for c in told.process.marginal(t))
        level = (s / a) ** 2
        v = told.sigma**2 + strengths**2 * level * variance / (level + variance)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            x0 = network(x, t, cond)
            gap = strengths * (seen - told.operator.coordinates(x0))
            misfit = (gap.square() / (2 * v).clamp(min=TINY)).sum()
            (slope,) = torch.autograd.grad(misfit, x)
        return (x0 - s**2 / a * slope).detach()

    return guided
