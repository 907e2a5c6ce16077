"""SR3's schedules, sampling loops and training states, by our variance preserving process and our samplers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden_cases.closed_form import Draws, closed_forms, take
from golden_cases.compare import assert_close, given
from restore_core.processes import Prediction, Process, VariancePreserving, beta_schedule
from restore_core.samplers import SAMPLERS
from restore_core.training.objectives import level_conditional_loss, noise_level, noise_matching_loss

F64 = torch.float64


def _process(options: Mapping[str, Any]) -> VariancePreserving:
    known = {"schedule": None, "n_timestep": None, "linear_start": 1e-4, "linear_end": 2e-2}
    name, steps, start, end = take(options, known).values()
    return VariancePreserving(beta_schedule(name, steps, start, end))


def buffers(process: Process) -> dict[str, Tensor]:
    """The twelve buffers of the published modules and sqrt(abar_0..T), from the process alone, float64."""
    t = torch.arange(process.steps + 1, dtype=F64)
    (a, _, s), one = process.marginal(t), torch.ones(process.steps, dtype=F64)
    later, earlier = t[1:], t[:-1]
    variance = process.posterior_std(earlier, later) ** 2
    zero = 0 * one
    return {
        "betas": process.forward_std(earlier, later) ** 2,
        "alphas_cumprod": a[1:] ** 2,
        "alphas_cumprod_prev": a[:-1] ** 2,
        "sqrt_alphas_cumprod": a[1:],
        "sqrt_alphas_cumprod_prev": a,
        "sqrt_one_minus_alphas_cumprod": s[1:],
        "log_one_minus_alphas_cumprod": 2 * s[1:].log(),
        "sqrt_recip_alphas_cumprod": 1 / a[1:],
        "sqrt_recipm1_alphas_cumprod": process.level(later),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp(min=1e-20).log(),
        "posterior_mean_coef1": process.posterior_mean(zero, zero, earlier, later, one),
        "posterior_mean_coef2": process.posterior_mean(one, zero, earlier, later, zero),
    }


def schedules(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Every `every`-th entry and the last. Buffers are float32 there, so large ones agree to a part in 10^6."""
    for name, case in meta["config"]["cases"].items():
        ours, every = buffers(_process(case["schedule_opt"])), case["every"]
        stored = {key.removeprefix(f"{name}.") for key in outputs if key.startswith(f"{name}.")}
        assert stored and stored <= set(ours), f"{name}: unknown arrays {sorted(stored - set(ours))}"
        for key in stored:
            expected = torch.from_numpy(outputs[f"{name}.{key}"]).double()
            steps = case["schedule_opt"]["n_timestep"]
            kept = sorted({*range(0, steps, every), steps - 1, len(ours[key]) - 1})
            actual = ours[key][kept].float().double()  # past float32's range both are infinite
            assert actual.shape == expected.shape, f"{name}.{key}: {actual.shape} != {expected.shape}"
            assert torch.allclose(actual, expected, rtol=2e-6, atol=1e-7), f"{name}.{key}"


def _network(config: Mapping[str, Any], variant: str, conditional: bool) -> Callable[..., Tensor]:
    (form,) = closed_forms(config["networks"][variant if conditional else f"{variant}_uncond"]).values()
    return form


def _told(process: Process, variant: str, t: Tensor) -> dict[str, Tensor]:
    """sr3 is told a = sqrt(abar), ddpm the index counted from 0."""
    told = {"sr3": lambda: {"l": process.marginal(t).a.float()}, "ddpm": lambda: {"t": (t - 1).float()}}
    assert variant in told, f"unknown variant {variant!r}; known: sr3, ddpm"
    return told[variant]()


_LOOP = {
    "variant": None, "conditional": True, "schedule_opt": None, "clip_denoised": True, "continous": False, "cond": None,
    "batch": 1,
}  # fmt: skip


