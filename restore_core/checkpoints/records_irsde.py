"""IR-SDE, Denoising-SDE and Refusion: files in the authors' folders, which only a person can fetch.

Neither noise nor schedule is in a file: they stand here as in the authors' option files. Dehazing (SOTS) was lost by
its author. DA-CLIP's files belong to a network that is not built here.

max_sigma   lambda in grey levels of 255
steps, schedule, eps   T, theta and a_T of the training; the network is told the raw index 1 .. T
"""

from __future__ import annotations

from typing import Any

from restore_core.checkpoints.sources import Bring, Checkpoint

_IRSDE_PAGE = "https://drive.google.com/drive/folders/14SvJXvp0HPKFHpGaaHy7h2I2fkRnIXAG"
_REFUSION_PAGE = "https://drive.google.com/drive/folders/1Xy7z9CH0weck775ixePnjD6fZIjAbre7"
_LICENCE = "MIT"
_TERMS = (
    "Any use is allowed if the copyright notice is kept. The pictures it was learnt from have terms of "
    "their own, most of them for research only."
)
_ICML = "Luo et al. 2023, Image Restoration with Mean-Reverting Stochastic Differential Equations, arXiv 2301.11699"
_CVPRW = (
    "Luo et al. 2023, Refusion: Enabling Large-Size Realistic Image Restoration with Latent-Space "
    "Diffusion Models, arXiv 2304.08291"
)
_SCHEDULE = {"steps": 100, "schedule": "cosine", "eps": 0.005}
_PICTURE = {"intro.weight": (64, 6, 3, 3), "encoders.0.0.fusion.beta": None}
Shapes = dict[str, tuple[int, ...] | None]
_FIRST = "init_conv.weight"
_WIDE = {_FIRST: (64, 6, 7, 7)}
_NARROW = {_FIRST: (32, 6, 7, 7), "downs.4.0.block1.proj.weight": None}
_CONDITIONAL = {"mid_attn.fn.fn.to_out.weight": None}  # Denoising-SDE's alone has softmax attention


def _irsde(
    key: str, published: str, size: int, note: str, *, telling: Shapes, aliases: tuple[str, ...] = (), **config: Any
) -> Checkpoint:  # fmt: skip
    return Checkpoint(
        key=f"irsde/{key}",
        architecture="irsde-unet",
        source=Bring(f"irsde-{key}.pth", _IRSDE_PAGE, published, aliases),
        licence=_LICENCE,
        terms=_TERMS,
        size=size,
        shapes=telling,
        config={**_SCHEDULE, **config},
        citation=_ICML,
        note=note,
    )


def _nafnet(
    key: str, published: str, size: int, note: str, *, channels: int = 3, aliases: tuple[str, ...] = (),
    telling: Shapes | None = None, **config: Any,
) -> Checkpoint:  # fmt: skip
    return Checkpoint(
        key=f"refusion/{key}",
        architecture="refusion-nafnet",
        source=Bring(f"refusion-{key}.pth", _REFUSION_PAGE, published, aliases),
        licence=_LICENCE,
        terms=_TERMS,
        size=size,
        shapes={"ending.weight": (channels, 64, 3, 3), **(telling or {})},
        config={**_SCHEDULE, "max_sigma": 50.0, **config},
        citation=_CVPRW,
        note=note,
    )


def _latent(key: str, published: str, size: int, note: str, *, latent: tuple[int, ...]) -> Checkpoint:
    return Checkpoint(
        key=f"refusion/{key}",
        architecture="refusion-latent-unet",
        source=Bring(f"refusion-{key}.pth", _REFUSION_PAGE, published, (published,)),
        licence=_LICENCE,
        terms=_TERMS,
        size=size,
        shapes={"latent_conv.weight": latent},
        citation=_CVPRW,
        note=note,
    )


_UNCONFIRMED = "Named in the authors' option files; that it was published is not confirmed."

