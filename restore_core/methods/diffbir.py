"""DiffBIR: a cleaner, then diffusion about its picture. Lin et al., ECCV 2024, arXiv 2308.15070.

    1. a regression network takes the damage away and leaves a smooth picture        (cleaning)
    2. a diffusion prior, steered by that picture, draws the detail from pure noise   (diffbir_latent)
    3. flat areas may be held to the first picture at every step                      (guidance)

The published second stage is Stable Diffusion 2.1 with IRControlNet. The compact variant is the same plan with our own
small networks, on pixels instead of latents: the compact predictor cleans, the compact denoiser is the prior that sees
the cleaned picture. It knows no text and has seen far fewer pictures; it is here so that both stages can be tried, and
guidance be judged, without a download.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from restore_core import guidance
from restore_core.checkpoints import catalogue
from restore_core.checkpoints.records_diffbir import EPS, check_base
from restore_core.errors import ImageError
from restore_core.guidance import Guidance, flatness
from restore_core.methods import compact
from restore_core.methods.base import Card, Method, Variant, presets
from restore_core.methods.cleaning import clean
from restore_core.methods.colour import COLOUR, keep_colours
from restore_core.methods.compact import to_image, to_signed
from restore_core.methods.diffbir_latent import pose_latent, prompts_of, read_prompts
from restore_core.methods.diffbir_weights import PUBLISHED, process_of, spaced, truncated
from restore_core.networks.clip_tokens import LENGTH
from restore_core.problem import Problem
from restore_core.settings import Settings

SMALLEST = 16  # pixels of the short side: below, the cleaners have nothing to see
APART = 0x5EA2  # apart from the run's own noise, which the seed itself draws

_SMALL = "Both stages by our own small networks, on pixels: no text, no download."
_COMPACT = (
    *(replace(v, options=(*v.options, COLOUR), note=_SMALL, defaults={}, presets=()) for v in compact.VARIANTS),
    Variant(
        "compact-photo-sr4", "Compact, several faults and four times larger", "sr4",
        {"network": "compact/sr4", "cleaner": "compact/blind"}, scale=4, options=(COLOUR,),
        note=f"{_SMALL} The cleaner works at the photo's own size, before it is enlarged.",
        defaults={"guidance": 0.2},  # of badly damaged photos little is left that guidance could be true to
        presets=presets(
            {"guidance": 1.0, "samples": 4, "steps": 12}, {"guidance": 0.5}, {}, {"guidance": 0.1, "steps": 30},
            {"guidance": 0.0, "steps": 50},
        ),
    ),
)  # fmt: skip


class DiffBIR(Method):
    """Cleaner, conditioned diffusion from pure noise, restoration guidance."""

    card = Card(
        key="diffbir",
        title="DiffBIR",
        paper="Lin et al. 2024, DiffBIR: Towards Blind Image Restoration with Generative Diffusion Prior",
        summary="Cleans the photo first, then redraws its detail from noise, as freely as guidance allows.",
        variants=(*_COMPACT, *PUBLISHED),
        options=(guidance.SCALE, *guidance.RANGE),
        defaults={"sampler": "multistep-3-sde", "steps": 20, "spacing": "log-snr", "eta": 1.0, "guidance": 0.5},
        presets=presets(
            {"guidance": 1.0, "samples": 4, "steps": 12},
            {"guidance": 0.8},
            {},
            {"guidance": 0.25, "steps": 30},
            {"guidance": 0.0, "steps": 50},
        ),
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """VP in the published variants' latents, or on the compact one's pixels."""
        return self._pose_published(image, settings) if self.variant.published else self._pose_compact(image, settings)

    def _pose_compact(self, image: Tensor, settings: Settings) -> Problem:
        """The compact predictor's picture g is condition and target of guidance; pure noise is the start."""
        if "cleaner" in self.modules:
            image = to_image(compact.predict(self.modules["cleaner"], to_signed(image), settings, self.heed))
        problem = compact.pose(
            self.modules["network"], image, settings, self.variant.scale, process_of(EPS), anchor="zero",
            heed=self.heed,
        )  # fmt: skip
        g = problem.guess
        cleaned = to_image(g)
        scale, start, stop = (settings.options[o.key] for o in (guidance.SCALE, *guidance.RANGE))
        pull = Guidance(g, flatness(cleaned), scale, start, stop) if scale else None
        colour = settings.options.get(COLOUR.key, "off")
        return replace(problem, guide=pull, decode=lambda x: keep_colours(to_image(x), cleaned, colour))

    def rehearse(self, image: Tensor, settings: Settings) -> Problem:
        """The published networks at the photo's own size, which costs a sixteenth of 512 x 512 at 128 x 128; the
        prompts, which cost the same whatever the photo, are not read."""
        if not self.variant.published:
            return self.pose(image, settings)
        width = self.modules["network"].text.network.config.hidden_size
        return self._posed(image, settings, torch.zeros(2, LENGTH, width, device=image.device), short_side=1)

    def _pose_published(self, image: Tensor, settings: Settings) -> Problem:
        """The prompts, then the rest."""
        check_base(*(catalogue.record(self.variant.weights[role]) for role in ("control", "network")))
        _refuse_tiny(image)
        text = self.modules["network"].text
        return self._posed(image, settings, read_prompts(text, prompts_of(settings.options), image.device))

    def _posed(self, image: Tensor, settings: Settings, context: Tensor, short_side: int | None = None) -> Problem:
        """Stage 1, its latent; the rest is pose_latent."""
        control = catalogue.record(self.variant.weights["control"])
        process, scale = process_of(control.config), self.variant.scale
        size = tuple(side * scale for side in image.shape[-2:])
        seed = torch.Generator().manual_seed(settings.seed ^ APART)
        return pose_latent(
            self.modules["network"], self.modules["control"],
            clean(self.modules["cleaner"], image, scale, settings, short_side=short_side, heed=self.heed),
            size, context, process, control.config["predicts"], settings,
            times=(truncated if control.config["zero_terminal"] else spaced)(process),
            condition_noise=lambda like: torch.randn(like.shape, generator=seed).to(like),
            autoencoder=self.variant.weights["network"], heed=self.heed,
        )  # fmt: skip


def _refuse_tiny(image: Tensor) -> None:
    height, width = image.shape[-2:]
    if min(height, width) < SMALLEST:
        raise ImageError(
            f"The photo is {width} × {height} pixels, and DiffBIR's first network looks at {SMALLEST} and more at a "
            f"time, so it would see nothing but edges. Choose a larger photo, or compact weights."
        )


__all__ = ["DiffBIR"]
