"""IR-SDE: restoration with mean-reverting stochastic differential equations. Luo et al., ICML 2023, arXiv 2301.11699.

    dx = theta_t (y - x) dt + sigma_t dw,   sigma_t^2 = 2 lambda^2 theta_t
    x_t = a x0 + (1 - a) y + lambda sqrt(1 - a^2) eps

The clean picture drifts towards the degraded one while a fixed amount of noise builds up; restoring runs it backwards.
T = 100, cosine theta, a_T = 0.005. lambda is told in grey levels of 255 (10 for rain, 50 for blur in the paper).

The published networks see [x_t - y, y] and the index t = 1 .. T, and find eps; pictures are in [0, 1], and nothing is
clipped on the way. Refusion (CVPRW 2023, arXiv 2304.08291) does the same with another network, for large pictures
between the halves of a compressing U-Net. Denoising-SDE is the case y = x0, where a noisy photo is itself a state.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.grids import time_grid
from restore_core.methods import compact
from restore_core.methods.base import Card, Method, presets
from restore_core.methods.colour import keep_colours
from restore_core.methods.holes import known_parts
from restore_core.methods.irsde_weights import LENSES, VARIANTS
from restore_core.methods.latent import preview, unet_latents
from restore_core.metrics import noise
from restore_core.problem import Network, Problem
from restore_core.processes import Denoising, MeanReverting, theta_schedule
from restore_core.settings import Option, Settings

STEPS, END = 100, 0.005
QUIETEST = 1.0  # grey levels: what a photo without measurable noise is taken to have
NOISE = Option(
    "noise", "Noise level (lambda, grey levels)", 30.0, 1.0, 100.0, 1.0,
    help="The noise that the photo is given before it is restored. More noise, more freedom.",
)  # fmt: skip


class FromPhoto(Denoising):
    """Denoising-SDE from the time at which a state is as noisy as the photo: the start is the photo, nothing is added.

    sigma   deviation of the photo's noise in its own units, below the process's scale
    """

    def __init__(self, thetas: Tensor, scale: float, sigma: float, *, eps: float):
        super().__init__(thetas, scale, eps=eps)
        if not 0 < sigma < scale:
            raise SettingsError(
                f"The photo's noise was put at {sigma * 255:.3g} grey levels, and this network takes away noise above "
                f"0 and below {scale * 255:g}. Choose a level between."
            )
        self.steps = max(1, round(self.time_of(torch.tensor(sigma)).item()))

    def prior(self, y: Tensor, eps: Tensor) -> Tensor:
        """The photo."""
        return y


class IRSDE(Method):
    """Mean reversion to the degraded picture, run backwards."""

    card = Card(
        key="irsde",
        title="IR-SDE / Refusion",
        paper="Luo et al. 2023, Image Restoration with Mean-Reverting Stochastic Differential Equations",
        summary="Lets the damage flow back out of the photo. Calm and close to the input; faces keep their looks.",
        variants=(*compact.VARIANTS, *VARIANTS),
        options=(NOISE,),
        defaults={"sampler": "ddim", "steps": 20, "spacing": "log-snr", "eta": 1.0, "noise": 30.0},
        presets=presets(
            {"samples": 8, "steps": 8},
            {"steps": 8},
            {},
            {"steps": 50},
            {"steps": 50, "sampler": "multistep-sde"},
        ),
    )

    def pose(self, image: Tensor, settings: Settings) -> Problem:
        """Mean reversion anchored at the input or its latent; Denoising-SDE, whose network sees no y, starts at it."""
        if not self.variant.published:
            return self._pose_compact(image, settings)
        if "autoencoder" in self.modules:
            return self._pose_latent(image, settings)
        if not self.modules["network"].conditional:
            return self._pose_noisy(image, settings)
        return self._pose_picture(image, settings)

    def _pose_compact(self, image: Tensor, settings: Settings) -> Problem:
        """Process space is [-1, 1], so a grey level is 2/255."""
        scale = settings.options["noise"] * 2 / 255
        process = MeanReverting(theta_schedule("cosine", STEPS), scale, eps=END)
        return compact.pose(
            self.modules["network"], image, settings, self.variant.scale, process, anchor="degraded", heed=self.heed
        )

    def _process(self) -> MeanReverting:
        config = self.variant.config
        return MeanReverting(theta_schedule("cosine", STEPS), config["max_sigma"] / 255, eps=config["end"])

    def _pose_picture(self, image: Tensor, settings: Settings) -> Problem:
        network, config = self.modules["network"], self.variant.config
        process = self._process()
        to_state, from_state = (_views_to_channels, _views_to_width) if config.get("stereo") else (_same, _same)
        y = _enlarge(to_state(self._filled(image)), self.variant.scale, config.get("enlarge", "nearest"))
        reference = from_state(y).clamp(0, 1)

        def decode(x: Tensor) -> Tensor:
            picture = from_state(x).clamp(0, 1)
            return keep_colours(picture, reference, settings.options.get("colour", "off"))

        return Problem(
            process=process,
            network=_read(network, process, settings.options["reading"]),
            predicts=PREDICTS[settings.options["reading"]],
            anchor=y,
            cond={"y": y},
            encode=to_state,
            decode=decode,
            whole=True,
            multiple=network.multiple,
            bytes_per_pixel=network.bytes_per_pixel,
        )

    def _filled(self, image: Tensor) -> Tensor:
        """y = mask x + (1 - mask): holes are white."""
        if self.variant.channels == 3:
            return image
        known = known_parts(image)
        return image[:, :3] * known + (1 - known)

    @torch.no_grad()
    def _pose_latent(self, image: Tensor, settings: Settings) -> Problem:
        """Refusion's latents have no scale of their own; the decoder sees the skips of the degraded picture."""
        network, autoencoder = self.modules["network"], self.modules["autoencoder"]
        process, latents = self._process(), unet_latents(autoencoder, settings)
        y = latents.encode(image, self.heed)
        cond = {"y": y}
        if network.lens:
            told = [LENSES[settings.options[key]] for key in ("lens", "target")] + [settings.options["disparity"]]
            cond["lens"] = torch.tensor([told], device=image.device)
        size = (image.shape[-2], image.shape[-1])
        return Problem(
            process=process,
            network=_read(network, process, settings.options["reading"]),
            predicts=PREDICTS[settings.options["reading"]],
            anchor=y,
            cond=cond,
            encode=lambda clean: unet_latents(autoencoder, settings).encode(clean),
            decode=lambda z: latents.decode(z).clamp(0, 1),
            preview=preview(y, latents.padded(image), self.variant.weights["autoencoder"], size),
            whole=True,
            multiple=network.multiple,
            bytes_per_pixel=network.bytes_per_pixel,
        )

    def _pose_noisy(self, image: Tensor, settings: Settings) -> Problem:
        """x_t = x0 + s_t eps is the photo itself, at the t of its noise; no more steps than there are levels below."""
        network, config = self.modules["network"], self.variant.config
        sigma = settings.options["sigma"] or _measured(image, 0.98 * config["max_sigma"])
        thetas = theta_schedule("cosine", STEPS)
        process = FromPhoto(thetas, config["max_sigma"] / 255, sigma / 255, eps=config["end"])

        def times(steps: int) -> Tensor:
            return time_grid(process, min(steps, process.steps), "uniform", whole=True)

        return Problem(
            process=process,
            network=lambda x, t, cond: network(x, t),
            predicts="eps",
            anchor=image,
            encode=_same,
            decode=lambda x: x.clamp(0, 1),
            times=times,
            whole=True,
            multiple=network.multiple,
            bytes_per_pixel=network.bytes_per_pixel,
        )


