"""DiffBIR's networks: names, shapes and outputs of the published implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from golden_cases.compare import assert_close, assert_same_keys, fill, given, procedural
from restore_core.checkpoints import match
from restore_core.methods.diffbir_latent import Autoencoding
from restore_core.networks import clip_tokens, rrdbnet, scunet, stable_diffusion, swinir
from restore_core.settings import Settings

Meta = Mapping[str, Any]
Outputs = Mapping[str, np.ndarray]
CLEANERS = {"SwinIR": swinir.ARCHITECTURE, "RRDBNet": rrdbnet.ARCHITECTURE, "SCUNet": scunet.ARCHITECTURE}


@torch.no_grad()
def cleaner(meta: Meta, outputs: Outputs) -> None:
    """Told from its keys, built from its shapes; compared at every `subsample`-th row and column."""
    assert meta["class"] in CLEANERS, f"unknown class {meta['class']!r}; known: {', '.join(CLEANERS)}"
    shapes = {key: torch.empty(shape, device="meta") for key, shape, _ in meta["tensors"]}
    assert match.architecture_of(shapes) is CLEANERS[meta["class"]]
    network = CLEANERS[meta["class"]].build(shapes, {})
    assert_same_keys(network, meta)
    fill(network, meta)
    every = meta.get("subsample", 1)
    for name, spec in meta["inputs"].items():
        out = network(given(spec))
        _close(out[..., ::every, ::every], outputs, meta, f"out_{name}")
        _close(_stats(out), outputs, meta, f"stats_{name}")


def _close(actual: Tensor, outputs: Outputs, meta: Meta, name: str) -> None:
    """These fixtures' tolerance is relative to the largest value of each output."""
    assert_close(actual, outputs[name], None, name, relative=meta["tolerance"])


def _stats(x: Tensor) -> Tensor:
    return torch.stack([x.mean(), x.std(), x.abs().max()])


def part(meta: Meta, prefix: str, build: Callable[..., nn.Module], config: Mapping[str, Any]) -> nn.Module:
    """The network below `prefix` of the fixture's names, strictly filled; nothing is held twice.

    What no picture depends on ("unused") is in the names that it is built from, and not in those that it takes.
    """
    shapes = {n.removeprefix(prefix): (s, k) for n, s, k in meta["tensors"] if n.startswith(prefix)}
    with match.WithoutMemory():
        network = build({n: torch.empty(shape) for n, (shape, _) in shapes.items()}, config)
    taken = {n: shape for n, (shape, kind) in shapes.items() if kind != "unused"}
    match.compare(network.state_dict(), {n: torch.empty(shape, device="meta") for n, shape in taken.items()})
    salt = meta.get("salt", "")
    state = {n: torch.from_numpy(procedural.weight(prefix + n, shape, salt)) for n, shape in taken.items()}
    network.load_state_dict(state, assign=True)
    return network.eval()


def _inputs(meta: Meta) -> dict[str, Tensor]:
    """Here inputs are scaled by "mul" and shifted by "add"."""
    fitting = {"mul": "scale", "add": "shift"}
    specs = meta["inputs"].items()
    return {name: given({fitting.get(key, key): v for key, v in spec.items()}) for name, spec in specs}


@torch.no_grad()
def unet_control(meta: Meta, outputs: Outputs) -> None:
    """U-Net, IRControlNet, or the one steering the other, under the names of the published files."""
    ldm = stable_diffusion.UNET
    prefixes = {"cldm": ("unet.", "controlnet."), "unet_full": (ldm, None), "control_full": (None, "")}
    assert meta["kind"] in prefixes, f"unknown kind {meta['kind']!r}; known: {', '.join(prefixes)}"
    of_unet, of_control = prefixes[meta["kind"]]
    inputs = _inputs(meta)
    seen = (inputs["x"], inputs["timesteps"], inputs["context"])
    sizes = meta["config"].get("unet", meta["config"])
    config = {"head_width": sizes["num_head_channels"]}
    controls: Sequence[Tensor] | None = None
    if of_control is not None:
        control = part(meta, of_control, stable_diffusion.build_control, config)
        controls = control(*seen, inputs["hint"], 1.0)
        for i, found in enumerate(controls):
            channels = outputs[f"control{i}"].shape[1]
            _close(found[:, :channels], outputs, meta, f"control{i}")
            _close(_stats(found), outputs, meta, f"control{i}_stats")
        if "strength" in inputs:
            controls = control(*seen, inputs["hint"], inputs["strength"].item())
    if of_unet is not None:
        unet = part(meta, of_unet, stable_diffusion.build_unet, config)
        _close(unet(*seen, controls), outputs, meta, "out")
        if controls is not None:
            _close(unet(*seen), outputs, meta, "out_no_control")


