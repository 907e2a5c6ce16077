"""DiffBIR's networks at random weights, in the published sizes or in tiny ones, on any device ("meta": shapes only)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from restore_core.checkpoints.match import WithoutMemory
from restore_core.networks import latent_diffusion_names as names
from restore_core.networks.published import borrow
from restore_core.networks.rrdbnet import RRDBNet
from restore_core.networks.scunet import SCUNet
from restore_core.networks.stable_diffusion import Autoencoder, ControlNet, StableDiffusion, TextEncoder, UNet
from restore_core.networks.swin import SwinSizes
from restore_core.networks.swinir import SwinIR


@dataclass(frozen=True)
class Sizes:
    """Widths of the levels, channels of an attention head, blocks a level; text: width, layers; cleaners' own."""

    unet: tuple[int, ...]
    head: int
    depth: int
    vae: tuple[int, ...]
    text: tuple[int, int]
    swinir: tuple[int, int, int]  # width, heads, groups (of as many blocks)
    rrdb: tuple[int, int, int]  # width, growth, blocks
    scunet: tuple[int, int]  # width, blocks a stage


FULL = Sizes((320, 640, 1280, 1280), 64, 2, (128, 256, 512, 512), (1024, 23), (180, 6, 8), (64, 32, 23), (64, 4))
TINY = Sizes((32, 32, 32, 32), 16, 1, (32, 32, 32, 32), (16, 1), (12, 2, 1), (8, 4, 1), (16, 1))


@dataclass(frozen=True)
class Networks:
    """Everything that a published variant may need."""

    base: StableDiffusion
    control: ControlNet
    cleaners: dict[str, nn.Module]


PARTS = ("denoiser", "autoencoder", "text", "cleaners")


def build(sizes: Sizes, device: torch.device, seed: int = 0, parts: Sequence[str] = PARTS) -> Networks:
    """Random weights, the same for a seed; in eval mode and without gradients. Parts not asked for hold nothing."""
    meta, nothing = device.type == "meta", nn.Identity
    with torch.random.fork_rng(devices=[]), WithoutMemory() if meta else nullcontext():
        torch.manual_seed(seed)
        unet, control = (_unet(sizes), _control(sizes)) if "denoiser" in parts else (nothing(), nothing())
        autoencoder = _autoencoder(sizes) if "autoencoder" in parts else nothing()
        text = _text(sizes) if "text" in parts else nothing()
        cleaners = _cleaners(sizes) if "cleaners" in parts else {}
        made = Networks(StableDiffusion(unet, autoencoder, text), control, cleaners)
    for module in (made.base, made.control, *made.cleaners.values()):
        module.eval().requires_grad_(False).to(device)
    return made


def _shared(sizes: Sizes) -> dict[str, object]:
    attends = ["CrossAttnDownBlock2D"] * (len(sizes.unet) - 1) + ["DownBlock2D"]
    return {
        "in_channels": 4,
        "down_block_types": tuple(attends),
        "block_out_channels": sizes.unet,
        "layers_per_block": sizes.depth,
        "cross_attention_dim": sizes.text[0],
        "attention_head_dim": [width // sizes.head for width in sizes.unet],  # diffusers' name for how many
        "use_linear_projection": True,
    }


def _unet(sizes: Sizes) -> UNet:
    up = ("UpBlock2D", *["CrossAttnUpBlock2D"] * (len(sizes.unet) - 1))
    network = borrow("diffusers", "UNet2DConditionModel")(
        sample_size=64, out_channels=4, up_block_types=up, **_shared(sizes)
    )
    return UNet(network, names.unet(list(network.state_dict()), sizes.depth))


def _control(sizes: Sizes) -> ControlNet:
    network = borrow("diffusers", "ControlNetModel")(**_shared(sizes))
    network.controlnet_cond_embedding = nn.Conv2d(4, sizes.unet[0], 3, padding=1, bias=False)
    for branch in (*network.controlnet_down_blocks, network.controlnet_mid_block):
        nn.init.normal_(branch.weight, std=0.02)  # zeros before training: nothing would be steered
    return ControlNet(network, names.control(list(network.state_dict()), sizes.depth))


def _autoencoder(sizes: Sizes) -> Autoencoder:
    levels = len(sizes.vae)
    network = borrow("diffusers", "AutoencoderKL")(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=sizes.vae,
        layers_per_block=sizes.depth,
        latent_channels=4,
    )
    return Autoencoder(network, names.autoencoder(list(network.state_dict()), levels))


def _text(sizes: Sizes) -> TextEncoder:
    width, layers = sizes.text
    config = borrow("transformers", "CLIPTextConfig")(
        vocab_size=49408, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64), hidden_act="gelu", bos_token_id=49406, eos_token_id=49407,
        pad_token_id=0,
    )  # fmt: skip
    network = borrow("transformers", "CLIPTextModel")(config)
    return TextEncoder(network, names.text(list(network.state_dict())))


def _cleaners(sizes: Sizes) -> dict[str, nn.Module]:
    width, heads, groups = sizes.swinir
    group = SwinSizes(width=width, heads=heads, window=8, hidden=2 * width, depth=2 if groups == 1 else 6, side=64)
    rrdb, growth, blocks = sizes.rrdb
    return {
        "swinir": SwinIR([group] * groups, 8, 64),
        "bsrnet": RRDBNet(3, 3, rrdb, growth, blocks=blocks, doublings=2),
        "scunet": SCUNet(3, sizes.scunet[0], _stages(*sizes.scunet)),
    }


def _stages(width: int, blocks: int) -> Sequence[Sequence[tuple[int, int, int, int]]]:
    """(width, heads, window, hidden) of each block, down, in the middle, up; half of a block's channels attend."""
    widths = [width * 2**level for level in (0, 1, 2, 3, 2, 1, 0)]
    return [[(w, max(1, w // 64), 8, 2 * w)] * blocks for w in widths]
