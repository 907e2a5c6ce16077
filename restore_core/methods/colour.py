"""Keeping the input's colours: what a network changed on the large scale is put back, and its detail is kept.

    wavelet      low(reference) + (image - low(image)), low = five a-trous blurs (1, 2, 1)/4 with gaps 1, 2, 4, 8, 16
    statistics   (image - mean)/std of each channel brought to the reference's (Huang and Belongie 2017: AdaIN)
    chroma       the image's luma with the reference's Cb and Cr (BT.601)

DiffBIR's wavelet and AdaIN (section 4.1 of its code's pipeline) are the first two, against its first stage's picture.
No paper of ResShift's, SR3's or IR-SDE's has such a step, so there it is off unless asked for.

`recolour` does the same to a picture in its own place, band by band, for those that fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.settings import Option
from restore_core.tiling import strips

Fix = Callable[[Tensor, Tensor], Tensor]  # (image, reference) -> image

GAPS = (1, 2, 4, 8, 16)
LUMA = (0.299, 0.587, 0.114)


def low_band(image: Tensor, gaps: Sequence[int] = GAPS) -> Tensor:
    """image (N, C, H, W) without detail finer than about 31 px: repeated edges, any size."""
    taps = torch.tensor([0.25, 0.5, 0.25], dtype=image.dtype, device=image.device)
    kernel = torch.outer(taps, taps).expand(image.shape[1], 1, 3, 3)
    for gap in gaps:
        padded = F.pad(image, (gap, gap, gap, gap), mode="replicate")
        image = F.conv2d(padded, kernel, dilation=gap, groups=image.shape[1])
    return image


def wavelet(image: Tensor, reference: Tensor) -> Tensor:
    """The image's detail on the reference's low band."""
    return image + low_band(reference - image)


def statistics(image: Tensor, reference: Tensor) -> Tensor:
    """The reference's mean and deviation in every channel; variances have 1e-5 added."""
    return _toned(image, reference)(image, reference)


def _toned(image: Tensor, reference: Tensor) -> Fix:
    """The same with the moments of these two for any part of them."""
    free = 1 if image[0, 0].numel() > 1 else 0  # the deviation of one pixel is 0, not 0/0
    (var, mean), (var_there, mean_there) = (
        torch.var_mean(x, dim=(-2, -1), correction=free, keepdim=True) for x in (image, reference)
    )
    gain = ((var_there + 1e-5) / (var + 1e-5)).sqrt()
    return lambda part, _: (part - mean) * gain + mean_there


def chroma(image: Tensor, reference: Tensor) -> Tensor:
    """The reference with the image's luma: R, G and B are moved alike, so that Cb and Cr stay the reference's."""
    weights = torch.tensor(LUMA, dtype=image.dtype, device=image.device)[:, None, None]
    return reference + ((image - reference) * weights).sum(dim=1, keepdim=True)


def off(image: Tensor, reference: Tensor) -> Tensor:
    """The image as it is."""
    return image


FIXES: Mapping[str, Fix] = {"off": off, "wavelet": wavelet, "statistics": statistics, "chroma": chroma}
_REACH = {"wavelet": sum(GAPS)}  # rows up and down that a pixel of the result depends on; of the others, its own
COLOUR = Option(
    "colour", "Keep the input's colours", "off", choices=tuple(FIXES),
    help="wavelet: large areas. statistics: overall tone. chroma: every colour, new brightness only.",
)  # fmt: skip


def keep_colours(image: Tensor, reference: Tensor, how: str) -> Tensor:
    """image with the reference's colours; both (1, 3, H, W), RGB in [0, 1], of one size."""
    return FIXES[how](image, reference).clamp(0, 1)


def recolour(image: Tensor, reference: Tensor, how: str) -> Tensor:
    """FIXES[how](image, reference), written over `image`: nothing else of its size is made."""
    fix = _toned(image, reference) if how == "statistics" else FIXES[how]
    reach, above = _REACH.get(how, 0), image[..., :0, :]
    for band, seen, inner in strips(*image.shape[-2:], reach):
        before = torch.cat([above, image[..., band.start : seen.stop, :]], dim=-2)  # `above` as it was
        above = before[..., max(0, inner.stop - reach) : inner.stop, :]
        image[..., band, :] = fix(before, reference[..., seen, :])[..., inner, :]
    return image
