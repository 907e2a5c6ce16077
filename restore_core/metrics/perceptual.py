"""LPIPS: distance between two pictures in the features of AlexNet, weighted to agree with human judgements.

Zhang et al. 2018, eq. 1. Differentiable, so that it serves as a training loss as well:

    d(x, y) = sum_l mean_hw  w_l . (f_l(x)/|f_l(x)| - f_l(y)/|f_l(y)|)^2
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from restore_core.errors import CheckpointError
from restore_core.metrics.base import Metric, check_rgb, check_size, matched
from restore_core.metrics.weights import FOLDER, open_parameters

SMALLEST = 64
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
WIDTHS = (64, 192, 384, 256, 256)
FILE = FOLDER / "lpips_alex.safetensors"


class AlexLpips(nn.Module):
    """The five convolutions of AlexNet and one linear head for each; parameter names follow the published files."""

    def __init__(self) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = WIDTHS
        self.features = nn.Sequential(
            *(nn.Conv2d(3, c1, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(c1, c2, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(c3, c4, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(c4, c5, 3, padding=1), nn.ReLU()),
        )
        self.lin0, self.lin1, self.lin2, self.lin3, self.lin4 = (Head(width) for width in WIDTHS)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of RGB pictures in [0, 1], (N, 3, H, W) -> (N,)."""
        heads = (self.lin0, self.lin1, self.lin2, self.lin3, self.lin4)
        pairs = zip(self.directions(x), self.directions(y), heads, strict=True)
        distances = [head((fx - fy).square()).mean(dim=(1, 2, 3)) for fx, fy, head in pairs]
        return torch.stack(distances).sum(dim=0)

    def directions(self, image: Tensor) -> list[Tensor]:
        """The features after each of the five ReLUs, scaled to unit length at every pixel."""
        x = (2 * image - 1 - self.shift) / self.scale
        ends = [0, *(i + 1 for i, layer in enumerate(self.features) if isinstance(layer, nn.ReLU))]
        found = []
        for start, end in pairwise(ends):
            x = self.features[start:end](x)
            found.append(_unit(x))
        return found


class Head(nn.Module):
    """Non-negative weights of the channels; the place before them is where training had its dropout."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(width, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def lpips(result: Tensor, reference: Tensor, *, crop_border: int = 0, weights: Path = FILE) -> Tensor:
    """LPIPS 0.1 (AlexNet), (N,): 0 for identical pictures, about 0.1 close, 0.7 unlike. At least 64 px a side."""
    result, reference = matched(result, reference, crop_border)
    check_size(result, SMALLEST, "LPIPS")
    return _network(Path(weights), result.device)(result.float(), reference.float())


@torch.no_grad()
def features(image: Tensor, *, weights: Path = FILE) -> Tensor:
    """What AlexNet sees in each picture, (N, 1152): the five layers' unit features, averaged over the picture."""
    check_rgb(image)
    check_size(image, SMALLEST, "AlexNet's features")
    found = _network(Path(weights), image.device).directions(image.float())
    return torch.cat([layer.mean(dim=(2, 3)) for layer in found], dim=1)


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # first used while measuring, it must still serve as a loss later
def _network(path: Path, device: torch.device) -> AlexLpips:
    network = AlexLpips()
    state = open_parameters(path, frozenset(network.state_dict()))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"The tensors in {path} do not have AlexNet's shapes, so LPIPS cannot use them. "
            f"Restore {path.name} from the repository."
        ) from error
    return network.requires_grad_(False).eval().to(device)


def _unit(x: Tensor) -> Tensor:
    """x / (|x| + 1e-10) over the channels; the norm's gradient at an all-zero pixel is 0, not NaN as with sqrt."""
    return x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-10)


LPIPS = Metric("lpips", "LPIPS (AlexNet)", "lower", "", True, lpips, "Zhang et al. 2018, eq. 1; version 0.1")
