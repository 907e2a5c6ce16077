"""Stable Diffusion as a folder of diffusers' kind: the same tensors as in the single file, under other names.

    model_index.json
    unet/          config.json, diffusion_pytorch_model.safetensors     (or .fp16, .bin, or in shards with an index)
    vae/           likewise
    text_encoder/  config.json, model.safetensors
    scheduler/     scheduler_config.json: what the U-Net predicts, which no tensor tells
    tokenizer/     not needed: every base of this kind has the vocabulary that comes with the project

It is opened as the state dict of the single file, so that whoever compares, fills or saves it meets one set of names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from restore_core.checkpoints.reading import open_state
from restore_core.checkpoints.sources import Checkpoint
from restore_core.errors import CheckpointError, KeysDiffer
from restore_core.networks import latent_diffusion_names as names
from restore_core.networks.published import Entry
from restore_core.networks.stable_diffusion import AUTOENCODER, TEXT, UNET

_FILES = ("{}.safetensors", "{}.fp16.safetensors", "{}.bin", "{}.fp16.bin")
_NO_WEIGHTS = re.compile(r"(^|\.)(position_ids|num_batches_tracked)$")
_BEFORE_2023 = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # of the autoencoder


@dataclass(frozen=True)
class Part:
    """One network of the folder: its folder, the stem of its file, its names' prefix and map in the single file."""

    folder: str
    stem: str
    prefix: str
    entries: Callable[[list[str], Mapping[str, Any]], dict[str, Entry]]


PARTS = (
    Part("unet", "diffusion_pytorch_model", UNET, lambda own, config: names.unet(own, config["layers_per_block"])),
    Part("vae", "diffusion_pytorch_model", AUTOENCODER,
         lambda own, config: names.autoencoder(own, len(config["block_out_channels"]))),
    Part("text_encoder", "model", TEXT, lambda own, _: names.text(own)),
)  # fmt: skip


def is_one(path: Path) -> bool:
    """Whether the folder looks like a diffusers model, whole or not: what is wrong with it is then told."""
    if not path.is_dir():
        return False
    return (path / "model_index.json").is_file() or (path / "unet").is_dir()


def open_any(path: Path, inside: Sequence[str] = (), *, whole: bool = False) -> dict[str, Tensor]:
    """reading.open_state, of such folders too."""
    return open_folder(path) if is_one(path) else open_state(path, inside, whole=whole)


def open_folder(path: Path) -> dict[str, Tensor]:
    """The tensors of its three networks under the single file's names; CheckpointError says what is missing."""
    refuse_other_kinds(path)
    _need_all(path)
    state: dict[str, Tensor] = {}
    for part in PARTS:
        state |= {part.prefix + name: tensor for name, tensor in _published(path, part).items()}
    return state


def predicts(path: Path) -> str | None:
    """ "eps" or "v", as its scheduler tells; None where there is no scheduler."""
    told = _config(path / "scheduler" / "scheduler_config.json").get("prediction_type")
    return {"epsilon": "eps", "v_prediction": "v"}.get(told, told)


