"""DiffBIR's published versions: which base, control and cleaner belong together, and how their authors ran them.

Schedule and parameterisation are read from the control's record in the catalogue, which also names its base; here
stands what no file tells: the cleaner of each task, prompts, guidance weight, sampler and time grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from restore_core.checkpoints import catalogue
from restore_core.methods.base import Variant, presets
from restore_core.methods.cleaning import SHORT_SIDE
from restore_core.methods.colour import COLOUR
from restore_core.processes import VariancePreserving, beta_schedule, zero_terminal
from restore_core.settings import Option

PACKAGES = ("diffusers", "transformers")
NEGATIVE_V2 = "low quality, blurry, low-resolution, noisy, unsharp, weird textures"
POSITIVE_V21 = (
    "Cinematic, High Contrast, highly detailed, taken using a Canon EOS R camera, hyper detailed photo - realistic "
    "maximum detail, 32k, Color Grading, ultra HD, extreme meticulous detailing, skin pore detailing, hyper sharpness, "
    "perfect without deformations."
)
NEGATIVE_V21 = (
    "painting, oil painting, illustration, drawing, art, sketch, oil painting, cartoon, CG Style, 3D render, unreal "
    "engine, blurring, dirty, messy, worst quality, low quality, frames, watermark, signature, jpeg artifacts, "
    "deformed, lowres, over-smooth."
)
LONGEST_PROMPT = 1000  # characters; the text network reads 75 tokens, about 300 of them

PROMPT = Option(
    "prompt", "What the photo shows", "", high=LONGEST_PROMPT,
    help="A few words in English, in front of the prompt that the network was trained with. May stay empty.",
)  # fmt: skip
STYLE = Option("style", "Prompt of the version", "", high=LONGEST_PROMPT, help="What the result should look like.")
AVOID = Option("avoid", "Negative prompt", "", high=LONGEST_PROMPT, help="What the result should not look like.")
TEXT_WEIGHT = Option(
    "cfg", "Weight of the prompts (cfg)", 4.0, 1.0, 15.0, 0.5,
    help="1: the negative prompt is left out, and a run takes half as long. High: more contrast and invention.",
)  # fmt: skip
GROWING = Option(
    "cfg_grows", "Prompts gain weight on the way", False,
    help="From 1 at the start to 1 + cfg at the end (the authors call it rescaled guidance).",
)  # fmt: skip
CONTROL = Option(
    "control", "Strength of the control", 1.0, 0.0, 1.5, 0.05,
    help="How strongly the first restoration steers the second. Below 1 more is invented.",
)  # fmt: skip
CONDITION_NOISE = Option(
    "condition_noise", "Noise on the condition (noise_aug)", 0.0, 0.0, 199.0, 1.0,
    help="Lets badly damaged photos be redrawn more freely; v2.1 was trained with up to 199.",
)  # fmt: skip
BEGIN = Option(
    "begin", "Start from", "noise", choices=("noise", "condition"),
    help="condition: the first restoration under noise. Calms flat areas; without effect in v2.1.",
)  # fmt: skip
SPACE = Option(
    "guidance_space", "Guidance compares", "latent", choices=("latent", "pixels"),
    help="latent: fast. pixels: through the decoder and back at every step, several times slower.",
)  # fmt: skip
OPTIONS = (PROMPT, STYLE, AVOID, TEXT_WEIGHT, GROWING, CONTROL, BEGIN, SPACE, COLOUR)


def process_of(config: Mapping[str, Any]) -> VariancePreserving:
    """The noise schedule that a record's config tells: betas, moved to zero terminal signal where it says so."""
    betas = beta_schedule(config["schedule"], config["steps"], config["beta_start"], config["beta_end"])
    return VariancePreserving(zero_terminal(betas) if config["zero_terminal"] else betas)


def spaced(process: VariancePreserving) -> Callable[[int], Tensor]:
    """v1's and v2's own grid: round(i 999/(S - 1)) + 1, i = S - 1, ..., 0, then 0; both ends of 1..1000 included."""

    def grid(steps: int) -> Tensor:
        last = process.steps - 1
        indices = [round(i * last / (steps - 1)) for i in range(steps)] if steps > 1 else [last]
        return torch.tensor([*(i + 1 for i in sorted(set(indices), reverse=True)), 0], dtype=torch.float64)

    return grid


