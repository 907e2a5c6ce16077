"""ResShift's and SinSR's published weights: which numbers each was trained with, and how its authors ran it.

Files of v1, v2, v3 and SinSR have the same keys and shapes: schedule, T and kappa stand here, not in them. The start of
sqrt(eta) is min(min_level/kappa, min_level); SinSR's older code also caps it by sqrt(0.001), which changes nothing
at 15 steps. A network knows the T noise levels of its training and none between them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from restore_core.methods.base import Preset, Variant, presets
from restore_core.methods.colour import COLOUR

FIFTEEN: Mapping[str, Any] = {"steps": 15, "kappa": 2.0, "power": 0.3, "end": 0.99, "min_level": 0.04}
FOUR: Mapping[str, Any] = {**FIFTEEN, "steps": 4, "min_level": 0.2}
ONE_STEP: Mapping[str, Any] = {**FIFTEEN, "cap": math.sqrt(0.001)}

TILE = 256  # latent pixels, four of the squares that the networks were trained on each way
FAST_15 = {"sampler": "ddim", "steps": 5, "spacing": "uniform", "eta": 1.0, "tile": TILE}
FAST_4 = {**FAST_15, "steps": 4}
PRESETS_15 = presets(
    {"samples": 8, "eta": 0.0}, {"eta": 0.0}, {}, {"steps": 8}, {"steps": 15}
)  # fmt: skip
PRESETS_4 = presets(
    {"samples": 8, "eta": 0.0}, {"eta": 0.0}, {}, {"sampler": "multistep"}, {"sampler": "multistep-sde"}
)  # fmt: skip
PRESETS_1 = presets({"samples": 8}, {"samples": 3}, {}, {}, {})

_LATENT = {"autoencoder": "resshift/vq-f4"}
_FACE = "Only for {}: it was trained on nothing else, and other photos come out wrong."
_HOLES = "What is transparent in the photo is filled; the rest stays as it is."


def _variant(
    key: str,
    label: str,
    task: str,
    config: Mapping[str, Any] = FIFTEEN,
    *,
    weights: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] = FAST_15,
    positions: tuple[Preset, ...] = PRESETS_15,
    **rest: Any,
) -> Variant:
    kappa = config["kappa"]
    why = f"The network was trained with this much noise (kappa = {kappa:g}) and knows no other."
    fixed = {"noise": (kappa, why)} | rest.pop("fixed", {})
    paper = {"sampler": "ddim", "steps": config["steps"], "spacing": "paper", "eta": 1.0, "variance": 0.0}
    holes = rest.get("channels") == 4
    return Variant(
        key, label, task, {"network": f"resshift/{key}", **_LATENT, **(weights or {})},
        config=config, defaults=defaults, presets=positions, paper=paper, fixed=fixed,
        options=() if holes else (COLOUR,), **rest,
    )  # fmt: skip


def _four(key: str, label: str, task: str, **rest: Any) -> Variant:
    return _variant(key, label, task, FOUR, defaults=FAST_4, positions=PRESETS_4, **rest)


def _sinsr(key: str, label: str, note: str) -> Variant:
    once = (1, "It was taught to make all 15 steps in one and cannot make them one by one.")
    return _variant(
        f"sinsr-{key}", label, "sr4", ONE_STEP, weights={"network": f"sinsr/realsr-x4-{key}"}, scale=4,
        defaults={**FAST_15, "steps": 1}, positions=PRESETS_1, fixed={"steps": once}, note=note,
    )  # fmt: skip


VARIANTS: tuple[Variant, ...] = (
    _four("realsr-x4-v3", "Photos, four times larger (v3, 4 steps)", "sr4", scale=4),
    _variant("realsr-x4-v2", "Photos, four times larger (v2, 15 steps)", "sr4", scale=4),
    _variant("realsr-x4-v1", "Photos, four times larger (v1, 15 steps)", "sr4", scale=4),
    _variant("realsr-x4-v0", "Photos, four times larger (first release, 15 steps)", "sr4", scale=4),
    _sinsr("v1", "Photos, four times larger (SinSR, one step)", "ResShift's 15 steps in one."),
    _sinsr("v2", "Photos, four times larger (SinSR v2, one step)", "Sharper than the first, a little less faithful."),
    _four("bicsr-x4", "Shrunk by MATLAB, four times larger (4 steps)", "sr4", scale=4,
          note="Only for pictures that were shrunk bicubically and are otherwise clean."),
    _variant("bicsr-x4-matlab", "Shrunk by MATLAB, four times larger (15 steps)", "sr4", scale=4,
             note="Only for pictures that were shrunk bicubically by MATLAB and are otherwise clean."),
    _variant("bicsr-x4-opencv", "Shrunk by OpenCV, four times larger (15 steps)", "sr4", {**FIFTEEN, "kappa": 1.0},
             scale=4, note="Only for pictures that were shrunk bicubically by OpenCV and are otherwise clean."),
    _variant("sr-x4-k2", "Four times larger (early, 15 steps)", "sr4", scale=4),
    _four("inpaint-imagenet", "Holes in photos", "inpaint", channels=4,
          note=f"{_HOLES} It was trained on photos of 256 × 256 pixels."),
    _four("inpaint-face", "Holes in faces", "inpaint", channels=4, weights={"autoencoder": "resshift/vq-f4-face"},
          note=f"{_HOLES} {_FACE.format('faces cut out to 256 × 256 pixels')}"),
    _four("faceir", "Faces", "face", weights={"autoencoder": "resshift/vq-f8-face"},
          note=_FACE.format("faces cut out upright to 512 × 512 pixels, eyes and mouth in the usual places")),
)  # fmt: skip
