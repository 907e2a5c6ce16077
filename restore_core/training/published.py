"""Recipes of the published families: their own networks, in sizes that a folder of photos and one machine can fill.

Each loss is the paper's (training/objectives.py), and each result is looked at by the method's own pose and sampler, so
that what validation measures is what the application would show. With an autoencoder, ResShift and IR-SDE (then
Refusion) are trained in its latent space; it is frozen.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from restore_core.checkpoints import match
from restore_core.checkpoints.files import open_state
from restore_core.degradations import Task
from restore_core.engine import finish, restore
from restore_core.errors import SettingsError
from restore_core.images import resize
from restore_core.methods.base import Variant
from restore_core.methods.irsde import END, IRSDE
from restore_core.methods.irsde import STEPS as SDE_STEPS
from restore_core.methods.resshift import ResShift
from restore_core.methods.sr3 import SR3
from restore_core.networks import sr3_unet
from restore_core.networks.conditional_unet import ConditionalUNet
from restore_core.networks.latent_unet import LatentUNet
from restore_core.networks.nafnet import ConditionalNAFNet
from restore_core.networks.swin import SwinSizes
from restore_core.networks.swin_unet import IMAGE_SIZE, SwinUNet
from restore_core.networks.vq_autoencoder import VQAutoencoder
from restore_core.problem import Problem
from restore_core.processes import MeanReverting, ResidualShifting, theta_schedule
from restore_core.settings import Settings
from restore_core.training.objectives import (
    clean_matching_loss,
    level_conditional_loss,
    maximum_likelihood_loss,
    noise_matching_loss,
    variational_weight,
)
from restore_core.training.recipes import (
    POWERS,
    SR3_PROCESS,
    Choices,
    Recipe,
    draw_level,
    draw_time,
    lpips_loss,
)

LOOK_STEPS = 10  # of the run that validation looks at
WINDOW = 8
HEAD_WIDTH = 32


class Published(Recipe):
    """A recipe whose result is a run of the method itself."""

    @abstractmethod
    def pose(self, model: nn.Module, y: Tensor, settings: Settings) -> Problem:
        """One degraded picture, [-1, 1] at the result's size, with what has been learnt so far."""

    @torch.no_grad()
    def restore(self, model: nn.Module, y: Tensor) -> Tensor:
        settings = Settings(
            self.key, "own", "ddim", LOOK_STEPS, "uniform", tile=0, options={"eta": 0.0, **self.options()}
        )
        return finish(restore(self.pose(model, y, settings), settings)).result * 2 - 1

    def options(self) -> dict[str, Any]:
        """Options of the method, for the run that is looked at."""
        return {}

    def variant(self, **config: Any) -> Variant:
        """These weights as the method's own kind."""
        weights = {"network": "own", "autoencoder": "own"}
        return Variant("own", "Own weights", self.task.key, weights, config=config, paper={"steps": SDE_STEPS})


