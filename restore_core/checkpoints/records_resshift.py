"""ResShift and SinSR: the assets of their releases. Their schedules are in no file: they stand here.

The files of v1, v2, v3 and SinSR have the same parameters with the same shapes, so only a name or a hash tells them
apart. Two hashes are known from others' records of the release's files; the authors published none.
"""

from __future__ import annotations

from typing import Any

from restore_core.checkpoints.sources import Checkpoint, Url

_RESSHIFT = "https://github.com/zsyOAOA/ResShift/releases/download/"
_SINSR = "https://github.com/wyf0912/SinSR/releases/download/v1.0/"
_S_LAB = (
    "S-Lab License 1.0",
    "Non-commercial use only: copies and changes must keep the licence, and whoever wants to use the "
    "weights or what comes of them commercially must ask the authors.",
)
_CC = (
    "CC BY-NC-SA 4.0",
    "Non-commercial use only: name the authors, say what was changed, and pass changed weights on under "
    "the same licence.",
)
_NEURIPS = (
    "Yue et al. 2023, ResShift: Efficient Diffusion Model for Image Super-resolution by Residual Shifting, "
    "arXiv 2307.12348"
)
_JOURNAL = (
    "Yue et al. 2024, Efficient Diffusion Model for Image Restoration by Residual Shifting, arXiv 2403.07319"
)
_DISTILLED = "Wang et al. 2024, SinSR: Diffusion-Based Image Super-Resolution in a Single Step, arXiv 2311.14760"

_FIFTEEN = {"steps": 15, "kappa": 2.0, "power": 0.3, "etas_end": 0.99, "min_noise": 0.04, "image_size": 64}
_FOUR = {**_FIFTEEN, "steps": 4, "min_noise": 0.2}
_FIRST = "input_blocks.0.0.weight"
_PLAIN, _MASKED, _LATENT8 = (160, 6, 3, 3), (160, 67, 3, 3), (160, 136, 3, 3)
_UNET, _UNET_MASKED, _UNET_LATENT8 = 477_716_668, 478_199_932, 479_068_752  # bytes of the tensors


def _unet(
    key: str,
    url: str,
    licence: tuple[str, str],
    citation: str,
    *,
    config: dict[str, Any],
    first: tuple[int, ...] = _PLAIN,
    size: int = _UNET,
    sha256: str = "",
    note: str = "",
    aliases: tuple[str, ...] = (),
) -> Checkpoint:
    name, terms = licence
    return Checkpoint(
        key, "swin-unet", Url(url, aliases), name, terms, sha256, size, shapes={_FIRST: first}, config=config,
        citation=citation, note=note,
    )  # fmt: skip


def _autoencoder(
    key: str, file: str, size: int, codebook: tuple[int, int], width: int, note: str, sha256: str = ""
) -> Checkpoint:
    return Checkpoint(
        key=f"resshift/{key}",
        architecture="vq-autoencoder",
        source=Url(f"{_RESSHIFT}v2.0/{file}"),
        licence=_S_LAB[0],
        terms=_S_LAB[1],
        sha256=sha256,
        size=size,
        shapes={"quantize.embedding.weight": codebook, "encoder.conv_in.weight": (width, 3, 3, 3)},
        citation=_JOURNAL,
        note=note,
    )


def _release(key: str, file: str, citation: str, **rest: Any) -> Checkpoint:
    return _unet(f"resshift/{key}", f"{_RESSHIFT}v2.0/{file}", _S_LAB, citation, **rest)


def _first_release(key: str, file: str, config: dict[str, Any], note: str) -> Checkpoint:
    return _unet(f"resshift/{key}", f"{_RESSHIFT}v1.0/{file}", _S_LAB, _NEURIPS, config=config, note=note)


def _one_step(key: str, file: str, note: str) -> Checkpoint:
    # SinSR kept the older schedule, whose start is also capped by sqrt(0.001); at 15 steps the cap changes nothing.
    config = {**_FIFTEEN, "scale": 4, "s0_cap": 0.001**0.5, "one_step": True}
    return _unet(f"sinsr/{key}", _SINSR + file, _CC, _DISTILLED, config=config, note=note)


