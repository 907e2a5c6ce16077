"""ResShift: diffusion by residual shifting. Yue et al., NeurIPS 2023, arXiv 2307.12348; journal: arXiv 2403.07319.

    x_t = (1 - eta_t) x0 + eta_t y + kappa sqrt(eta_t) eps

The chain leads from the degraded picture with noise to the clean one, so 15 steps (or 4) suffice. The published
networks work in the latent space of a VQ autoencoder with kappa = 2: y is the latent of the bicubically enlarged
input, the network is shown x_t / sqrt(s^2 + 1), the index t - 1 and the input itself, and finds x0. SinSR (Wang et
al. 2024, arXiv 2311.14760) is the same network, taught to make the 15 steps in one. The compact denoiser works on
pixels in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.methods import compact
from restore_core.methods.base import Card, Method, presets
from restore_core.methods.colour import keep_colours
from restore_core.methods.compact import to_image, to_signed
from restore_core.methods.holes import known_parts
from restore_core.methods.latent import preview, vq_latents
from restore_core.methods.resshift_weights import VARIANTS
from restore_core.networks.layers import pad_to_multiple
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
        variants=(*compact.VARIANTS, *VARIANTS),
        options=(NOISE,),
        defaults={"sampler": "ddim", "steps": 10, "spacing": "log-snr", "eta": 1.0, "noise": 0.5},
        presets=presets(
            {"samples": 8, "steps": 6},
            {"steps": 6},
            {},
            {"steps": 30},
            {"steps": 30, "sampler": "multistep-sde"},
        ),
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """Residual shifting anchored at the input: published weights in latents, the compact ones on pixels.

        Filling holes: what is transparent is shown as black and told as +1 in a mask; what is known stays as it was.
        """
        if not self.variant.published:
            return self._pose_compact(image, settings)
        if self.variant.channels == 3:
            return self.pose_latent(to_signed(image), None, settings)
        return self._pose_holes(image, settings)

    def _pose_compact(self, image: Tensor, settings: Settings) -> Problem:
        """15 indices, any number of steps between them."""
        process = ResidualShifting(STEPS, settings.options["noise"], min_level=0.04 * settings.options["noise"])
        return compact.pose(
            self.modules["network"], image, settings, self.variant.scale, process, anchor="degraded", heed=self.heed
        )

    def _pose_holes(self, image: Tensor, settings: Settings) -> Problem:
        known = known_parts(image)
        picture = image[:, :3]
        mask = 1 - 2 * known
        lq = to_signed(picture) * known - (1 - known)
        problem = self.pose_latent(lq, mask, settings)
        return replace(problem, decode=lambda z: torch.where(known > 0, picture, problem.decode(z)))

    @torch.no_grad()
    def pose_latent(self, lq: Tensor, mask: Tensor | None, settings: Settings) -> Problem:
        """lq (1, 3, H, W) and mask (1, 1, H, W), +1 where unknown, both in [-1, 1], as the published code has them."""
        unet, autoencoder = self.modules["network"], self.modules["autoencoder"]
        process = ResidualShifting(**self.variant.config)
        size = tuple(side * self.variant.scale for side in lq.shape[-2:])
        side = unet.multiple * unet.lq_scale
        lq, mask = (x if x is None else pad_to_multiple(x, side) for x in (lq, mask))
        enlarged = _enlarge(lq, self.variant.scale)
        latents = vq_latents(autoencoder, settings)
        y = latents.encode(enlarged, self.heed)
        reference = to_image(enlarged)

        def encode(image: Tensor) -> Tensor:
            whole = pad_to_multiple(to_signed(image), side * self.variant.scale)
            return vq_latents(autoencoder, settings).encode(whole)

        def network(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
            return unet(x / process.divisor(t).to(x.dtype), t - 1, cond["lq"], cond.get("mask"))

        def decode(z: Tensor) -> Tensor:
            image, like = (x[..., : size[0], : size[1]] for x in (to_image(latents.decode(z)), reference))
            return keep_colours(image, like, settings.options.get("colour", "off"))

        return Problem(
            process=process,
            network=network,
            predicts="x0",
            anchor=y,
            cond={"lq": lq} if mask is None else {"lq": lq, "mask": mask},
            encode=encode,
            decode=decode,
            preview=preview(y, reference, self.variant.weights["autoencoder"], size),
            whole=True,
            multiple=unet.multiple,
            bytes_per_pixel=unet.bytes_per_pixel,
        )


def _enlarge(x: Tensor, scale: int) -> Tensor:
    """Bicubic with a = -0.75, as the published code enlarges; the project's own resize has a = -0.5."""
    return x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)