RECORDS: tuple[Checkpoint, ...] = (
    _irsde("derain-h", "rain100h_sde.pth", 548_590_092, "Heavy rain (Rain100H).", telling=_WIDE, max_sigma=10.0,
           sampler="posterior", aliases=("rain100h_sde.pth", "sde_rain100h.pth")),
    _irsde("derain-l", "", 548_590_092, "Light rain (Rain100L).", telling=_WIDE, max_sigma=10.0, sampler="posterior"),
    _irsde("deblur-gopro", "ir-sde.pth", 548_590_092, "Motion blur (GoPro).", telling=_WIDE, max_sigma=10.0,
           sampler="sde"),
    _irsde("sr-x4", "", 548_590_092, "Four times larger (DIV2K); the input is enlarged by repeating pixels first.",
           telling=_WIDE, max_sigma=30.0, sampler="sde", scale=4, upsampling="nearest"),
    _irsde("inpaint-face", "", 139_196_684, "Fills holes in faces of 256 × 256 pixels (CelebA-HQ).", telling=_NARROW,
           max_sigma=30.0, sampler="sde"),
    _irsde("denoise", "ir-sde-denoising.pth", 548_548_364, "Gaussian noise below 75 grey levels (Denoising-SDE).",
           telling={_FIRST: (64, 3, 7, 7)}, max_sigma=75.0, eps=0.04, sampler="ode", aliases=("ir-sde-denoising.pth",)),
    _irsde("shadow", "ir-sde.pth", 541_387_020, "Shadows. The authors' options for training and test disagree about "
           "width and lambda; the width is read off the file.", telling=_CONDITIONAL, max_sigma=30.0, sampler="sde"),
    _nafnet("shadow", "refusion.pth", 306_433_548, "Shadows (NTIRE 2023).", sampler="sde",
            telling=_PICTURE),
    _nafnet("dehaze", "latent-reffusion-dehazing.pth", 306_468_128, "Haze, in the latent space of refusion/dehaze-"
            "latent, which it needs beside it.", channels=8, intro_skip=True, sampler="sde",
            telling={"intro.weight": (64, 16, 3, 3)}, aliases=("latent-reffusion-dehazing.pth",)),
    _latent("dehaze-latent", "latent-dehazing.pth", 8_031_436, "The compression of refusion/dehaze.",
            latent=(8, 128, 1, 1)),
    _nafnet("bokeh", "latent-reffusion-bokeh.pth", 525_870_864, "Changes one lens for another, in the latent space of "
            "refusion/bokeh-latent, which it needs beside it.", channels=4, sampler="sde",
            telling={"cam_mlp.0.weight": (512, 192)}, aliases=("latent-reffusion-bokeh.pth",)),
    _latent("bokeh-latent", "latent-bokeh.pth", 24_620_556, "The compression of refusion/bokeh.",
            latent=(4, 256, 1, 1)),
    _nafnet("stereo-x4", "reffusion-ssr.pth", 448_134_668, "Pairs of views, four times larger; enlarged bicubically "
            "first.", sampler="sde", scale=4, upsampling="bicubic", aliases=("reffusion-ssr.pth",),
            telling={"encoders.0.0.fusion.beta": (1, 64, 1, 1)}),
    _nafnet("derain", "refusion.pth", 306_433_548, f"Rain. {_UNCONFIRMED}", sampler="sde",
            telling=_PICTURE),
    _nafnet("deblur", "refusion.pth", 306_433_548, f"Motion blur. {_UNCONFIRMED}", sampler="sde",
            telling=_PICTURE),
    _nafnet("sr-x4", "refusion.pth", 306_433_548, f"Four times larger. {_UNCONFIRMED}", sampler="sde", scale=4,
            upsampling="nearest", telling=_PICTURE),
    _nafnet("inpaint", "refusion.pth", 306_433_548, f"Fills holes. {_UNCONFIRMED}", sampler="sde",
            telling=_PICTURE),
)  # fmt: skip
