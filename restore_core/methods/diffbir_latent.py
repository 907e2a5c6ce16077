"""DiffBIR's second stage, posed: Stable Diffusion's latent space, steered by the first stage's picture.

    c    = 0.18215 mean(encode(clean))                                    the condition
    raw  = unet(x_t, t, text, strength control(x_t, t, text, c))          text: the positive or the negative prompt
    x_t  = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps                         in latents; the anchor is 0

Every stage goes in pieces by itself: encoder, control and U-Net (one state for the whole picture), decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore_core import guidance
from restore_core.devices import autocast
from restore_core.guidance import Coder, Guidance, flatness
from restore_core.images import resize
from restore_core.memory import Need
from restore_core.methods.cleaning import Grow
from restore_core.methods.colour import recolour
from restore_core.methods.compact import to_signed
from restore_core.methods.latent import preview
from restore_core.methods.prompting import CONTEXT, classifier_free, growing
from restore_core.networks.layers import pad_to_multiple
from restore_core.networks.shared_norms import SharedNorms
from restore_core.networks.stable_diffusion import Autoencoder, StableDiffusion, TextEncoder
from restore_core.problem import Problem
from restore_core.processes import VariancePreserving
from restore_core.settings import Settings
from restore_core.tiling import Heed, Pieces, alone, strips, windows

MULTIPLE = 8  # latent pixels: three halvings in the U-Net
OVERLAP = 16  # latent pixels shared by windows of the autoencoder
# half as much again as the live activations of each pixel of the picture, and of the latent for control and U-Net with
# one prompt (benchmarks.diffbir): 2.6 kB, 3.1 and 42.5; GRADIENT: the decoder with what its gradient needs
ENCODER, DECODER, GRADIENT, DENOISER = Need(3_900), Need(4_600), Need(35_000), Need(64_000)
LARGEST = 128  # latent pixels of a window's side, twice the squares that the networks were trained on


class Autoencoding:
    """Pictures (1, 3, H, W), RGB in [0, 1] <-> latents, in windows that fit and share their norms.

    Sides divide by 8 times the factor. What a picture becomes on its way to the network, it becomes window by window.
    """

    def __init__(self, autoencoder: Autoencoder, settings: Settings, device: torch.device, heed: Heed = alone):
        self.network, self.precision, self.factor = autoencoder, settings.precision, autoencoder.factor
        self.heed = heed
        sides = (need.side(device, MULTIPLE * self.factor) // self.factor for need in (ENCODER, DECODER))
        self.encoder, self.decoder = (
            Pieces(side, min(OVERLAP, side // 2), scale=scale)
            for side, scale in zip(sides, (1, self.factor), strict=True)
        )
        self.gradient_side = GRADIENT.side(device, MULTIPLE * self.factor) // self.factor

    @torch.no_grad()
    def encode(self, picture: Tensor) -> Tensor:
        """The mean latent, scaled."""
        height, width = (side // self.factor for side in picture.shape[-2:])
        place = picture.new_zeros(1, 1, height, width)  # windows are laid over the latent; the picture is cropped along

        def network(_: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
            with autocast(picture.device, self.precision):
                return self.network.encode(to_signed(cond["picture"])).float()

        return _in_windows(self.encoder, network, place, {"picture": picture}, self.heed)

    @torch.no_grad()
    def decode(self, z: Tensor, heed: Heed = alone) -> Tensor:
        """The picture of a latent, about [0, 1]; whoever asked may write over it.

        heed   nobody where a result is made of it: a stopped run's guess is kept, which takes just this
        """
        return _in_windows(self.decoder, lambda part, _: self._decode(part), z, {}, heed)

    def _decode(self, z: Tensor) -> Tensor:
        with autocast(z.device, self.precision):
            return self.network.decode(z).float() / 2 + 0.5

    def coder(self) -> Coder:
        """For guidance in pixels: the gradient of each window by itself, weighed as the windows are blended."""
        return Coder(lambda z: self.decode(z, self.heed), self._gradient)

    def _gradient(self, z: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        height, width = z.shape[-2:]
        places = list(windows(height, width, self.gradient_side, min(OVERLAP, self.gradient_side // 2), 1))
        covered, total = torch.zeros(height, width), torch.zeros_like(z)
        for window in places:
            covered[window.rows, window.columns] += window.weight
        for k, window in enumerate(places):
            self.heed(k, len(places))
            rows, columns = window.rows, window.columns
            part = (window.weight / covered[rows, columns]).to(z)[None, None]
            near = F.interpolate(part, scale_factor=self.factor, mode="nearest")
            y, x = (slice(s.start * self.factor, s.stop * self.factor) for s in (rows, columns))
            total[..., rows, columns] += guidance.gradient(
                self._decode, z[..., rows, columns], target[..., y, x], weight[..., y, x] * near
            )
        return total


Part = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


def _in_windows(pieces: Pieces, network: Part, x: Tensor, cond: Mapping[str, Tensor], heed: Heed) -> Tensor:
    """network(x, cond), whole where it fits; else twice in windows, the second time with the norms of all of them."""
    if not pieces.splits(x):
        found = pieces(network, x, cond, heed)
        if not pieces.splits(x):  # else memory ran short on the way
            return found
        del found
    norms, looking = SharedNorms(), Pieces(pieces.tile, pieces.overlap, pieces.multiple)

    def look(part: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        with norms.measure():
            network(part, told)
        return part[:, :1]  # of the first pass the norms alone are wanted, and no picture is put together

    def run(part: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        with norms.apply():
            return network(part, told)

    looking(look, x, cond, heed)
    pieces.tile, pieces.overlap = looking.tile, looking.overlap
    return pieces(run, x, cond, heed)


def read_prompts(text: TextEncoder, prompts: tuple[str, str], device: torch.device) -> Tensor:
    """(2, 77, width) on `device`: positive, negative. On a graphics card the encoder stays only while it reads."""
    text.to(device)
    try:
        with torch.no_grad():
            return text.contexts(prompts)[0].float()
    finally:
        if device.type == "cuda":
            text.to("cpu")


def prompts_of(options: Mapping[str, Any]) -> tuple[str, str]:
    """(positive, negative): what the photo shows stands before the version's own words."""
    positive = ", ".join(part for part in (options["prompt"].strip(), options["style"].strip()) if part)
    return positive, options["avoid"].strip()