RECORDS: tuple[Checkpoint, ...] = (
    _release(
        "realsr-x4-v3", "resshift_realsrx4_s4_v3.pth", _JOURNAL, config={**_FOUR, "scale": 4},
        sha256="878da888bbbe10b8b0d4ff179c2de3059fd8a4cf2c705942a77a7f3b23ea1efd", size=477_917_058,
        note="Photos, four times larger, in 4 steps: the version to start with.",
    ),
    _release("realsr-x4-v2", "resshift_realsrx4_s15_v2.pth", _NEURIPS, config={**_FIFTEEN, "scale": 4},
             note="Photos, four times larger, in 15 steps; 500,000 updates."),
    _release("realsr-x4-v1", "resshift_realsrx4_s15_v1.pth", _NEURIPS, config={**_FIFTEEN, "scale": 4},
             note="Photos, four times larger, in 15 steps; 300,000 updates. The version of the first paper."),
    _release("bicsr-x4", "resshift_bicsrx4_s4.pth", _JOURNAL, config={**_FOUR, "scale": 4},
             note="Undoes MATLAB's bicubic shrinking by four and nothing else."),
    _release("inpaint-imagenet", "resshift_inpainting_imagenet_s4.pth", _JOURNAL, config=dict(_FOUR),
             first=_MASKED, size=_UNET_MASKED, aliases=("resshift_inpaint_imagenet_s4.pth",),
             note="Fills holes in photos of 256 × 256 pixels."),
    _release("inpaint-face", "resshift_inpainting_face_s4.pth", _JOURNAL, config=dict(_FOUR),
             first=_MASKED, size=_UNET_MASKED, aliases=("resshift_inpaint_face_s4.pth",),
             note="Fills holes in faces of 256 × 256 pixels."),
    _release("faceir", "resshift_faceir_s4.pth", _JOURNAL, config=dict(_FOUR), first=_LATENT8, size=_UNET_LATENT8,
             note="Aligned faces of 512 × 512 pixels."),
    _first_release("realsr-x4-v0", "resshift_realsrx4_s15.pth", {**_FIFTEEN, "scale": 4},
                   "The first release's photo network; v1 to v3 took its place."),
    _first_release("bicsr-x4-matlab", "resshift_bicsrx4_matlab_s15.pth", {**_FIFTEEN, "scale": 4},
                   "The first release's network for MATLAB's bicubic shrinking, 15 steps."),
    _first_release("bicsr-x4-opencv", "resshift_bicsrx4_opencv_s15.pth", {**_FIFTEEN, "scale": 4, "kappa": 1.0},
                   "The first release's network for OpenCV's bicubic shrinking, 15 steps, kappa 1."),
    _first_release("sr-x4-k2", "resshift_sr_s15_k2_p03.pth", {**_FIFTEEN, "scale": 4},
                   "An early network of the first release, kappa 2, power 0.3."),
    _one_step("realsr-x4-v1", "SinSR_v1.pth", "Photos, four times larger, in one step."),
    _one_step("realsr-x4-v2", "SinSR_v2.pth",
              "The same, stopped earlier: liked better by quality measures without a reference, lower PSNR."),
    _autoencoder(
        "vq-f4", "autoencoder_vq_f4.pth", 221_364_711, (8192, 3), 128,
        "The latent space of ResShift's and SinSR's photo networks; the author names latent diffusion as "
        "its origin.",
        "e967eaa2c380152811c53e312990d6967a8a957c4f7590f19490ec72110b2889",
    ),
    _autoencoder("vq-f4-face", "celeba256_vq_f4_dim3_face.pth", 221_291_128, (8192, 3), 128,
                 "The latent space of face inpainting."),
    _autoencoder("vq-f8-face", "ffhq512_vq_f8_dim8_face.pth", 308_036_460, (4096, 8), 64,
                 "The latent space of face restoration."),
)  # fmt: skip
