"""SR3: the files of Janspiry's implementation, the only published ones (the paper's authors gave none).

Each holds its schedule as arrays beside the network: 2000 steps, beta linear from 1e-6 to 1e-2.
"""

from __future__ import annotations

from restore_core.checkpoints.sources import Bring, Checkpoint

_DRIVE = "https://drive.google.com/drive/folders/"
_LICENCE = "Apache-2.0 (code); none stated for the weights"
_TERMS = (
    "The code's licence allows any use, but the weights were learnt from FFHQ, whose own licence (CC "
    "BY-NC-SA 4.0) is non-commercial: treat them as non-commercial."
)
_CITATION = "Saharia et al. 2021, Image Super-Resolution via Iterative Refinement, arXiv 2104.07636"
_SCHEDULE = {"schedule": "linear", "steps": 2000, "beta_start": 1e-6, "beta_end": 1e-2}
_MIDDLE = "denoise_fn.mid.0.res_block.block1.block.0.weight"
_FIRST = "denoise_fn.downs.0.weight"


def _faces(
    key: str, file: str, folder: str, size: int, note: str, *, channels: int, middle: int, **config: int
) -> Checkpoint:
    return Checkpoint(
        key=f"sr3/{key}",
        architecture="sr3-unet",
        source=Bring(file, _DRIVE + folder, published=file),
        licence=_LICENCE,
        terms=_TERMS,
        size=size,
        shapes={_FIRST: (64, channels, 3, 3), _MIDDLE: (middle,), "betas": (2000,)},
        config={**_SCHEDULE, **config},
        citation=_CITATION,
        note=note,
    )


RECORDS: tuple[Checkpoint, ...] = (
    _faces(
        "faces-16-128",
        "I640000_E37_gen.pth",
        "12jh0K8XoM1FqpeByXvugHHAF3oAZ8KRu",
        391_325_964,
        "Faces only: from 16 × 16 to 128 × 128 pixels. 640,000 updates, without averaging.",
        channels=6,
        middle=512,
        norm_groups=32,
        scale=8,
    ),
    _faces(
        "faces-64-512",
        "I830000_E32_gen.pth",
        "1mCiWhFqHyjt5zE4IdA41fjFwCYdqDzSF",
        621_433_356,
        "Faces only: from 64 × 64 to 512 × 512 pixels. 830,000 updates, without averaging.",
        channels=6,
        middle=1024,
        norm_groups=16,
        scale=8,
    ),
    _faces(
        "faces-128",
        "I1560000_E91_gen.pth",
        "1ldukMgLKAxE7qiKdFJlu-qubGlnW-982",
        391_319_052,
        "Draws faces of 128 × 128 pixels out of noise alone: it sees no photo, so it restores none.",
        channels=3,
        middle=512,
        norm_groups=32,
    ),
)