def pose_latent(
    base: StableDiffusion,
    control: nn.Module,
    clean: Tensor,
    size: tuple[int, int],
    context: Tensor,
    process: VariancePreserving,
    predicts: str,
    settings: Settings,
    *,
    times: Callable[[int], Tensor],
    condition_noise: Callable[[Tensor], Tensor],
    autoencoder: str = "",
    grow: Grow = pad_to_multiple,
    heed: Heed = alone,
) -> Problem:
    """The problem of a cleaned picture (1, 3, h, w) in [0, 1], whose result is brought to `size`.

    context           of both prompts (2, tokens, width)
    condition_noise   draws for the option of that name
    autoencoder       its key, for the linear preview
    grow              how sides that do not divide by 64 are filled
    """
    options, (height, width) = settings.options, clean.shape[-2:]
    coding = Autoencoding(base.autoencoder, settings, clean.device, heed)
    grown = grow(clean, MULTIPLE * coding.factor)
    target = coding.encode(grown)
    weight = _text_weight(options)
    seen = preview(target, grown, autoencoder, (height, width))

    def network(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        text, index = cond[CONTEXT].expand(len(x), -1, -1), (t - 1).float()
        return base.unet(x, index, text, control(x, index, text, cond["c"], options["control"]))

    def decode(z: Tensor) -> Tensor:
        picture = recolour(coding.decode(z)[..., :height, :width], clean, options["colour"])
        return resize(picture, size).clamp_(0, 1)  # clipped once, at the end

    return Problem(
        process=process,
        network=classifier_free(network, lambda t: weight(t.item() - 1)),
        predicts=predicts,
        anchor=torch.zeros_like(target),
        cond={"c": _under_noise(target, process, options, condition_noise), CONTEXT: context},
        encode=lambda image: coding.encode(grow(resize(image, (height, width)), MULTIPLE * coding.factor)),
        decode=decode,
        preview=lambda z: resize(seen(z), size).clamp_(0, 1),
        guess=target,
        from_guess=options["begin"] == "condition",
        guide=_guide(grown, target, coding, options),
        times=times,
        whole=True,
        multiple=MULTIPLE,
        tile=DENOISER.side(clean.device, MULTIPLE, batch=1 if options["cfg"] == 1 else 2, most=LARGEST),
    )


def _text_weight(options: Mapping[str, Any]) -> Callable[[float], float]:
    scale = options["cfg"]
    return (lambda index: growing(scale, index)) if options["cfg_grows"] else (lambda index: scale)


def _under_noise(
    c: Tensor, process: VariancePreserving, options: Mapping[str, Any], draw: Callable[[Tensor], Tensor]
) -> Tensor:
    """q(c_t | c) at t = condition_noise, as v2.1 saw conditions in training; 0: the condition itself."""
    index = options.get("condition_noise", 0)
    if not index:
        return c
    t = torch.tensor(float(round(index)) + 1, dtype=torch.float64)
    return process.diffuse(c, torch.zeros_like(c), t, draw(c))


def _guide(picture: Tensor, latent: Tensor, coding: Autoencoding, options: Mapping[str, Any]) -> Guidance | None:
    scale, start, stop = (options[o.key] for o in (guidance.SCALE, *guidance.RANGE))
    if not scale:
        return None
    flat = _flatness(picture, coding.factor)
    if options["guidance_space"] == "pixels":
        return Guidance(picture, torch.cat(list(flat), dim=-2), scale, start, stop, coder=coding.coder())
    near = [F.avg_pool2d(band, coding.factor) for band in flat]
    return Guidance(latent, torch.cat(near, dim=-2), scale, start, stop)


def _flatness(picture: Tensor, factor: int) -> Iterator[Tensor]:
    """guidance.flatness in bands; two latent pixels more are whole blocks of its Sobel gradients."""
    for _, seen, inner in strips(*picture.shape[-2:], 2 * factor, 2 * factor):
        yield flatness(picture[..., seen, :])[..., inner, :]