@torch.no_grad()
def autoencoder(meta: Meta, outputs: Outputs) -> None:
    """Moments of the encoder, and the decoder on another latent; the scale, which these fixtures leave out, cancels."""
    prefix = stable_diffusion.AUTOENCODER if meta["kind"] == "vae_full" else ""
    network = part(meta, prefix, stable_diffusion.build_autoencoder, {})
    inputs, every = _inputs(meta), meta.get("subsample", 1)
    mean, logvar = network.moments(inputs["x"])
    _close(mean, outputs, meta, "mean")
    if "logvar" in outputs:
        _close(logvar, outputs, meta, "logvar")
    assert_close(network.encode(inputs["x"]), stable_diffusion.SCALE * mean.numpy(), 1e-6, "encode")
    decoded = network.decode(stable_diffusion.SCALE * inputs["z"])
    _close(decoded[..., ::every, ::every], outputs, meta, "decoded")
    if "decoded_stats" in outputs:
        _close(_stats(decoded), outputs, meta, "decoded_stats")
    if "tile" in meta:
        _in_windows(network, meta, outputs, inputs, mean, decoded)


MARGINS = {"encoder": 32, "decoder": 11}  # around the published tiles, in pixels and in latent pixels


def _in_windows(
    network: stable_diffusion.Autoencoder, meta: Meta, outputs: Outputs, inputs: Mapping[str, Tensor],
    mean: Tensor, decoded: Tensor,
) -> None:  # fmt: skip
    """The published tiles' norms leave out what their means differ by, so their numbers are no aim: ours, of the same
    size, have to come nearer to the whole picture's."""
    coding = Autoencoding(network, Settings("diffbir", "", "", 1, precision="float32"), mean.device)
    side = {which: meta["tile"][which] + 2 * margin for which, margin in MARGINS.items()}
    coding.encoder.tile, coding.encoder.overlap = side["encoder"] // network.factor, 2 * MARGINS["encoder"] // 8
    coding.decoder.tile, coding.decoder.overlap = side["decoder"], 2 * MARGINS["decoder"]
    found = coding.encode(inputs["x"] / 2 + 0.5) / stable_diffusion.SCALE
    assert (found - mean).abs().mean() < _distance(outputs["tiled_mean"], mean)
    every = meta.get("subsample", 1)
    signed = coding.decode(stable_diffusion.SCALE * inputs["z"]) * 2 - 1
    found, whole = (x[..., ::every, ::every] for x in (signed, decoded))
    assert (found - whole).abs().mean() < _distance(outputs["tiled_decoded"], whole)


def _distance(published: np.ndarray, whole: Tensor) -> Tensor:
    return (torch.from_numpy(published) - whole).abs().mean()


@torch.no_grad()
def text_encoder(meta: Meta, outputs: Outputs) -> None:
    """The context of given tokens; the full size's is compared at every 4th token and 8th channel."""
    sizes = meta["config"]["text_cfg"]
    assert meta["config"]["layer"] == "penultimate"
    config = {"text_layers": sizes["layers"] - 1, "text_head_width": sizes["width"] // sizes["heads"]}
    full = meta["kind"] == "clip_full"
    prefix = stable_diffusion.TEXT if full else "model."
    dropped = {"transformer.resblocks.23.", f"transformer.resblocks.{sizes['layers'] - 1}."}
    network = part(_marking_unused(meta, prefix, dropped), prefix, stable_diffusion.build_text, config)
    context = network(_inputs(meta)["tokens"])
    _close(context[:, ::4, ::8] if full else context, outputs, meta, "context")
    if "stats" in outputs:
        _close(_stats(context), outputs, meta, "stats")


def _marking_unused(meta: Meta, prefix: str, below: set[str]) -> Meta:
    """The last layer is listed as a parameter in one fixture and as unused in the other; it plays no part in either."""
    skipped = tuple(prefix + name for name in below)
    tensors = [(n, s, "unused" if n.startswith(skipped) else kind) for n, s, kind in meta["tensors"]]
    return {**meta, "tensors": tensors}


def tokens(meta: Meta, outputs: Outputs) -> None:
    """Prompts as token numbers, exactly; none of them is too long."""
    found = clip_tokens.tokenize(meta["inputs"]["texts"]["value"])
    assert_close(found.ids, outputs["tokens"], 0.0, "tokens")
    assert not any(found.unseen)


RUNNERS = {
    "diffbir/cleaner": cleaner,
    "diffbir/unet-control": unet_control,
    "diffbir/autoencoder": autoencoder,
    "diffbir/text-encoder": text_encoder,
    "diffbir/tokens": tokens,
}
