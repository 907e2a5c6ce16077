"""One architecture, one file. ARCHITECTURES lists them for the loader that tells a file by its keys."""

from restore_core.networks import compact_unet
from restore_core.networks.base import Architecture

ARCHITECTURES: tuple[Architecture, ...] = (compact_unet.ARCHITECTURE,)

__all__ = ["ARCHITECTURES", "Architecture"]
