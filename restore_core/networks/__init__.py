"""One architecture, one file. ARCHITECTURES lists them for the loader that tells a file by its keys."""

from restore_core.networks import (
    compact_unet,
    conditional_unet,
    latent_unet,
    nafnet,
    rrdbnet,
    scunet,
    sr3_unet,
    stable_diffusion,
    swin_unet,
    swinir,
    vq_autoencoder,
)
from restore_core.networks.base import Architecture

ARCHITECTURES: tuple[Architecture, ...] = (
    compact_unet.ARCHITECTURE,
    sr3_unet.ARCHITECTURE,
    conditional_unet.ARCHITECTURE,
    nafnet.ARCHITECTURE,
    latent_unet.ARCHITECTURE,
    swin_unet.ARCHITECTURE,
    vq_autoencoder.ARCHITECTURE,
    swinir.ARCHITECTURE,
    rrdbnet.ARCHITECTURE,
    scunet.ARCHITECTURE,
    stable_diffusion.ARCHITECTURE,
    stable_diffusion.CONTROL,
)

__all__ = ["ARCHITECTURES", "Architecture"]
