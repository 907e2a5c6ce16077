"""SR3: super-resolution by iterative refinement. Saharia et al. 2021, arXiv 2104.07636.

    x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps     (no anchor: the network sees the input beside x_t)

The network is told the noise level sqrt(abar), not t, so the schedule is free at inference. T = 2000, beta linear from
1e-6 to 1e-2; fewer steps visit a subset of that schedule (stretching beta instead is the classic mistake).

The published networks are those of Janspiry's implementation. The condition is the input enlarged bicubically and
rounded to 8 bits, as a file would be; all pictures are in [-1, 1], and x0 is clipped there at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from restore_core.images import resize, to_8bit
from restore_core.methods import compact
from restore_core.methods.base import Card, Method, Variant, presets
from restore_core.methods.colour import COLOUR, keep_colours
from restore_core.methods.compact import to_image, to_signed
from restore_core.problem import Problem
from restore_core.processes import VariancePreserving, beta_schedule
from restore_core.settings import Option, Settings

STEPS, BETA_START, BETA_END = 2000, 1e-6, 1e-2
NOISE = Option(
    "noise", "End of the noise schedule (beta_T)", BETA_END, 0.005, 0.05, 0.001,
    help="How fast the picture drowns in noise. 0.01 is the paper's; from about 0.005 the start is pure noise.",
)  # fmt: skip

FAST = {"sampler": "multistep", "steps": 20, "spacing": "log-snr"}
POSITIONS = presets(
    {"samples": 8, "steps": 12},
    {"steps": 12},
    {},
    {"sampler": "multistep-sde", "steps": 40, "eta": 1.0},
    {"sampler": "ddim", "steps": 100, "spacing": "quadratic", "eta": 1.0},
)
# the paper's algorithm 2 adds noise of the large variance; the code that the weights come from, of the small one
PAPER = {"sampler": "ddim", "steps": STEPS, "spacing": "paper", "eta": 1.0, "variance": 0.0}
FIXED = {"noise": (BETA_END, "The network was trained on the noise levels of this schedule, and knows no others.")}
FACES = "Only for faces cut out to {0} × {0} pixels: it was trained on nothing else, and other photos come out wrong."


def _faces(key: str, label: str, small: int) -> Variant:
    return Variant(
        f"faces-{key}", label, "face-sr8", {"network": f"sr3/faces-{key}"}, scale=8, note=FACES.format(small),
        options=(COLOUR,), defaults=FAST, presets=POSITIONS, paper=PAPER, fixed=FIXED,
    )  # fmt: skip


# x4, on held-out photographs: nearer by LPIPS than 60 steps of ddim (weights/README.md, "How x4 is sampled")
ENLARGING = {
    "defaults": {"sampler": "multistep-sde", "steps": 20},
    "presets": presets(
        {"sampler": "ddim", "samples": 8, "steps": 10},
        {"sampler": "ddim", "steps": 20},
        {},
        {"steps": 30},
        {"steps": 40, "eta": 0.7},
    ),
}
OWN = tuple(replace(v, **ENLARGING) if v.task == "sr4" else v for v in compact.VARIANTS)

PUBLISHED = (
    _faces("16-128", "Faces, 16 to 128 pixels", 16),
    _faces("64-512", "Faces, 64 to 512 pixels", 64),
    Variant(
        "faces-128", "Faces, redrawn", "face", {"network": "sr3/faces-128"},
        note="For faces of 128 × 128 pixels. It sees no photo: noise is laid over yours and taken off again "
        "(Meng et al. 2022, SDEdit). At full strength it draws a face of nobody.",
        defaults={**FAST, "strength": 0.2}, presets=POSITIONS, paper={**PAPER, "strength": 1.0}, fixed=FIXED,
    ),
)  # fmt: skip


class SR3(Method):
    """Conditional diffusion from pure noise."""

    card = Card(
        key="sr3",
        title="SR3",
        paper="Saharia et al. 2021, Image Super-Resolution via Iterative Refinement",
        summary="Starts from pure noise and lets the photo steer every step. Freest of all, so it may redraw faces.",
        variants=(*OWN, *PUBLISHED),
        options=(NOISE,),
        defaults={"sampler": "ddim", "steps": 30, "spacing": "log-snr", "eta": 1.0, "noise": BETA_END},
        presets=presets(
            {"samples": 8, "steps": 10},
            {"steps": 10},
            {},
            {"steps": 60},
            {"steps": 60, "sampler": "multistep-sde"},
        ),
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """VP with anchor zero."""
        if self.variant.published:
            return self._pose_published(image, settings)
        betas = beta_schedule("linear", STEPS, BETA_START, settings.options["noise"])
        return compact.pose(
            self.modules["network"], image, settings, self.variant.scale, VariancePreserving(betas), anchor="zero",
            heed=self.heed,
        )  # fmt: skip

    def _pose_published(self, image: Tensor, settings: Settings) -> Problem:
        """The schedule lies in the file beside the network; below full strength the run starts from the input."""
        module = self.modules["network"]
        process = VariancePreserving(module.betas.double().cpu())
        enlarged = enlarge_8bit(image, self.variant.scale)
        y = to_signed(enlarged)
        conditional = module.denoise_fn.downs[0].in_channels == 2 * y.shape[1]
        told = _TOLD[module.denoise_fn.told]

        def network(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
            return module(torch.cat([cond["y"], x], dim=1) if conditional else x, told(process, t))

        return Problem(
            process=process,
            network=network,
            predicts="eps",
            anchor=torch.zeros_like(y),
            cond={"y": y},
            encode=to_signed,
            decode=lambda x: keep_colours(to_image(x), enlarged, settings.options.get("colour", "off")),
            guess=y,
            clip=1.0,
            whole=module.denoise_fn.told == "step",
            multiple=module.denoise_fn.multiple,
            bytes_per_pixel=module.denoise_fn.bytes_per_pixel,
        )


def _level(process: VariancePreserving, t: Tensor) -> Tensor:
    """sqrt(abar_t), held between the least and the most noise that the network was trained on."""
    ends = process.marginal(torch.tensor([1.0, process.steps], dtype=torch.float64)).a
    return process.marginal(t).a.clamp(min=ends[1], max=ends[0])


def _index(process: VariancePreserving, t: Tensor) -> Tensor:
    """The index counted from 0."""
    return t - 1


_TOLD = {"level": _level, "step": _index}


def enlarge_8bit(image: Tensor, scale: int) -> Tensor:
    """(1, 3, H, W) -> (1, 3, scale H, scale W), bicubic, rounded to 8 bits after each direction as in PIL."""
    if scale == 1:
        return image
    height, width = image.shape[-2:]
    wide = to_8bit(resize(to_8bit(image), (height, width * scale)))
    return to_8bit(resize(wide, (height * scale, width * scale)))
