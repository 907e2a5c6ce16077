"""One architecture, one file. ARCHITECTURES lists them for the loader that tells a file by its keys."""

from restore_core.networks import compact_unet, conditional_unet, latent_unet, nafnet, sr3_unet
from restore_core.networks.base import Architecture

ARCHITECTURES: tuple[Architecture, ...] = (
    compact_unet.ARCHITECTURE,
    sr3_unet.ARCHITECTURE,
    conditional_unet.ARCHITECTURE,
    nafnet.ARCHITECTURE,
    latent_unet.ARCHITECTURE,
)

__all__ = ["ARCHITECTURES", "Architecture"]
