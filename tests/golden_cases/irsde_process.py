"""IR-SDE's, Denoising-SDE's, DA-CLIP's and MaRS's schedules, walks and training states, by our mean reversion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden_cases.closed_form import Draws, closed_forms, take
from golden_cases.compare import assert_close, given
from restore_core.processes import Denoising, MeanReverting, Prediction, theta_schedule
from restore_core.samplers import SAMPLERS
from restore_core.training.objectives import maximum_likelihood_loss

F64 = torch.float64
_SDE = {"class": "IRSDE", "max_sigma": None, "T": None, "sample_T": None, "schedule": "cosine", "eps": None}
_DENOISING_END = 0.04


def _process(sde: Mapping[str, Any]) -> MeanReverting:
    """max_sigma counts in grey levels of 255 from 1 upwards (above 1 for DenoisingSDE), else in the state's units."""
    sde = take(sde, _SDE)
    kinds = {"IRSDE": MeanReverting, "DACLIP.IRSDE": MeanReverting, "DenoisingSDE": Denoising}
    assert sde["class"] in kinds, f"unknown class {sde['class']!r}; known: {', '.join(kinds)}"
    denoising, sigma = sde["class"] == "DenoisingSDE", sde["max_sigma"]
    grey = sigma > 1 if denoising else sigma >= 1
    end = (_DENOISING_END if denoising else 0.01) if sde["eps"] is None else sde["eps"]
    thetas = theta_schedule(sde["schedule"], sde["sample_T"] or sde["T"])
    return kinds[sde["class"]](thetas, sigma / 255 if grey else sigma, eps=end)


def schedules(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Every array of the published constructors, which count in float32 and lose digits where 1 - a^2 is small."""
    for name, sde in meta["schedules"].items():
        process = _process(sde)
        ours = _arrays(sde, process)
        stored = {key.removeprefix(f"{name}/"): v for key, v in outputs.items() if key.startswith(f"{name}/")}
        assert stored and set(stored) <= set(ours), (
            f"{name}: unknown arrays {sorted(set(stored) - set(ours))}"
        )
        for key, expected in stored.items():
            cancels = key in ("sigma_bars", "posterior_std", "optimum_coef_xt", "optimum_coef_x0")
            t = torch.arange(process.steps + 1, dtype=F64)[-expected.size :]
            spread = _rounding(process, t) * (process.scale if key in ("sigma_bars", "posterior_std") else 4)
            relative = 1e-5 if key == "sigmas" else 3e-6  # the root of theta_0 = 1 - f, which cancels too
            _assert_within(ours[key], expected, relative, spread if cancels else 0.0, f"{name}/{key}")


def _rounding(process: MeanReverting, t: Tensor) -> Tensor:
    """About how much of s_t, relatively, float32 loses in 1 - a^2: 2^-24/(1 - a^2), at most everything."""
    return (2**-24 * (process.scale / process.marginal(t).s) ** 2).clamp(max=1.0)


def _assert_within(
    actual: Tensor, expected: np.ndarray, relative: float, spread: Tensor | float, what: str
) -> None:
    """|actual - expected| <= relative max(|expected|) + spread, entry by entry."""
    expected = torch.as_tensor(expected).double()
    assert actual.shape == expected.shape, f"{what}: {tuple(actual.shape)} != {tuple(expected.shape)}"
    excess = (actual.double() - expected).abs() - relative * expected.abs().max() - spread
    assert excess.max() <= 0, f"{what}: {excess.max():.3g} more than allowed"


def _arrays(sde: Mapping[str, Any], process: MeanReverting) -> dict[str, Tensor]:
    t = torch.arange(process.steps + 1, dtype=F64)
    later, earlier = t[1:], t[:-1]
    thetas = theta_schedule(sde.get("schedule", "cosine"), process.steps, first=0)
    zero, one = torch.zeros_like(later), torch.ones_like(later)
    arrays = {
        "thetas": thetas,
        "sigmas": (2 * process.scale**2 * thetas).sqrt(),
        "thetas_cumsum": -process.decay(t).log() / process.dt,
        "sigma_bars": process.marginal(t).s,
        "dt": torch.tensor(process.dt),
        "max_sigma": torch.tensor(process.scale),
        "weights": process.decay(t),
        "posterior_std": process.posterior_std(earlier, later),
        "optimum_coef_xt": process.posterior_mean(one, zero, earlier, later, zero),
        "optimum_coef_x0": process.posterior_mean(zero, zero, earlier, later, one),
    }
    if sde["class"] == "DenoisingSDE":
        noisy = torch.tensor([5, 15, 25, 35, 50], dtype=F64) / 255
        arrays["optimal_timestep"] = process.time_of(noisy).round()
    return arrays


class _Task:
    """One fixture's process, pictures and closed-form network."""

    def __init__(
        self, meta: Mapping[str, Any], process: MeanReverting, shift: float = 0.0, rate: float = 1.0
    ):
        self.meta, self.process, self.shift, self.rate = meta, process, shift, rate
        self.inputs = {key: given(spec) for key, spec in meta["inputs"].items()}
        unknown = sorted(set(self.inputs) - {"x0", "y", "x_start"})
        assert not unknown, f"unknown inputs {unknown}"
        self.anchor = (
            self.inputs["y"] if "y" in self.inputs else torch.zeros_like(next(iter(self.inputs.values())))
        )
        forms = closed_forms(meta["predictor"])
        self._form = forms[("x", "mu", "t") if "y" in self.inputs else ("x", "t")]

    def noise_of(self, x: Tensor, t: Tensor) -> Tensor:
        """The network's answer; it is told the time (t - shift) rate."""
        told = ((t - self.shift) * self.rate).float()
        return self._form(x=x, mu=self.anchor, t=told, k=self.process.scale)

    def denoise(self, x: Tensor, t: Tensor) -> Prediction:
        return self.process.from_eps(x, self.anchor, t, self.noise_of(x, t))

    def know(self, x: Tensor, t: Tensor) -> Prediction:
        """The denoiser that knows the answer."""
        return self.process.from_x0(x, self.anchor, t, self.inputs["x0"])

    def walk(
        self,
        key: str,
        denoise: Callable[[Tensor, Tensor], Prediction],
        start: Tensor,
        times: Tensor,
        draws: Callable[[Tensor], Tensor],
        **options: Any,
    ) -> Tensor:
        """Every state of a run."""
        run = SAMPLERS[key].run(self.process, denoise, start, self.anchor, times, draws, **options)
        return torch.stack([step.x for step in run])


_WALKS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "reverse_sde": ("euler-maruyama", {"eta": 1.0, "drift": "plain"}),
    "reverse_ode": ("euler-maruyama", {"eta": 0.0, "drift": "plain"}),
    "reverse_posterior": ("ddim", {"eta": 1.0}),
    "optimal_reverse": ("ddim", {"eta": 1.0}),
}