class TrainSR3(Published):
    """SR3: |eps - eps_hat|_p at a noise level drawn for each picture, p = 1 or 2. Saharia et al. 2021, eq. 6."""

    key = "sr3"
    rate = 2e-4
    losses = ("l1", "l2")
    uses = frozenset({"width"})

    def build(self) -> sr3_unet.SR3:
        width = self.choices.width or 32
        if width % 32:
            raise SettingsError(f"SR3's norms have 32 groups, so a width of {width} cannot be. Choose 32, 64 or 96.")
        unet = sr3_unet.SR3UNet(6, 3, width, [width * m for m in (1, 2, 4, 4)], blocks=2, dropout=0.0)
        model = sr3_unet.SR3(unet, {"betas": SR3_PROCESS.steps})
        model.betas.copy_(1 - SR3_PROCESS.abar[1:] / SR3_PROCESS.abar[:-1])
        return model

    def lose(self, model: sr3_unet.SR3, x0: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        level = draw_level(SR3_PROCESS, len(x0), generator)
        eps = torch.randn(x0.shape, generator=generator).to(x0)

        def network(x: Tensor, a: Tensor) -> Tensor:
            return model(torch.cat([y, x], dim=1), a.reshape(-1)).float()

        loss = level_conditional_loss(
            SR3_PROCESS, network, x0, torch.zeros_like(x0), level, eps, power=POWERS[self.loss]
        )
        return {"noise": loss.mean()}

    def pose(self, model: nn.Module, y: Tensor, settings: Settings) -> Problem:
        return SR3(self.variant(), {"network": model}).pose((y + 1) / 2, settings)

    def file(self, average: nn.Module) -> dict[str, Tensor]:
        return super().file(average) | {"betas": average.betas.float()}


class TrainIRSDE(Published):
    """IR-SDE: one reverse step against the optimal one (likelihood), or plain noise matching. Luo et al. 2023.

    With an autoencoder it is Refusion: NAFNet on the latents of a compressing U-Net.
    """

    key = "irsde"
    rate = 2e-4
    losses = ("likelihood", "noise")
    uses = frozenset({"width", "noise", "autoencoder"})

    def __init__(self, task: Task, choices: Choices):
        super().__init__(task, choices)
        self.grey_levels = choices.noise or 50.0
        self.process = MeanReverting(theta_schedule("cosine", SDE_STEPS), self.grey_levels / 255, eps=END)
        self.autoencoder = _frozen(choices.autoencoder, LatentUNet, "Refusion's compressing U-Net")

    def build(self) -> nn.Module:
        width = self.choices.width or 32
        if self.autoencoder is None:
            return ConditionalUNet(3, 3, [width * m for m in (1, 2, 4, 8)])
        channels = self.autoencoder.latent_conv.out_channels
        # told apart from latent dehazing, whose eight channels stand for another network
        return ConditionalNAFNet(channels, width, (1, 1, 1), 1, (1, 1, 1), intro_skip=channels == 8)

    @torch.no_grad()
    def _state(self, picture: Tensor) -> Tensor:
        picture = (picture + 1) / 2
        return picture if self.autoencoder is None else self.autoencoder.to(picture.device).encode(picture)[0]

    def lose(self, model: nn.Module, x0: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        x0, y = self._state(x0), self._state(y)
        t = draw_time(SDE_STEPS, len(x0), generator)
        eps = torch.randn(x0.shape, generator=generator).to(x0)
        loss = {"likelihood": maximum_likelihood_loss, "noise": noise_matching_loss}[self.loss]

        def network(x: Tensor, t: Tensor) -> Tensor:
            return model(x, t.reshape(-1), y).float()

        return {self.loss: loss(self.process, network, x0, y, t, eps, power=1).mean()}

    def options(self) -> dict[str, Any]:
        return {"reading": "step" if self.loss == "likelihood" else "noise"}

    def pose(self, model: nn.Module, y: Tensor, settings: Settings) -> Problem:
        modules = {"network": model} | ({} if self.autoencoder is None else {"autoencoder": self.autoencoder})
        method = IRSDE(self.variant(max_sigma=self.grey_levels, end=END), modules)
        return method.pose((y + 1) / 2, settings)


class TrainResShift(Published):
    """ResShift: the clean picture from any of 15 shifted states, |x0 - x0_hat|^2. Yue et al. 2023, eq. 9.

    Unweighted as published, or weighted as in the variational bound; optionally with LPIPS of the picture found, as
    the journal version has it. With an autoencoder, on its latents with kappa = 2; else on pixels with 0.5.
    """

    key = "resshift"
    rate = 1e-4
    losses = ("unweighted", "weighted")
    uses = frozenset({"lpips", "width", "noise", "autoencoder"})
    floor = 1e-2  # least posterior variance in the weight: the last step has none

    def __init__(self, task: Task, choices: Choices):
        super().__init__(task, choices)
        self.autoencoder = _frozen(choices.autoencoder, VQAutoencoder, "ResShift's VQ autoencoder")
        kappa = choices.noise or (0.5 if self.autoencoder is None else 2.0)
        level = 0.04 * (kappa if self.autoencoder is None else 1)
        self.config = {"steps": 15, "kappa": kappa, "min_level": level}
        self.process = ResidualShifting(**self.config)
        self.factor = 1 if self.autoencoder is None else self.autoencoder.factor
        if self.factor % task.scale and task.scale > 1 and self.autoencoder is not None:
            raise SettingsError(
                f"The task '{task.key}' enlarges {task.scale} times and this autoencoder halves otherwise "
                f"({self.factor} times), so the network cannot be shown the small picture. Choose another task."
            )

    def build(self) -> SwinUNet:
        width = self.choices.width or 64
        if width % 32:
            raise SettingsError(f"The norms have 32 groups, so a width of {width} cannot be. Choose 32, 64 or 96.")
        widths = [width, 2 * width, 2 * width]
        swin = [None, *(_swin(w, level) for level, w in enumerate(widths[1:], 1))]
        halvings = int(math.log2(self.factor // self._lq_scale))
        stages = [(3 if i == 0 else width, width, width) for i in range(halvings)]
        latent = 3 if self.autoencoder is None else self.autoencoder.quant_conv.out_channels
        seen = latent + (width if stages else 3)
        return SwinUNet(seen, latent, width, widths, (1, 1, 2), swin, _swin(widths[-1], 2), stages)

    @property
    def _lq_scale(self) -> int:
        """How much smaller than the result the picture is that the network sees."""
        return 1 if self.autoencoder is None else self.task.scale

    @torch.no_grad()
    def _state(self, picture: Tensor) -> Tensor:
        return picture if self.autoencoder is None else self.autoencoder.to(picture.device).encode(picture)

    def _shown(self, y: Tensor) -> Tensor:
        if self._lq_scale == 1:
            return y
        return resize(y, tuple(side // self._lq_scale for side in y.shape[-2:])).clamp(-1, 1)

    def _network(self, model: SwinUNet, x: Tensor, t: Tensor, shown: Tensor) -> Tensor:
        divisor = self.process.divisor(t, latent=self.autoencoder is not None)
        return model(x / divisor.to(x), t.reshape(-1) - 1, shown).float()

    def lose(self, model: SwinUNet, x0: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        z0, z, shown = self._state(x0), self._state(y), self._shown(y)
        t = draw_time(self.process.steps, len(x0), generator)
        eps = torch.randn(z0.shape, generator=generator).to(x0)
        found: list[Tensor] = []

        def network(x: Tensor, t: Tensor) -> Tensor:
            found.append(self._network(model, x, t, shown))
            return found[0]

        loss = clean_matching_loss(self.process, network, z0, z, t, eps)
        if self.loss == "weighted":
            loss = loss * variational_weight(self.process, "x0", t - 1, t, self.floor).flatten().to(loss)
        losses = {self.loss: loss.mean()}
        if self.choices.lpips:
            picture = found[0] if self.autoencoder is None else self.autoencoder.decode(found[0])
            losses["lpips"] = self.choices.lpips * lpips_loss(picture, x0)
        return losses

    def pose(self, model: SwinUNet, y: Tensor, settings: Settings) -> Problem:
        if self.autoencoder is not None:
            method = ResShift(self.variant(**self.config), {"network": model, "autoencoder": self.autoencoder})
            method.variant = _scaled(method.variant, self._lq_scale)
            return method.pose_latent(self._shown(y), None, settings)
        return Problem(
            process=self.process,
            network=lambda x, t, cond: self._network(model, x, t, cond["lq"]),
            predicts="x0",
            anchor=y,
            cond={"lq": y},
            encode=lambda image: image * 2 - 1,
            decode=lambda x: ((x + 1) / 2).clamp(0, 1),
            whole=True,
            multiple=model.multiple,
        )


def _scaled(variant: Variant, scale: int) -> Variant:
    return Variant(**(vars(variant) | {"scale": scale}))


def _swin(width: int, level: int) -> SwinSizes:
    return SwinSizes(width, max(1, width // HEAD_WIDTH), WINDOW, 2 * width, 2, IMAGE_SIZE >> level)


def _frozen(file: str, kind: type[nn.Module], what: str) -> Any:
    """The autoencoder in `file`, without gradients; None where none is asked for."""
    if not file:
        return None
    network = match.build(open_state(Path(file)), {})
    if not isinstance(network, kind):
        raise SettingsError(
            f"{file} does not hold {what}, in whose latent space this method is trained. Choose another file."
        )
    return network
