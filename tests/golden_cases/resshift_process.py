"""ResShift's and SinSR's schedules, states, samplers and windows, by our residual shifting and our samplers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from golden_cases.closed_form import Draws, closed_form, take
from golden_cases.compare import assert_close, given
from restore_core.degradations.bicubic import imresize
from restore_core.grids import truncated
from restore_core.processes import Prediction, ResidualShifting
from restore_core.samplers import SAMPLERS, Step, invert
from restore_core.tiling import gaussian, starts, tiled, windows
from restore_core.training.objectives import distance, target, variational_weight

F64 = torch.float64
_SINSR_CAP = math.sqrt(
    0.001
)  # SinSR's repository limits the schedule's start as ResShift's did until March 2024
_PREDICTS = {"xstart": "x0", "residual": "residual", "epsilon": "eps", "epsilon_scale": "eps"}
_DIFFUSION = {
    "sf": 1, "schedule_name": "exponential", "schedule_kwargs": None, "etas_end": 0.99, "steps": None,
    "min_noise_level": None, "kappa": None, "weighted_mse": False, "predict_type": "xstart", "timestep_respacing": None,
    "scale_factor": 1.0, "normalize_input": True, "latent_flag": True,
}  # fmt: skip


def _process(options: Mapping[str, Any], cap: float = math.inf) -> ResidualShifting:
    options = take(options, _DIFFUSION)
    assert options["schedule_name"] == "exponential", f"unknown schedule {options['schedule_name']!r}"
    assert options["scale_factor"] == 1.0, "latents are taken as they are: scale_factor must be 1"
    power = take(options["schedule_kwargs"], {"power": None})["power"]
    return ResidualShifting(
        options["steps"], options["kappa"], power=power, min_level=options["min_noise_level"], end=options["etas_end"],
        cap=cap,
    )  # fmt: skip


def _times(options: Mapping[str, Any], process: ResidualShifting) -> Tensor:
    """The visited times, descending, then 0."""
    return truncated(process.steps, options["timestep_respacing"] or process.steps)


def _chain(options: Mapping[str, Any], process: ResidualShifting) -> tuple[Tensor, Tensor]:
    """(t, t_next) of every visited time, ascending."""
    times = _times(options, process).flip(0)
    return times[1:], times[:-1]


def schedules(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Every array of a schedule, float64."""
    for name, options in meta["config"]["groups"].items():
        process = _process(options)
        t, t_next = _chain(options, process)
        zero, one = torch.zeros_like(t), torch.ones_like(t)
        eta, before = process.marginal(t).b, process.marginal(t_next).b
        variance = process.posterior_std(t_next, t) ** 2
        predicts = _PREDICTS[options["predict_type"]]
        ours = {
            "sqrt_etas": process.sqrt_eta(t),
            "etas": eta,
            "etas_prev": before,
            "alpha": eta - before,
            "posterior_variance": variance,
            "posterior_variance_clipped": torch.cat([variance[1:2], variance[1:]]),
            "posterior_mean_coef1": process.posterior_mean(one, zero, t_next, t, zero),
            "posterior_mean_coef2": process.posterior_mean(zero, zero, t_next, t, one),
            "weight_loss_mse": variational_weight(process, predicts, t_next, t, floor=variance[1].item()),
            "timestep_map": t - 1,
        }
        _compare_group(name, ours, outputs, 1e-12)


def _compare_group(
    name: str, ours: Mapping[str, Tensor], outputs: Mapping[str, np.ndarray], relative: float
) -> None:
    stored = {key.removeprefix(f"{name}/"): v for key, v in outputs.items() if key.startswith(f"{name}/")}
    assert stored and set(stored) <= set(ours), f"{name}: unknown arrays {sorted(set(stored) - set(ours))}"
    for key, expected in stored.items():
        assert_close(ours[key], expected, None, f"{name}/{key}", relative)