_POSTERIORS = ("reverse_posterior", "optimal_reverse")


@torch.no_grad()
def walks(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Every published sampler's trajectory.

    reverse_sde subtracts its noise, at the last step too. reverse_posterior draws there as well, at a scale of 1e-10:
    ours does not. optimal_reverse is the posterior mean with the true x0.
    """
    sde = take(meta["sde"], _SDE)
    rate = sde["T"] / sde["sample_T"] if sde["sample_T"] else 1.0
    task = _Task(meta, _process(meta["sde"]), rate=rate)
    for name in meta["samplers"]:
        states, count = _forward(task) if name == "forward" else _backward(task, name)
        spread = _posterior_slack(task.process, len(states)) if name in _POSTERIORS else 0.0
        _assert_within(states, outputs[name], meta.get("tolerance", 1e-5), spread, name)
        assert count + (name == "reverse_posterior") == outputs[f"{name}_draws"], f"{name}: {count} draws"


def _posterior_slack(process: MeanReverting, states: int) -> Tensor:
    """What the float32 coefficients of the published posterior mean have lost by each state, of differences about 1."""
    visited = torch.arange(process.steps, process.steps - states + 1, -1, dtype=F64)
    lost = torch.cat([torch.zeros(1, dtype=F64), _rounding(process, visited).cumsum(0)])
    return lost.reshape(-1, 1, 1, 1)


def _forward(task: _Task) -> tuple[Tensor, int]:
    """x + k (y - x) + sqrt(g2) z for t = 1..T: Euler on the forward SDE, at our process's own rates."""
    x, draws = task.inputs["x0"], Draws(task.meta["noise_prefix"])
    states = [x]
    for earlier, later in pairwise(torch.arange(task.process.steps + 1, dtype=F64)):
        k, _, g2 = task.process.rates(earlier, later)
        x = x + k * (task.anchor - x) + g2.sqrt() * draws(x)
        states.append(x)
    return torch.stack(states), draws.count


def _backward(task: _Task, name: str) -> tuple[Tensor, int]:
    assert name in _WALKS, f"unknown sampler {name!r}; known: forward, {', '.join(_WALKS)}"
    key, options = _WALKS[name]
    draws = Draws(task.meta["noise_prefix"])
    top = task.process.steps
    if "start_sigma" in task.meta:  # a noisy picture is a state already
        start = task.inputs["x_start"]
        top = task.process.time_of(torch.tensor(task.meta["start_sigma"] / 255)).round().item()
    else:
        start = task.process.prior(task.anchor, draws(task.anchor))
    draws.sign = -1.0 if name == "reverse_sde" else 1.0
    times = torch.arange(top, -1, -1, dtype=F64)
    if name == "optimal_reverse":
        return task.walk(key, task.know, start, times, torch.zeros_like, **options), draws.count
    return task.walk(key, task.denoise, start, times, draws, **options), draws.count


_MARS = {
    "num_sample_steps": None, "solver_type": None, "parameterization": None, "order": None, "fit_target": "noise",
    "lambda_min": -5.0, "time_schedule": "linspace",
}  # fmt: skip


@torch.no_grad()
def mars(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """MaRS's exponential integrators. Its schedule keeps theta_0, so its time t is our t + 1 and never quite arrives.

    Its third order takes half of the quadratic term (bend 1/2), as DPM-Solver++'s does: pinned as published here, while
    our own default is the whole, which alone is of third order.
    """
    sde = take(meta["sde"], _SDE)
    thetas = theta_schedule(sde["schedule"], sde["T"], first=0)
    task = _Task(meta, MeanReverting(thetas, sde["max_sigma"] / 255, eps=sde["eps"]), shift=1.0)
    for run in meta["runs"]:
        name, args = run["name"], take(run["args"], _MARS)
        steps, order = args["num_sample_steps"], args["order"]
        assert args["time_schedule"] == "linspace" and args["fit_target"] == "noise", (
            f"{name}: unknown arguments"
        )
        times = torch.linspace(sde["T"], 0, steps + 1, dtype=F64) + 1
        a, _, s = task.process.marginal(times)
        lost = _rounding(task.process, times)
        for key, ours, spread in (
            ("timesteps", times - 1, 0.0),
            ("alphas", a, 0.0),
            ("sigmas", s, s * lost),
            ("lambdas", task.process.log_snr(times), lost),
        ):
            _assert_within(ours, outputs[f"{name}/{key}"], 3e-6, spread, f"{name}/{key}")
        draws = Draws(meta["noise_prefix"])
        start = task.process.prior(task.anchor, draws(task.anchor))
        key, options = _integrator(args)
        options |= {"order": _orders(order, steps), "bend": 0.5}
        states = task.walk(key, task.denoise, start, times, draws, **options)
        assert_close(states, outputs[f"{name}/states"], meta.get("tolerance", 2e-5), f"{name}/states")


def _integrator(args: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    kinds: Mapping[tuple[str, str], tuple[str, dict[str, Any]]] = {
        ("ode", "data"): ("exponential", {"eta": 0.0}),
        ("sde", "data"): ("exponential", {"eta": 1.0}),
        ("ode", "noise"): ("exponential-noise", {}),
    }
    kind = (args["solver_type"], args["parameterization"])
    assert kind in kinds, f"no sampler of ours is MaRS's {kind}; known: {list(kinds)}"
    return kinds[kind]


def _orders(order: int, steps: int) -> Sequence[int]:
    """1, 2, .. at the start, then `order`; below 10 steps lower again towards the end, but not at the last step."""
    lowered = [min(order, steps - i) if steps < 10 else order for i in range(order, steps)]
    return [*range(1, order), *lowered, order]


@torch.no_grad()
def training(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """States, targets and losses, one t a picture."""
    process = _process(meta["sde"])
    task = _Task(meta, process)
    x0, y = task.inputs["x0"], task.anchor
    t = torch.tensor(meta["timesteps"], dtype=F64).reshape(-1, 1, 1, 1)
    eps = Draws(meta["noise_prefix"])(x0)
    x = process.diffuse(x0, y, t, eps)
    p = task.denoise(x, t)
    losses = {
        f"loss_l{power}": maximum_likelihood_loss(process, task.noise_of, x0, y, t, eps, power=power).mean()
        for power in (1, 2)
    }
    ours = losses | {
        "x_t": x,
        "noise_prediction": p.eps,
        "real_noise": process.from_x0(x, y, t, x0).eps,
        "real_score": process.score(t, process.from_x0(x, y, t, x0)),
        "x_prev_expectation": process.euler_mean(x, y, t - 1, t, p),
        "x_prev_optimum": process.posterior_mean(x, y, t - 1, t, x0),
        "x0_from_noise": p.x0,
    }
    assert set(outputs) <= set(ours), f"unknown arrays {sorted(set(outputs) - set(ours))}"
    slack = _training_slack(process, t, ours, outputs)
    for key, expected in outputs.items():
        _assert_within(ours[key], expected, 1e-5, slack.get(key, slack["states"]), key)


def _training_slack(
    process: MeanReverting, t: Tensor, ours: Mapping[str, Tensor], outputs: Mapping[str, np.ndarray]
) -> dict[str, Tensor]:
    """What float32 loses: in s, in the coefficients of the optimum, by dividing by s; the losses inherit it."""
    lost, s = _rounding(process, t), process.marginal(t).s
    published = {key: torch.from_numpy(value).double() for key, value in outputs.items()}
    peak = lambda key: published[key].abs().amax((1, 2, 3), keepdim=True)  # noqa: E731
    ends = ("x_prev_expectation", "x_prev_optimum")
    off = sum((ours[key] - published[key]).abs() for key in ends)
    gaps = [(source[ends[0]] - source[ends[1]]).abs() for source in (ours, published)]
    return {
        "states": 4 * s * lost,
        "x_prev_optimum": 4 * lost,
        "real_noise": lost * peak("real_noise") + 2**-22 / s,
        "real_score": lost * peak("real_score") + 2**-22 / s**2,
        "loss_l1": off.mean(),
        "loss_l2": (off * (gaps[0] + gaps[1])).mean(),
    }


RUNNERS = {
    "irsde/schedules": schedules,
    "irsde/sampler": walks,
    "irsde/mr-sampler": mars,
    "irsde/training": training,
}
