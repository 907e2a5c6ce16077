"""Small random networks with the key layout and the telling shapes of published files, for tests that need a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from restore_core.networks.conditional_unet import ConditionalUNet
from restore_core.networks.sr3_unet import SR3, SR3UNet
from restore_core.networks.swin import SwinSizes
from restore_core.networks.swin_unet import SwinUNet
from restore_core.networks.vq_autoencoder import Decoder, Encoder, VQAutoencoder


def irsde() -> nn.Module:
    """As irsde/deblur-gopro and three more, which no shape tells apart."""
    return ConditionalUNet(3, 3, (64, 64))


def resshift() -> nn.Module:
    """As resshift/realsr-x4-v1, v2, v3 and more."""
    sizes = SwinSizes(width=32, heads=1, window=4, hidden=64, depth=2, side=8)
    return SwinUNet(6, 3, 160, (160, 160), (1, 1), (sizes, None), sizes)


def vq() -> nn.Module:
    """As resshift/vq-f4 and its face version."""
    levels = [32, 32, 32], [1, 1, 1], [False, False, False]
    return VQAutoencoder(Encoder(3, 3, 128, *levels), Decoder(3, 3, *levels), 8192, 3)


def sr3_other() -> nn.Module:
    """An SR3 network of another width than any published one."""
    return SR3(SR3UNet(6, 3, 8, (8, 16), blocks=1, groups=4), {"betas": 20})


KINDS: Mapping[str, Callable[[], nn.Module]] = {"irsde": irsde, "resshift": resshift, "vq": vq, "sr3": sr3_other}


def write(kind: str, path: Path) -> Path:
    """One of KINDS with fixed random weights, as safetensors or as PyTorch's own format; the path."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        state = KINDS[kind]().state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    else:
        torch.save(state, path)
    return path