def _measured(image: Tensor, loudest: float) -> float:
    """The photo's noise in grey levels, between what a clean one is taken to have and what the network can take."""
    try:
        return min(max(noise(image).item(), QUIETEST), loudest)
    except SettingsError as error:
        raise SettingsError(
            f"{error} Say how noisy the photo is (option sigma), and nothing has to be measured."
        ) from error


PREDICTS = {"noise": "eps", "step": "x0"}


def _read(network: torch.nn.Module, process: MeanReverting, reading: str) -> Network:
    """The network's answer as eps, or as the x0 that its training by steps meant (Process.calibrated)."""

    def eps(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        more = (cond["lens"],) if "lens" in cond else ()
        return network(x, t, cond["y"], *more)

    def x0(x: Tensor, t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        return process.calibrated(x, cond["y"], t - 1, t, eps(x, t, cond).float()).x0

    return {"noise": eps, "step": x0}[reading]


def _same(x: Tensor) -> Tensor:
    return x


def _enlarge(image: Tensor, scale: int, mode: str) -> Tensor:
    """As the published code does; its bicubic has a = -0.75 and may leave [0, 1]."""
    return image if scale == 1 else F.interpolate(image, scale_factor=scale, mode=mode)


def _views_to_channels(picture: Tensor) -> Tensor:
    """Two views beside each other (1, 3, H, 2W) -> (1, 6, H, W), left first."""
    if picture.shape[-1] % 2:
        raise SettingsError(
            f"A stereo pair has two views of one width side by side, and this picture is {picture.shape[-1]} pixels "
            f"wide. Choose a picture with an even number."
        )
    return torch.cat(picture.chunk(2, dim=-1), dim=1)


def _views_to_width(views: Tensor) -> Tensor:
    """(1, 6, H, W) -> (1, 3, H, 2W)."""
    return torch.cat(views.chunk(2, dim=1), dim=-1)
