"""The linear map by which latents are looked at on the way: python -m benchmarks.fit_preview AUTOENCODER FOLDER

Fits RGB = M z + c of an autoencoder (its key in the catalogue) on every second photo of the folder, and measures on the
others, in dB against the full decoder's picture averaged to a latent pixel's size:

    fitted    the map of the photos
    own       a map fitted to the bicubically shrunk and enlarged photo alone, as is done for autoencoders without one

--write keeps the map in restore_core/methods/previews.json, where the methods find it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core.checkpoints import catalogue
from restore_core.errors import RestoreError, SettingsError
from restore_core.evaluation import SUFFIXES
from restore_core.images import load, resize
from restore_core.library import Library
from restore_core.methods.compact import to_image, to_signed
from restore_core.methods.latent import PREVIEWS, Latents, fit, look, unet_latents, vq_latents
from restore_core.settings import Settings

SIDE = 256  # of the crop from the middle of each photo
SHRINK = 4  # what the degraded picture of "own" has lost
WHOLE = Settings("resshift", "", "ddim", 1, tile=0)


@dataclass(frozen=True)
class Coder:
    """An autoencoder between RGB in [0, 1] and latents."""

    latents: Callable[[], Latents]
    into: Callable[[Tensor], Tensor]
    out_of: Callable[[Tensor], Tensor]

    def encode(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1] -> latent."""
        return self.latents().encode(self.into(image))

    def decoded(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(latent, its decoded picture)."""
        latents = self.latents()
        z = latents.encode(self.into(image))
        return z, self.out_of(latents.decode(z))


def coder(architecture: str, module: nn.Module) -> Coder:
    """The module with its value range."""
    kinds: Mapping[str, Callable[[], Coder]] = {
        "vq-autoencoder": lambda: Coder(lambda: vq_latents(module, WHOLE), to_signed, to_image),
        "refusion-latent-unet": lambda: Coder(
            lambda: unet_latents(module, WHOLE), lambda x: x, lambda x: x.clamp(0, 1)
        ),
        "stable-diffusion-2": lambda: Coder(lambda: _diffused(module.autoencoder), to_signed, to_image),
    }
    if architecture not in kinds:
        raise SettingsError(
            f"'{architecture}' is no autoencoder, so it has no latents to look at. Choose one of {', '.join(kinds)}."
        )
    return kinds[architecture]()


def _diffused(autoencoder: nn.Module) -> Latents:
    """Stable Diffusion's, whose latents are what is diffused."""
    return Latents(
        lambda picture: (autoencoder.encode(picture), None),
        lambda latent, _: autoencoder.decode(latent),
        autoencoder.factor,
        autoencoder.factor,
        WHOLE,
    )


def crops(folder: Path) -> list[Tensor]:
    """The middle of every photo that is large enough, (1, 3, SIDE, SIDE)."""
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    found = []
    for path in files:
        rgb = load(path).rgb
        height, width = rgb.shape[-2:]
        if min(height, width) >= SIDE:
            top, left = (height - SIDE) // 2, (width - SIDE) // 2
            found.append(rgb[..., top : top + SIDE, left : left + SIDE])
    if len(found) < 2:
        raise SettingsError(
            f"{folder} holds {len(found)} photos of at least {SIDE} x {SIDE} px, and a map needs some to be fitted on "
            f"and others to be measured on. Choose a folder with more."
        )
    return found


def fitted(coder: Coder, images: Sequence[Tensor]) -> Tensor:
    """(3, C + 1): one map for all of the images."""
    return fit(torch.cat([coder.encode(image) for image in images]), torch.cat(list(images)))


def own(coder: Coder, image: Tensor) -> Tensor:
    """The map of what is left of the image at a quarter of its size."""
    small = resize(image, (image.shape[-2] // SHRINK, image.shape[-1] // SHRINK))
    degraded = resize(small, image.shape[-2:]).clamp(0, 1)
    return fit(coder.encode(degraded), degraded)


def decibels(coder: Coder, linear: Tensor, image: Tensor) -> float:
    """PSNR of the look at the image's latent, against its decoded picture averaged to the latent's size."""
    z, picture = coder.decoded(image)
    small = F.interpolate(picture, size=z.shape[-2:], mode="area")
    return -10 * (look(z, linear).clamp(0, 1) - small).square().mean().log10().item()


def measured(coder: Coder, images: Sequence[Tensor]) -> tuple[Tensor, Mapping[str, float]]:
    """The map of every second image, and mean decibels on the others: {"fitted", "own"}."""
    linear, others = fitted(coder, images[::2]), images[1::2]
    scores = {
        "fitted": [decibels(coder, linear, image) for image in others],
        "own": [decibels(coder, own(coder, image), image) for image in others],
    }
    return linear, {name: sum(values) / len(values) for name, values in scores.items()}


def keep(key: str, linear: Tensor, path: Path = PREVIEWS) -> None:
    """Write the map beside the others."""
    maps = json.loads(path.read_text()) if path.is_file() else {}
    maps[key] = [[round(value, 5) for value in row] for row in linear.tolist()]
    path.write_text(json.dumps(maps, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit_preview", description=__doc__)
    parser.add_argument("autoencoder", help="key in the catalogue, for example resshift/vq-f4")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="keep the map")
    parser.add_argument("--device")
    asked = parser.parse_args(arguments)
    try:
        library = Library(asked.device)
        found = coder(catalogue.record(asked.autoencoder).architecture, library.network(asked.autoencoder))
        linear, scores = measured(found, [image.to(library.device) for image in crops(asked.folder)])
    except RestoreError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{asked.autoencoder}: fitted {scores['fitted']:.2f} dB, own {scores['own']:.2f} dB")
    for name, row in zip("RGB", linear.tolist(), strict=True):
        print(f"  {name} = {' '.join(f'{value:+.5f}' for value in row)}")
    if asked.write:
        keep(asked.autoencoder, linear)
    return 0


if __name__ == "__main__":
    sys.exit(main())