@torch.no_grad()
def forward(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """States, posterior, the four readings of a network's output, input scaling and losses, one t a picture."""
    options = take(meta["config"]["diffusion"], _DIFFUSION)
    process, form = _process(options), closed_form(meta["config"]["network"])
    inputs = {key: given(spec) for key, spec in meta["inputs"].items()}
    x0, y, eps, guess = (inputs[key] for key in ("x_start", "y", "noise", "x0_hat"))
    t = inputs["t"].double().reshape(-1, 1, 1, 1) + 1
    x = process.diffuse(x0, y, t, eps)
    variance = process.posterior_std(t - 1, t) ** 2
    floor = process.posterior_std(torch.tensor(1.0), torch.tensor(2.0)).item() ** 2
    ours = {
        "x_t": x,
        "marginal_mean": process.mean(x0, y, t),
        "marginal_variance": (process.marginal(t).s ** 2).flatten(),
        "posterior_mean": process.posterior_mean(x, y, t - 1, t, guess),
        "posterior_variance": variance.flatten(),
        "posterior_log_variance_clipped": variance.clamp(min=floor).log().flatten(),
        "eps_from_x0": process.from_x0(x, y, t, guess).eps,
        "prior_x_T": process.prior(y, eps),
        "scaled_input_latent": x / process.divisor(t, latent=True).float(),
        "scaled_input_pixel": x / process.divisor(t, latent=False).float(),
    }
    raw = form(x=_network_input(process, options, x, t), t=(t - 1).float())
    for name, predicts in _PREDICTS.items():
        answer = raw
        if name == "epsilon_scale":  # its error is counted in eps
            answer = raw / process.marginal(t).s.float()
        loss = distance(answer, target(process, predicts, x0, y, t, eps))
        weight = variational_weight(process, predicts, t - 1, t, floor=floor).flatten()
        ours |= {
            f"x0_from_{name}": _read(process, name, x, y, t, raw).x0,
            f"loss_{name}": loss,
            f"loss_{name}_weighted": loss * weight,
        }
    assert set(outputs) <= set(ours), f"unknown arrays {sorted(set(outputs) - set(ours))}"
    for key, expected in outputs.items():
        assert_close(ours[key], expected, meta.get("tolerance"), key)


def _network_input(process: ResidualShifting, options: Mapping[str, Any], x: Tensor, t: Tensor) -> Tensor:
    if not options["normalize_input"]:
        return x
    return x / process.divisor(t, latent=options["latent_flag"]).to(x.dtype)


def _read(process: ResidualShifting, name: str, x: Tensor, y: Tensor, t: Tensor, raw: Tensor) -> Prediction:
    readings: Mapping[str, Callable[[Tensor, Tensor, Tensor, Tensor], Prediction]] = {
        "xstart": process.from_x0,
        "residual": process.from_residual,
        "epsilon": process.from_eps,
        "epsilon_scale": process.from_noise,
    }
    return readings[name](x, y, t, raw)


_RUN = {
    "diffusion": None, "network": None, "loop": None, "clip_denoised": False, "noise_repeat": False, "one_step": False,
}  # fmt: skip


@torch.no_grad()
def sample(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray], cap: float = math.inf) -> None:
    """Ancestral, deterministic and inverse walks, and SinSR's single step: states and guesses of every step.

    A respaced chain starts below T, and its published start is still y + s z: diffuse(y, y, t, z) says so.
    The published loops draw once more at the last step, times zero; ours do not.
    """
    config = take(meta["config"], _RUN)
    options = take(config["diffusion"], _DIFFUSION)
    process, inputs = _process(options, cap), {key: given(spec) for key, spec in meta["inputs"].items()}
    unknown = sorted(set(inputs) - {"y", "x", "lq"})
    assert not unknown, f"unknown inputs {unknown}"
    y = (
        F.interpolate(inputs["y"], scale_factor=options["sf"], mode="bicubic")
        if options["sf"] != 1
        else inputs["y"]
    )
    denoise = _denoiser(process, options, config, y, {"lq": inputs["lq"]} if "lq" in inputs else {})
    times, draws = _times(options, process), Draws(repeat=config["noise_repeat"])
    assert meta["timestep_map"] == (times[:-1].flip(0) - 1).tolist()
    steps = _walk(config, process, denoise, y, times, draws, inputs.get("x"))
    ours = {
        "z_y": y,
        "x_T": steps[0].x,
        "samples": torch.stack([step.x for step in steps[1:]]),
        "pred_xstart": torch.stack([step.prediction.x0 for step in steps[:-1]]),
    }
    loose = options["predict_type"].startswith("epsilon")  # divided by a = 0.02 at the start
    for key, expected in outputs.items():
        assert_close(ours[key], expected, meta.get("tolerance", 1e-3 if loose else 2e-5), key)
    idle = config["loop"].startswith("p_sample")
    assert draws.count == meta["noise_draws"] - idle


def _denoiser(
    process: ResidualShifting,
    options: Mapping[str, Any],
    config: Mapping[str, Any],
    y: Tensor,
    cond: Mapping[str, Tensor],
) -> Callable[[Tensor, Tensor], Prediction]:
    form = closed_form(config["network"])

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        raw = form(x=_network_input(process, options, x, t), t=(t - 1).float(), **cond)
        p = _read(process, options["predict_type"], x, y, t, raw)
        return process.from_x0(x, y, t, p.x0.clamp(-1, 1)) if config["clip_denoised"] else p

    return denoise


def _walk(
    config: Mapping[str, Any],
    process: ResidualShifting,
    denoise: Callable[[Tensor, Tensor], Prediction],
    y: Tensor,
    times: Tensor,
    draws: Draws,
    image: Tensor | None,
) -> list[Step]:
    if config["loop"] == "ddim_inverse_loop_progressive":
        assert image is not None, "an inverse walk starts at the input x"
        return list(invert(process, denoise, image, y, times[:-1].flip(0), ahead=True))
    etas = {"p_sample_loop_progressive": 1.0, "ddim_sample_loop_progressive": 0.0}
    assert config["loop"] in etas, (
        f"unknown loop {config['loop']!r}; known: {', '.join(etas)}, ddim_inverse_..."
    )
    if config["one_step"]:
        times = times[[0, -1]]
    start = process.diffuse(y, y, times[0], draws(y))
    return list(SAMPLERS["ddim"].run(process, denoise, start, y, times, draws, eta=etas[config["loop"]]))


