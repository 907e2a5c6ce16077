"""Stable Diffusion 2.1 and DiffBIR's IRControlNet, run by diffusers and transformers, under the published names.

    c   = scale encode(2 RGB - 1)                  scale = 0.18215; the mean, never a sample
    raw = unet(x_t, t, context, control(x_t, t, context, c))
    RGB = decode(x_0/scale)/2 + 1/2

x_t, c and raw are latents (N, 4, H/8, W/8); t is the index 0..999 that the network was told in training, (N,) or one
for all; context is (N, 77, width), made of a prompt by the text encoder.

Both libraries are imported when a network is first built: everything else runs without them. Sizes are read off the
files, so that small networks of the same kind are built likewise.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from restore_core.networks import latent_diffusion_names as names
from restore_core.networks.base import Architecture, StateDict, count
from restore_core.networks.clip_tokens import LENGTH, Tokens, tokenize
from restore_core.networks.published import Published, borrow

SCALE = 0.18215  # gives latents about unit deviation; Rombach et al. 2022, appendix G
UNET, AUTOENCODER, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.model."
_UNUSED = ("logit_scale", "text_projection", "attn_mask")  # of the text tower: they compare it with pictures


class UNet(Published):
    """Stable Diffusion's U-Net, (x, t, context, controls) -> raw output."""

    def forward(
        self, x: Tensor, t: Tensor | float, context: Tensor, controls: Sequence[Tensor] | None = None
    ) -> Tensor:
        """x (N, 4, h, w). controls: what ControlNet returns, one for each skip and the middle's last."""
        skips, middle = (None, None) if controls is None else (tuple(controls[:-1]), controls[-1])
        found = self.network(
            x,
            _times(t, x),
            context,
            down_block_additional_residuals=skips,
            mid_block_additional_residual=middle,
            return_dict=False,
        )
        return found[0]


class ControlNet(Published):
    """IRControlNet: the U-Net's way down again, which also sees the condition c; no hint network.

    A stock ControlNet whose condition embedding is the half of the published first convolution that sees c.
    """

    def forward(
        self, x: Tensor, t: Tensor | float, context: Tensor, condition: Tensor, strength: float = 1.0
    ) -> tuple[Tensor, ...]:
        """`strength` times what to add to the U-Net's skips and, last, to its middle. x, condition (N, 4, h, w)."""
        skips, middle = self.network(
            x,
            _times(t, x),
            context,
            controlnet_cond=condition,
            conditioning_scale=strength,
            return_dict=False,
        )
        return (*skips, middle)


class Autoencoder(Published):
    """RGB in [-1, 1] (N, 3, H, W) <-> scaled latents (N, 4, H/8, W/8); H and W divide by `factor`."""

    @property
    def factor(self) -> int:
        """Picture pixels a latent pixel, along a side."""
        return 2 ** (len(self.network.config.block_out_channels) - 1)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, log variance) of q(z | x), not scaled."""
        posterior = self.network.encode(x, return_dict=False)[0]
        return posterior.mean, posterior.logvar

    def encode(self, x: Tensor) -> Tensor:
        """0.18215 times the mean, which is what is diffused."""
        return SCALE * self.moments(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """RGB, about [-1, 1], of a scaled latent."""
        return self.network.decode(z / SCALE, return_dict=False)[0]


class TextEncoder(Published):
    """OpenCLIP's text tower up to its last but one layer, then the final norm."""

    def forward(self, ids: Tensor) -> Tensor:
        """ids (N, 77), int64 -> context (N, 77, width)."""
        return self.network(input_ids=ids).last_hidden_state

    def contexts(self, prompts: Sequence[str]) -> tuple[Tensor, Tokens]:
        """(context of each prompt, its tokens, which also tell what of it was too long to be seen)."""
        tokens = tokenize(prompts)
        return self(tokens.ids.to(next(self.parameters()).device)), tokens


class StableDiffusion(nn.Module):
    """The three networks of one file, under the file's names."""

    def __init__(self, unet: UNet, autoencoder: Autoencoder, text: TextEncoder):
        super().__init__()
        self.model = nn.ModuleDict({"diffusion_model": unet})
        self.first_stage_model = autoencoder
        self.cond_stage_model = nn.ModuleDict({"model": text})

    @property
    def unet(self) -> UNet:
        """The denoising network."""
        return self.model["diffusion_model"]

    @property
    def autoencoder(self) -> Autoencoder:
        """The way into the latent space and back."""
        return self.first_stage_model

    @property
    def text(self) -> TextEncoder:
        """The reader of prompts."""
        return self.cond_stage_model["model"]


def _times(t: Tensor | float, x: Tensor) -> Tensor:
    return torch.as_tensor(t, device=x.device).reshape(-1).expand(x.shape[0])