def truncated(process: VariancePreserving) -> Callable[[int], Tensor]:
    """v2.1's own: floor(999 - 999 i/S) + 1, then 0."""

    def grid(steps: int) -> Tensor:
        last = process.steps - 1
        indices = [int(last - last * i / steps) for i in range(steps)]
        return torch.tensor([*(i + 1 for i in dict.fromkeys(indices)), 0], dtype=torch.float64)

    return grid


_PAPER_EPS = {
    "sampler": "ddim", "steps": 50, "spacing": "paper", "eta": 1.0, "variance": 0.0, "guidance": 0.0,
    "colour": "wavelet",
}  # fmt: skip
_PAPER_V = {
    "sampler": "multistep-3-sde", "steps": 10, "spacing": "paper", "eta": 1.0, "bend": "half", "guidance": 0.0,
    "colour": "wavelet",
}  # fmt: skip
_V1 = {"style": "", "avoid": NEGATIVE_V2, "cfg": 1.0}
_V2 = {"style": "", "avoid": NEGATIVE_V2, "cfg": 4.0}
_V21 = {"style": POSITIVE_V21, "avoid": NEGATIVE_V21, "cfg": 8.0}
_QUICK_EPS = {"sampler": "multistep-sde", "steps": 20, "spacing": "uniform", "eta": 1.0, "colour": "wavelet"}
_QUICK_V = {"sampler": "multistep-3-sde", "steps": 10, "spacing": "paper", "eta": 1.0, "colour": "wavelet"}
_POSITIONS = presets(
    {"guidance": 0.9, "cfg": 1.0, "samples": 4},
    {"guidance": 0.5, "cfg": 2.0},
    {},
    {"guidance": 0.0, "steps": 25},
    {"guidance": 0.0, "steps": 50},
)
_BIG = "About {} GB of downloads, and minutes a photo without a graphics card."
_FACES = "Only for faces cut out to 512 × 512 pixels or less. "


def _variant(
    version: str, name: str, label: str, task: str, cleaner: str, scale: int, *, control: str = "", size: str = "6.7"
) -> Variant:
    control = f"diffbir/{control or version}"
    steered = catalogue.record(control).config
    early = steered["predicts"] == "eps"
    prompts = {"v1": _V1, "v2": _V2, "v2-1": _V21}[version]
    own = () if early else (CONDITION_NOISE,)
    return Variant(
        f"{version}-{name}", label, task,
        {"network": steered["base"], "control": control, "cleaner": f"diffbir/{cleaner}"},
        scale=scale, options=(*OPTIONS, *own), presets=_POSITIONS,
        defaults={**(_QUICK_EPS if early else _QUICK_V), **prompts, "guidance": 0.1},
        paper={**(_PAPER_EPS if early else _PAPER_V), **prompts},
        note=(_FACES if task == "face" else "") + _BIG.format(size),
        least=SHORT_SIDE, packages=PACKAGES,
    )  # fmt: skip


PUBLISHED: tuple[Variant, ...] = (  # newest first
    _variant("v2-1", "sr4", "v2.1, four times larger", "sr4", "swinir-realesrgan", 4),
    _variant("v2-1", "photo", "v2.1, same size", "blind", "swinir-realesrgan", 1),
    _variant("v2-1", "face", "v2.1, faces", "face", "swinir-face", 1),
    _variant("v2", "sr4", "v2, four times larger", "sr4", "bsrnet", 4),
    _variant("v2", "photo", "v2, same size", "blind", "scunet-psnr", 1),
    _variant("v2", "face", "v2, faces", "face", "swinir-face", 1),
    _variant("v1", "sr4", "v1, four times larger", "sr4", "swinir-general-v1", 4, control="v1-general"),
    _variant("v1", "photo", "v1, same size", "blind", "swinir-general-v1", 1, control="v1-general"),
    _variant("v1", "face", "v1, faces", "face", "swinir-face", 1, control="v1-face"),
)