def ddim(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """SinSR's walks: the same with its cap on the schedule's start."""
    sample(meta, outputs, _SINSR_CAP)


@torch.no_grad()
def coefficients(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """x' = k x0 + m x + j y, read off our deterministic step by giving it one of the three as 1."""
    for name, options in meta["config"]["groups"].items():
        process = _process(options, _SINSR_CAP)
        t, t_next = _chain(options, process)
        ours = {
            key: torch.cat([_moved(process, a, b, which) for a, b in zip(t, t_next, strict=True)])
            for key, which in {"k": (1.0, 0.0, 0.0), "m": (0.0, 1.0, 0.0), "j": (0.0, 0.0, 1.0)}.items()
        }
        _compare_group(name, ours | {"sqrt_etas": process.sqrt_eta(t)}, outputs, 1e-6)


def _moved(process: ResidualShifting, t: Tensor, t_next: Tensor, which: tuple[float, float, float]) -> Tensor:
    x0, x, y = (torch.tensor([value], dtype=F64) for value in which)
    denoise = lambda x, t: process.from_x0(x, y, t, x0)  # noqa: E731
    return list(SAMPLERS["ddim"].run(process, denoise, x, y, torch.stack([t, t_next]), Draws(), eta=0.0))[
        -1
    ].x


def tiles(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """The same windows in the same order; their plain average as published, and our blend where it differs on purpose.

    Plain averages leave seams (ResShift's issue 130), so `tiled` ramps over the overlaps: it is pinned to the published
    result where one window sees a pixel, and between the windows' extremes where several do.
    """
    config = take(meta["config"], {"tile": None, "stride": None, "scale": 1, "tiles_per_batch": 1})
    tile, overlap, scale = config["tile"], config["tile"] - config["stride"], config["scale"]
    image = given(meta["inputs"]["image"])
    if "weight_1d" in outputs:
        return _gaussian_tiles(image, tile, overlap, scale, meta, outputs)
    height, width = image.shape[-2:]
    corners = [(top, left) for top in starts(height, tile, overlap) for left in starts(width, tile, overlap)]
    ours = [[scale * n for n in (top, top + tile, left, left + tile)] for top, left in corners]
    assert ours == meta["tiles_out"]

    large = image.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    height, width = large.shape[-2:]
    total, seen = torch.zeros_like(large), torch.zeros(height, width)
    low, high = torch.full_like(large, math.inf), torch.full_like(large, -math.inf)
    for k, window in enumerate(windows(height, width, scale * tile, scale * overlap, scale)):
        rows, columns = window.rows, window.columns
        part = large[..., rows, columns] + 0.01 * k
        total[..., rows, columns] += part
        seen[rows, columns] += 1
        low[..., rows, columns] = torch.minimum(low[..., rows, columns], part)
        high[..., rows, columns] = torch.maximum(high[..., rows, columns], part)
    published = torch.from_numpy(outputs["out"])
    assert_close(total / seen, outputs["out"], meta.get("tolerance", 1e-6), "out")

    calls = iter(range(len(corners)))
    network = lambda x, cond: x + 0.01 * next(calls)  # noqa: E731
    blended = tiled(network, large, {}, tile=scale * tile, overlap=scale * overlap, multiple=scale)
    alone = (seen == 1).expand_as(large)
    assert torch.allclose(blended[alone], published[alone], atol=1e-6)
    assert ((blended >= low - 1e-6) & (blended <= high + 1e-6)).all()


def _gaussian_tiles(
    image: Tensor, tile: int, overlap: int, scale: int, meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]
) -> None:
    """InvSR's blend, as a profile of our windows."""
    bell = gaussian(scale * tile, 0, True, True)
    assert_close(bell * bell[len(bell) // 2], outputs["weight_1d"], 1e-6, "weight_1d")
    large = image.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    calls = iter(range(10**6))
    network = lambda x, cond: x + 0.01 * next(calls)  # noqa: E731
    out = tiled(network, large, {}, tile=scale * tile, overlap=scale * overlap, multiple=scale, profile=gaussian)
    assert_close(out, outputs["out"], meta.get("tolerance", 1e-5), "out")


def bicubic(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """MATLAB's imresize."""
    for name, case in meta["config"]["cases"].items():
        scale = take(case, {"scale": None})["scale"]
        image = given(meta["inputs"][name]).permute(2, 0, 1)[None]
        resized = imresize(image, scale)[0].permute(1, 2, 0)
        assert_close(resized, outputs[name], meta.get("tolerance", 1e-6), name)


RUNNERS = {
    "resshift/schedules": schedules,
    "resshift/forward": forward,
    "resshift/sampler": sample,
    "resshift/ddim": ddim,
    "resshift/ddim-coefficients": coefficients,
    "resshift/tiles": tiles,
    "resshift/bicubic": bicubic,
}