def _below(state: StateDict, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


# --- building from shapes ---------------------------------------------------------------------------------------


def _levels(state: StateDict) -> list[list[str]]:
    """Per level, finest first, the prefixes of its blocks on the way down."""
    levels: list[list[str]] = [[]]
    for i in itertools.count(1):
        prefix = f"input_blocks.{i}."
        if f"{prefix}0.op.weight" in state:
            levels.append([])
        elif f"{prefix}0.in_layers.2.weight" in state:
            levels[-1].append(prefix)
        else:
            break
    return levels


def _unet_sizes(state: StateDict, config: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """(what diffusers' U-Net and ControlNet are both told, residual blocks a level)."""
    levels = _levels(state)
    widths = [state[f"{blocks[0]}0.out_layers.3.weight"].shape[0] for blocks in levels]
    attends = [f"{blocks[0]}1.proj_in.weight" in state for blocks in levels]
    middle = "middle_block.1."
    heads = [max(1, width // config.get("head_width", 64)) for width in widths]
    sizes = {
        "in_channels": 4,
        "down_block_types": tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends),
        "block_out_channels": tuple(widths),
        "layers_per_block": len(levels[0]),
        "cross_attention_dim": state[f"{middle}transformer_blocks.0.attn2.to_k.weight"].shape[1],
        "attention_head_dim": heads,  # diffusers' name for how many there are
        "use_linear_projection": state[f"{middle}proj_in.weight"].ndim == 2,
    }
    return sizes, len(levels[0])


def build_unet(state: StateDict, config: Mapping[str, Any]) -> UNet:
    """From names without "model.diffusion_model."; weights not filled in.

    config: head_width, channels of an attention head (64), which no shape tells.
    """
    sizes, depth = _unet_sizes(state, config)
    up = tuple(kind.replace("Down", "Up") for kind in reversed(sizes["down_block_types"]))
    network = borrow("diffusers", "UNet2DConditionModel")(
        sample_size=64, out_channels=state["out.2.weight"].shape[0], up_block_types=up, **sizes
    )
    return UNet(network, names.unet(list(network.state_dict()), depth))


def build_control(state: StateDict, config: Mapping[str, Any]) -> ControlNet:
    """From bare names; weights not filled in. config as of the U-Net."""
    sizes, depth = _unet_sizes(state, config)
    network = borrow("diffusers", "ControlNetModel")(**sizes)
    width, channels = state["input_blocks.0.0.weight"].shape[:2]
    condition = channels - sizes["in_channels"]
    network.controlnet_cond_embedding = nn.Conv2d(condition, width, 3, padding=1, bias=False)
    return ControlNet(network, names.control(list(network.state_dict()), depth))


def build_autoencoder(state: StateDict, config: Mapping[str, Any]) -> Autoencoder:
    """From names without "first_stage_model."; weights not filled in."""
    levels = count(state, "encoder.down.", ".block.0.conv1.weight")
    widths = [state[f"encoder.down.{i}.block.0.conv1.weight"].shape[0] for i in range(levels)]
    network = borrow("diffusers", "AutoencoderKL")(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(widths),
        layers_per_block=count(state, "encoder.down.0.block.", ".conv1.weight"),
        latent_channels=state["decoder.conv_in.weight"].shape[1],
        scaling_factor=SCALE,
    )
    return Autoencoder(network, names.autoencoder(list(network.state_dict()), levels))


def build_text(state: StateDict, config: Mapping[str, Any]) -> TextEncoder:
    """From names without "cond_stage_model.model."; weights not filled in.

    config: text_layers, how many of the layers run (23 of 24), and text_head_width (64), which no shape tells.
    """
    vocabulary, width = state["token_embedding.weight"].shape
    sizes = borrow("transformers", "CLIPTextConfig")(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=state["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        num_hidden_layers=_text_layers(state, config),
        num_attention_heads=width // config.get("text_head_width", 64),
        max_position_embeddings=LENGTH,
        hidden_act="gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=0,
    )
    network = borrow("transformers", "CLIPTextModel")(sizes)
    return TextEncoder(network, names.text(list(network.state_dict())))


def _text_layers(state: StateDict, config: Mapping[str, Any]) -> int:
    """Files converted from 23 layers have no 24th, and it is never run."""
    return min(config.get("text_layers", 23), count(state, "transformer.resblocks.", ".ln_1.weight"))


def select(state: StateDict) -> dict[str, Tensor]:
    """The entries that the three networks have. What else is in published files plays no part in a picture: layers
    of the text tower behind the last but one, schedules, averages, the autoencoder's judge, DiffBIR v1's cleaner,
    control and second encoder."""
    return {n: t for n, t in state.items() if n.startswith((UNET, AUTOENCODER, TEXT)) and _is_run(n)}


def _is_run(name: str) -> bool:
    idle = (f"{AUTOENCODER}loss.", f"{TEXT}transformer.resblocks.23.")
    return not name.startswith(idle) and name.removeprefix(TEXT) not in _UNUSED


def build(state: StateDict, config: Mapping[str, Any]) -> StableDiffusion:
    """The module of a published file, weights not filled in; config as of the three networks."""
    return StableDiffusion(
        build_unet(_below(state, UNET), config),
        build_autoencoder(_below(state, AUTOENCODER), config),
        build_text(_below(state, TEXT), config),
    )


ARCHITECTURE = Architecture(
    key="stable-diffusion-2",
    signature=(
        f"{UNET}input_blocks.0.0.weight",
        f"{AUTOENCODER}encoder.conv_in.weight",
        f"{TEXT}ln_final.weight",
    ),
    build=build,
    select=select,
)
CONTROL = Architecture(
    key="ir-controlnet",
    signature=("time_embed.0.weight", "zero_convs.0.0.weight", "middle_block_out.0.weight"),
    build=build_control,
)
