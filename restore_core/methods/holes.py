"""Which parts of a picture are known, and which a network is to fill: told by the picture's alpha."""

from __future__ import annotations

from torch import Tensor

from restore_core.errors import SettingsError


def known_parts(image: Tensor) -> Tensor:
    """RGB and alpha (1, 4, H, W) -> (1, 1, H, W): 1 where the picture is known, 0 where it is transparent."""
    if image.shape[1] != 4:
        raise SettingsError(
            "This network fills holes, and the photo has none: nothing in it is transparent. Make what is to be "
            "filled transparent (erase it to an alpha of 0) and save it as PNG."
        )
    return (image[:, 3:] >= 0.5).to(image)