@torch.no_grad()
def loop(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Whole runs of DDIM at eta 1. The ddpm module draws at the last step too, times zero; ours does not draw there.

    `returned` is the published loop's: without "continous" the LAST picture of the batch only, a fault.
    We compare all pictures at every step, and take its choice out of them.
    """
    for name, case in meta["config"]["cases"].items():
        case = take(case, _LOOP)
        process, variant = _process(case["schedule_opt"]), case["variant"]
        cond = {"cond": given(meta["inputs"][case["cond"]])} if case["conditional"] else {}
        draws = Draws()
        states = _run(process, case, meta["config"], cond, draws)
        assert_close(states, outputs[f"{name}.x"], meta.get("tolerance"), f"{name}.x")
        assert draws.count == outputs[f"{name}.noises_drawn"] - (variant == "ddpm")
        assert_close(_returned(states, cond, case), outputs[f"{name}.returned"], None, f"{name}.returned")


def _run(
    process: Process,
    case: Mapping[str, Any],
    config: Mapping[str, Any],
    cond: Mapping[str, Tensor],
    draws: Draws,
) -> Tensor:
    """Every state, (T + 1, N, 3, size, size)."""
    form = _network(config, case["variant"], case["conditional"])
    anchor = torch.zeros(case["batch"], 3, config["size"], config["size"])

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        p = process.from_eps(x, anchor, t, form(x=x, **cond, **_told(process, case["variant"], t)))
        return process.from_x0(x, anchor, t, p.x0.clamp(-1, 1)) if case["clip_denoised"] else p

    start = process.prior(anchor, draws(anchor))
    times = torch.arange(process.steps, -1, -1, dtype=F64)
    steps = SAMPLERS["ddim"].run(process, denoise, start, anchor, times, draws, eta=1.0)
    return torch.stack([step.x for step in steps])


def _returned(states: Tensor, cond: Mapping[str, Tensor], case: Mapping[str, Any]) -> Tensor:
    if not case["continous"]:
        return states[-1][-1]
    total = len(states) - 1
    kept = [states[1 + i] for i in range(total) if (total - 1 - i) % (1 | (total // 10)) == 0]
    return torch.cat([cond.get("cond", states[0]), *kept])


@torch.no_grad()
def training(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """State, level and loss of a batch, at the draws that the fixture tells."""
    known = {"variant": None, "loss": "l1", "t": None, "u": None, "schedule_opt": None}
    names = {"HR": "x0", "SR": "cond", "noise": "eps"}
    inputs = {names[key]: given(spec) for key, spec in meta["inputs"].items()}
    for name, case in meta["config"]["cases"].items():
        case = take(case, known)
        form = _network(meta["config"], case["variant"], True)
        x, told, loss = _trained(_process(case["schedule_opt"]), case, form, **inputs)
        expected = {
            key.removeprefix(f"{name}."): v for key, v in outputs.items() if key.startswith(f"{name}.")
        }
        assert_close(x, expected["x_noisy"], None, f"{name}.x_noisy")
        assert_close(told.reshape(expected["level"].shape), expected["level"], 1e-6, f"{name}.level")
        assert_close(loss.mean(), expected["loss_per_element"], None, f"{name}.loss_per_element")
        assert_close(loss.mean() * x.numel(), expected["loss_sum"], None, f"{name}.loss_sum")


def _trained(
    process: Process,
    case: Mapping[str, Any],
    form: Callable[..., Tensor],
    *,
    x0: Tensor,
    cond: Tensor,
    eps: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """(the state that the network saw, what it was told, the loss of each picture)."""
    seen: list[Tensor] = []
    anchor, power, by_level = torch.zeros_like(x0), {"l1": 1, "l2": 2}[case["loss"]], case["variant"] == "sr3"

    def network(x: Tensor, told: Tensor) -> Tensor:
        told = told if by_level else told - 1  # indices count from 0 there
        seen.extend([x, told])
        return form(x=x, cond=cond, **{"l" if by_level else "t": told.float()})

    t = torch.as_tensor(case["t"], dtype=F64).expand(len(x0))
    if by_level:
        level = noise_level(process, t, torch.tensor(case["u"], dtype=F64))
        loss = level_conditional_loss(process, network, x0, anchor, level, eps, power=power)
    else:
        t = t.reshape(-1, 1, 1, 1) + 1
        loss = noise_matching_loss(process, network, x0, anchor, t, eps, power=power)
    return seen[0], seen[1], loss


RUNNERS = {"sr3/schedules": schedules, "sr3/sampler": loop, "sr3/training": training}
