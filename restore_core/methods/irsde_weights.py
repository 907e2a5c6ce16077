"""IR-SDE's, Denoising-SDE's and Refusion's published weights: the numbers that each was trained with.

Neither lambda nor the schedule is in a file. All have T = 100, cosine theta and a_T = 0.005 (Denoising-SDE: 0.04).

    max_sigma   lambda in grey levels of 255
    end         a_T (Denoising-SDE: e^(-c_T)), which sets dt
    enlarge     how the input is brought to the result's size: the mode of torch's interpolate
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from restore_core.methods.base import Variant, presets
from restore_core.methods.colour import COLOUR
from restore_core.settings import Option

END, DENOISING_END = 0.005, 0.04

SDE = {"sampler": "euler-maruyama", "steps": 100, "spacing": "paper", "eta": 1.0, "drift": "plain"}
ODE = {**SDE, "eta": 0.0}
POSTERIOR = {"sampler": "ddim", "steps": 100, "spacing": "paper", "eta": 1.0, "variance": 0.0}
FAST = {"sampler": "multistep", "steps": 10, "spacing": "log-snr"}
POSITIONS = presets(
    {"sampler": "multistep-sde", "samples": 8},
    {"steps": 6},
    {},
    {"steps": 20},
    {"sampler": "multistep-sde", "steps": 40, "eta": 1.0},
)
DENOISING_POSITIONS = presets({"steps": 2}, {"steps": 4}, {}, {"eta": 0.5}, {"eta": 1.0})

READING = Option(
    "reading", "What the output is read as", "noise", choices=("noise", "step"),
    help="step: as its training meant it, the picture whose step the output makes. Calmer first guesses.",
)  # fmt: skip
SIGMA = Option(
    "sigma", "Noise of the photo (grey levels)", 0.0, 0.0, 74.0, 0.5, help="0: measured from the photo."
)
LENSES: Mapping[str, float] = {  # f-number times 10, Canon below zero
    "Canon 50 mm f/1.4": -14.0,
    "Canon 50 mm f/1.8": -18.0,
    "Sony 50 mm f/1.8": 18.0,
    "Sony 50 mm f/16": 160.0,
}
LENS_OPTIONS = (
    Option("lens", "Lens of the photo", "Sony 50 mm f/16", choices=tuple(LENSES)),
    Option("target", "Lens of the result", "Canon 50 mm f/1.4", choices=tuple(LENSES)),
    Option("disparity", "Disparity of the lenses' blur", 35.0, 0.0, 100.0, 1.0,
           help="The number that the training set (NTIRE 2023, bokeh) gives with each photo; 35 in the authors' demo."),
)  # fmt: skip

_HOLES = "What is transparent in the photo is filled. It was trained on {}."
_STATE = "A noisy photo is part of the way already: how noisy it is decides how many noise levels are left."


def _variant(
    key: str,
    label: str,
    task: str,
    sigma: float,
    *,
    weights: Mapping[str, str] | None = None,
    paper: Mapping[str, Any] = SDE,
    options: tuple[Option, ...] = (),
    config: Mapping[str, Any] | None = None,
    **rest: Any,
) -> Variant:
    why = f"The network was trained with this much noise (lambda = {sigma:g}/255) and knows no other."
    return Variant(
        key, label, task, weights or {"network": f"irsde/{key}"},
        config={"max_sigma": sigma, "end": END, **(config or {})}, options=(READING, *options), defaults=FAST,
        presets=POSITIONS, paper=paper, fixed={"noise": (sigma, why)}, **rest,
    )  # fmt: skip


def _refusion(key: str, label: str, task: str, *, latent: bool = False, **rest: Any) -> Variant:
    weights = {"network": f"refusion/{key}"} | ({"autoencoder": f"refusion/{key}-latent"} if latent else {})
    return _variant(f"refusion-{key}", label, task, 50.0, weights=weights, **rest)


_NEAREST = {"enlarge": "nearest"}

VARIANTS: tuple[Variant, ...] = (
    _variant("derain-h", "Heavy rain", "rain", 10.0, paper=POSTERIOR),
    _variant("derain-l", "Light rain", "rain", 10.0, paper=POSTERIOR),
    _variant("deblur-gopro", "Motion blur", "deblur", 10.0),
    _variant("sr-x4", "Four times larger", "sr4", 30.0, scale=4, options=(COLOUR,), config=_NEAREST),
    _variant("inpaint-face", "Holes in faces", "inpaint", 30.0, channels=4,
             note=_HOLES.format("faces of 256 × 256 pixels and draws nothing else")),
    Variant(
        "denoise", "Noise (Denoising-SDE)", "denoise", {"network": "irsde/denoise"},
        config={"max_sigma": 75.0, "end": DENOISING_END}, options=(SIGMA,),
        note="Even Gaussian noise below 75 grey levels.", presets=DENOISING_POSITIONS,
        defaults={"sampler": "ddim", "steps": 8, "spacing": "paper", "eta": 0.0}, paper=ODE,
        fixed={
            "noise": (75.0, "The network was trained with this much noise (lambda = 75/255) and knows no other."),
            "spacing": ("paper", _STATE),
            "strength": (1.0, _STATE),
        },
    ),
    _variant("shadow", "Shadows", "deshadow", 30.0),
    _refusion("shadow", "Shadows (Refusion)", "deshadow"),
    _refusion("dehaze", "Haze (Refusion, latent)", "haze", latent=True),
    _refusion("bokeh", "Another lens's blur (Refusion, latent)", "bokeh", latent=True, options=LENS_OPTIONS,
              note="Changes what one lens leaves out of focus into what another would. Full frame cameras, 50 mm."),
    _refusion("stereo-x4", "Two views, four times larger (Refusion)", "stereo-sr4", scale=4, options=(COLOUR,),
              config={"enlarge": "bicubic", "stereo": True},
              note="For a stereo pair in one picture: the left view in its left half, the right view beside it."),
    _refusion("derain", "Rain (Refusion)", "rain"),
    _refusion("deblur", "Motion blur (Refusion)", "deblur"),
    _refusion("sr-x4", "Four times larger (Refusion)", "sr4", scale=4, options=(COLOUR,), config=_NEAREST),
    _refusion("inpaint", "Holes (Refusion)", "inpaint", channels=4,
              note=_HOLES.format("faces of 256 × 256 pixels")),
)  # fmt: skip