def expect(checkpoint: Checkpoint, path: Path) -> None:
    """CheckpointError where the folder's own words say that it is not the record's base."""
    told, needed = predicts(path), checkpoint.config.get("predicts")
    if told is not None and needed is not None and told != needed:
        raise CheckpointError(
            f"This base predicts {told}, as its scheduler tells, and {checkpoint.key} predicts {needed}: with the "
            f"control networks of that base nothing but noise would come out. {_OTHER.get(told, 'Get another base.')}"
        )
    unet = _config(path / "unet" / "config.json")
    width = checkpoint.config.get("head_width", 64)
    widths, heads = unet.get("block_out_channels", ()), unet.get("attention_head_dim", unet.get("num_attention_heads"))
    wanted = [max(1, w // width) for w in widths]
    if heads is not None and wanted != (list(heads) if isinstance(heads, list) else [heads] * len(widths)):
        raise KeysDiffer(
            f"This base divides its attention into {heads} heads where {checkpoint.key} has {wanted}: it is another "
            f"network with tensors of the same sizes. Choose a copy of the published base."
        )


def size_of(path: Path) -> int:
    """Bytes of its weights files."""
    return sum(file.stat().st_size for part in PARTS for file in _files(path / part.folder, part.stem))


def changed_at(path: Path) -> int:
    """When the last of its weights files changed, in nanoseconds."""
    times = (file.stat().st_mtime_ns for part in PARTS for file in _files(path / part.folder, part.stem))
    return max(times, default=0)


def refuse_other_kinds(path: Path) -> None:
    """CheckpointError for a diffusers model that is no Stable Diffusion 2.1-base, with what it is."""
    what = _other_kind(path)
    if what:
        raise CheckpointError(
            f"{path.name} is {what}, and DiffBIR's control networks were trained on Stable Diffusion 2.1-base: their "
            f"tensors would not fit, or mean something else. Get diffbir/sd21-base (v1, v2) or diffbir/sd21-base-zsnr "
            f"(v2.1)."
        )


_OTHER = {
    "eps": "Use this one as diffbir/sd21-base, for v1 and v2.",
    "v": "Use this one as diffbir/sd21-base-zsnr, for v2.1, if it is the one that DiffBIR's authors fine-tuned.",
}
_BY_CHANNELS = {5: "a model told of depth", 7: "an upscaler", 8: "a model told of a second picture",
                9: "an inpainting model"}  # fmt: skip


def _other_kind(path: Path) -> str:
    """What the configurations tell, "" for nothing against it."""
    if (path / "transformer").is_dir():
        return "a transformer model (Stable Diffusion 3, Flux or the like)"
    unet = _config(path / "unet" / "config.json")
    if (path / "text_encoder_2").is_dir() or unet.get("addition_embed_type") == "text_time":
        return "Stable Diffusion XL"
    if unet.get("cross_attention_dim") == 768:
        return "Stable Diffusion 1.x"
    channels = unet.get("in_channels", 4)
    if channels != 4:
        return _BY_CHANNELS.get(channels, f"a model with {channels} input channels")
    if unet.get("sample_size") == 96:
        return "Stable Diffusion 2.x for 768 pixels, which predicts v without a signal of zero"
    return ""


def _need_all(path: Path) -> None:
    missing = []
    for part in PARTS:
        if not (path / part.folder / "config.json").is_file():
            missing.append(f"{part.folder}/config.json")
        if not _files(path / part.folder, part.stem):
            missing.append(f"{part.folder}/{part.stem}.safetensors")
    if missing:
        raise CheckpointError(
            f"{path.name} is a folder of diffusers' kind without {', '.join(missing)}, so the base cannot be put "
            f"together. Get the missing files from where the folder came from."
        )


def _files(folder: Path, stem: str) -> list[Path]:
    """The weights files of one network: one, or all shards that its index names."""
    for pattern in _FILES:
        for name in (stem, "pytorch_model") if stem == "model" else (stem,):
            path = folder / pattern.format(name)
            if path.is_file():
                return [path]
            index = path.with_name(f"{path.name}.index.json")
            if index.is_file():
                shards = sorted(set(_config(index).get("weight_map", {}).values()))
                return [folder / Path(shard).name for shard in shards]
    return []


def _published(path: Path, part: Part) -> dict[str, Tensor]:
    """One network's tensors under the single file's names; names that are not known stay, and are told later."""
    folder, own = path / part.folder, {}
    for file in _files(folder, part.stem):
        own |= open_state(file)
    own = {_recent(name): tensor for name, tensor in own.items() if not _NO_WEIGHTS.search(name)}
    try:
        entries = part.entries(list(own), _config(folder / "config.json"))
        return {name: entry.publish(own) for name, entry in entries.items()}
    except (KeyError, TypeError, RuntimeError) as error:
        missing = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else "its shapes contradict each other"
        raise KeysDiffer(
            f"{path.name}/{part.folder} has a network of the right kind, but {missing}, so it cannot be put together. "
            f"Get the folder again."
        ) from error


def _recent(name: str) -> str:
    head, _, last = name.rpartition(".")
    stem, _, layer = head.rpartition(".")
    return f"{stem}.{_BEFORE_2023[layer]}.{last}" if layer in _BEFORE_2023 and ".attentions." in name else name


def _config(path: Path) -> dict[str, Any]:
    """A small JSON file, empty where there is none; CheckpointError where it is none."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path.parent.name}/{path.name} is not readable JSON, so nothing tells how its network is built. Get it "
            f"again."
        ) from error
    return found if isinstance(found, dict) else {}
