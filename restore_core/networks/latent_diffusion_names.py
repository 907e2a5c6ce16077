"""The published names of Stable Diffusion's networks, derived from those of diffusers and transformers.

Each function takes the names of a network's parameters and gives published name -> Entry. Levels of the U-Net are
numbered by block in the files: n blocks and a change of size are n + 1 of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from restore_core.networks.published import Entry, Rule, rename, renamed

_RESNET: tuple[Rule, ...] = (  # inside a residual block of the U-Net
    (r"\.norm1\.(?=\w+$)", ".in_layers.0."),
    (r"\.conv1\.", ".in_layers.2."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"\.norm2\.(?=\w+$)", ".out_layers.0."),
    (r"\.conv2\.", ".out_layers.3."),
    (r"\.conv_shortcut\.", ".skip_connection."),
)
_ENDS: tuple[Rule, ...] = (
    (r"^conv_in\.", "input_blocks.0.0."),
    (r"^time_embedding\.linear_1\.", "time_embed.0."),
    (r"^time_embedding\.linear_2\.", "time_embed.2."),
    (r"^conv_norm_out\.", "out.0."),
    (r"^conv_out\.", "out.2."),
    (r"^mid_block\.resnets\.0\.", "middle_block.0."),
    (r"^mid_block\.attentions\.0\.", "middle_block.1."),
    (r"^mid_block\.resnets\.1\.", "middle_block.2."),
    (r"^controlnet_down_blocks\.(\d+)\.", r"zero_convs.\1.0."),
    (r"^controlnet_mid_block\.", "middle_block_out.0."),
)
_CONDITION = "controlnet_cond_embedding.weight"


def unet(names: Sequence[str], depth: int) -> dict[str, Entry]:
    """Of UNet2DConditionModel with `depth` residual blocks on each level on the way down."""
    per_level = depth + 1

    def down(found: re.Match[str]) -> str:
        level, kind, block = int(found[1]), found[2], int(found[3])
        if kind == "downsamplers":
            return f"input_blocks.{(level + 1) * per_level}.0.op."
        return f"input_blocks.{1 + level * per_level + block}.{int(kind == 'attentions')}."

    def up(found: re.Match[str]) -> str:
        level, kind, block = int(found[1]), found[2], int(found[3])
        if kind == "upsamplers":
            attends = any(name.startswith(f"up_blocks.{level}.attentions.") for name in names)
            return f"output_blocks.{level * per_level + depth}.{1 + attends}.conv."
        return f"output_blocks.{level * per_level + block}.{int(kind == 'attentions')}."

    blocks: tuple[Rule, ...] = (
        (r"^down_blocks\.(\d+)\.(\w+)\.(\d+)\.(?:conv\.(?=\w+$))?", down),
        (r"^up_blocks\.(\d+)\.(\w+)\.(\d+)\.(?:conv\.(?=\w+$))?", up),
    )
    plain = [name for name in names if ".resnets." not in name]
    inside = [name for name in names if ".resnets." in name]
    return renamed(plain, (*_ENDS, *blocks)) | renamed(inside, (*_RESNET, *_ENDS, *blocks))


def control(names: Sequence[str], depth: int) -> dict[str, Entry]:
    """Of ControlNetModel; the file has its first two convolutions, of x and of the condition, as one over [x, c]."""
    entries = unet([name for name in names if name != _CONDITION], depth)
    entries["input_blocks.0.0.weight"] = Entry(("conv_in.weight", _CONDITION), dim=1)
    return entries


_AUTOENCODER: tuple[Rule, ...] = (
    (r"\.down_blocks\.(\d+)\.resnets\.", r".down.\1.block."),
    (r"\.down_blocks\.(\d+)\.downsamplers\.0\.", r".down.\1.downsample."),
    (r"\.mid_block\.resnets\.0\.", ".mid.block_1."),
    (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
    (r"\.mid_block\.attentions\.0\.", ".mid.attn_1."),
    (r"\.group_norm\.", ".norm."),
    (r"\.to_([qkv])\.", r".\1."),
    (r"\.to_out\.0\.", ".proj_out."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
    (r"\.conv_norm_out\.", ".norm_out."),
)


def autoencoder(names: Sequence[str], levels: int) -> dict[str, Entry]:
    """Of AutoencoderKL; files number the decoder's levels finest first and have attention as 1x1 convolutions."""

    def finest_first(found: re.Match[str]) -> str:
        return f".up.{levels - 1 - int(found[1])}."

    rules: tuple[Rule, ...] = (
        (r"\.up_blocks\.(\d+)\.", finest_first),
        (r"(\.up\.\d+)\.resnets\.", r"\1.block."),
        (r"(\.up\.\d+)\.upsamplers\.0\.", r"\1.upsample."),
        *_AUTOENCODER,
    )

    def is_matrix(name: str) -> bool:
        return ".attentions." in name and ".to_" in name and name.endswith("weight")

    return {rename(name, rules): Entry((name,), kernel=is_matrix(name)) for name in names}


_TEXT: tuple[Rule, ...] = (
    (r"^(text_model\.)?embeddings\.token_embedding\.", "token_embedding."),
    (r"^(text_model\.)?embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^(text_model\.)?final_layer_norm\.", "ln_final."),
    (r"^(text_model\.)?encoder\.layers\.", "transformer.resblocks."),
    (r"\.layer_norm([12])\.", r".ln_\1."),
    (r"\.self_attn\.", ".attn."),
    (r"\.q_proj\.", ".in_proj_"),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
)


def text(names: Sequence[str]) -> dict[str, Entry]:
    """Of CLIPTextModel, in OpenCLIP's names: queries, keys and values are one matrix."""
    entries: dict[str, Entry] = {}
    for name in names:
        if ".k_proj." in name or ".v_proj." in name:
            continue
        together = (name, name.replace(".q_proj.", ".k_proj."), name.replace(".q_proj.", ".v_proj."))
        entries[rename(name, _TEXT)] = Entry(together if ".q_proj." in name else (name,))
    return entries
