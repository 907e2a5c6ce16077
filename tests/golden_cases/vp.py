"""Other people's samplers for variance preserving processes, as independent references of ours: diffusers' schedulers
and guided-diffusion's loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden_cases.closed_form import Draws, closed_form, closed_forms, take
from golden_cases.compare import assert_close, given
from restore_core.grids import leading, sections, time_grid
from restore_core.processes import (
    Prediction,
    Process,
    VarianceExploding,
    VariancePreserving,
    beta_schedule,
    zero_terminal,
)
from restore_core.samplers import SAMPLERS, Denoise, Step, invert

F64 = torch.float64

# --- diffusers ---------------------------------------------------------------------------------------------------

_BETAS = {
    "num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear",
    "prediction_type": "epsilon", "steps_offset": 0,
}  # fmt: skip
_DDIM = _BETAS | {
    "clip_sample": True, "set_alpha_to_one": True, "timestep_spacing": "leading", "rescale_betas_zero_snr": False,
}  # fmt: skip
_DDPM = _BETAS | {
    "clip_sample": True, "variance_type": "fixed_small", "timestep_spacing": "leading", "rescale_betas_zero_snr": False,
}  # fmt: skip
_DPM = _BETAS | {
    "solver_order": 2, "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lower_order_final": True,
    "euler_at_final": False, "use_karras_sigmas": False, "final_sigmas_type": "zero", "timestep_spacing": "linspace",
}  # fmt: skip
_EULER = _BETAS | {"use_karras_sigmas": False, "timestep_spacing": "linspace"}
_NAMES = {"linear": "linear", "scaled_linear": "quad", "squaredcos_cap_v2": "cosine"}


class _Run:
    """One case: its process, its network, what the scheduler published of it."""

    def __init__(
        self, meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray], name: str, case: Mapping[str, Any]
    ):
        self.name, self.steps = name, case["steps"]
        self.args = take(case["args"], _SCHEDULERS[case["scheduler"]][0])
        self.step_kwargs, self.tolerance = case["step_kwargs"], meta.get("tolerance")
        self.expected = {
            key.removeprefix(f"{name}."): v for key, v in outputs.items() if key.startswith(f"{name}.")
        }
        self.told = torch.from_numpy(self.expected["timesteps"]).double()
        inputs = {key: given(spec) for key, spec in meta["inputs"].items()}
        self.y, self.start = inputs["y"], inputs["x_T"]
        self.anchor = torch.zeros_like(self.start)
        (self._form,) = closed_forms(meta["config"]["network"]).values()
        kind = self.args["beta_schedule"]
        assert kind in _NAMES, f"{name}: unknown beta schedule {kind!r}; known: {', '.join(_NAMES)}"
        betas = beta_schedule(
            _NAMES[kind], self.args["num_train_timesteps"], self.args["beta_start"], self.args["beta_end"]
        )
        self.process = VariancePreserving(
            zero_terminal(betas) if self.args.get("rescale_betas_zero_snr") else betas
        )
        self.draws = Draws()

    def guess(self, x: Tensor, t: Tensor, times: Tensor) -> Prediction:
        """The network's answer, told the published timestep of the time nearest to t."""
        told = self.told[(times[: len(self.told)] - t).abs().argmin()].float()
        raw = self._form(x=x, y=self.y, t=told)
        process = self.process
        readings = {"epsilon": process.from_eps, "v_prediction": process.from_v, "sample": process.from_x0}
        kind = self.args["prediction_type"]
        assert kind in readings, (
            f"{self.name}: unknown prediction type {kind!r}; known: {', '.join(readings)}"
        )
        return readings[kind](x, self.anchor, t, raw)

    def denoiser(self, times: Tensor, clip: bool = False, rederive: bool = True) -> Denoise:
        """x0 clipped where asked, and eps derived again from it or, as diffusers' DDIM has it, not."""

        def denoise(x: Tensor, t: Tensor) -> Prediction:
            p = self.guess(x, t, times)
            if not clip:
                return p
            x0 = p.x0.clamp(-1, 1)
            return self.process.from_x0(x, self.anchor, t, x0) if rederive else Prediction(x0, p.eps)

        return denoise

    def grid(self) -> Tensor:
        """Our times, whole or not, at which the published timesteps (counted from 0) must lie; without the last 0."""
        spacing, offset = self.args["timestep_spacing"], self.args["steps_offset"]
        total = self.process.steps
        grids: Mapping[str, Callable[[], Tensor]] = {
            "leading": lambda: leading(total, self.steps, offset),
            "linspace": lambda: time_grid(self.process, self.steps, "uniform"),
            "trailing": lambda: time_grid(self.process, self.steps, "trailing"),
        }
        assert spacing in grids, f"{self.name}: unknown spacing {spacing!r}; known: {', '.join(grids)}"
        return grids[spacing]()[:-1]

    def rounded(self, grid: Tensor) -> Tensor:
        """The published timesteps + 1, after making sure that they are the grid's times rounded."""
        assert len(grid) == len(self.told), f"{self.name}: {len(grid)} times, {len(self.told)} published"
        assert (grid - 1 - self.told).abs().max() <= 0.5 + 1e-9, f"{self.name}: other times"
        return self.told + 1

    def compare(self, states: list[Tensor], guesses: list[Tensor]) -> None:
        """States and guesses within a part in 10^4: the schedulers hold float32 betas and products of them."""
        for key, ours in {"x": states, "x0": guesses}.items():
            if key in self.expected:
                assert_close(
                    torch.stack(ours), self.expected[key], self.tolerance, f"{self.name}.{key}", 1e-4
                )


def _ddim(run: _Run) -> None:
    """Each step goes from t to t - T // N whatever the next timestep is: diffusers' way, a slip unless N divides T."""
    options = take(run.step_kwargs, {"eta": 0.0, "use_clipped_model_output": False})
    process, x, guesses = run.process, run.start, []
    states = [x]
    stride, lowest = process.steps // run.steps, 0 if run.args["set_alpha_to_one"] else 1
    denoise = run.denoiser(
        run.told + 1, clip=run.args["clip_sample"], rederive=options["use_clipped_model_output"]
    )
    for t in run.rounded(run.grid()):
        times = torch.stack([t, (t - stride).clamp(min=lowest)])
        first, last = SAMPLERS["ddim"].run(
            process, denoise, x, run.anchor, times, run.draws, eta=options["eta"]
        )
        x = last.x
        states.append(x)
        guesses.append(first.prediction.x0)
    run.compare(states, guesses)


def _ddpm(run: _Run) -> None:
    """A chain that ends above index 1 gets noise in its last step there, with large variance: a fault.

    A sampler must not return noise, so ours does not; the published last state is ours with that noise laid over it.
    """
    take(run.step_kwargs, {})
    kinds = {"fixed_small": 0.0, "fixed_large": 1.0}
    kind, process = run.args["variance_type"], run.process
    assert kind in kinds, f"{run.name}: unknown variance {kind!r}; known: {', '.join(kinds)}"
    times = torch.cat([run.rounded(run.grid()), torch.zeros(1, dtype=F64)])
    denoise = run.denoiser(times, clip=run.args["clip_sample"])
    steps = list(
        SAMPLERS["ddim"].run(
            process, denoise, run.start, run.anchor, times, run.draws, eta=1.0, variance=kinds[kind]
        )
    )
    states = [step.x for step in steps]
    if kind == "fixed_large" and times[-2] > 1:
        states[-1] = states[-1] + process.forward_std(times[-1], times[-2]) * run.draws(states[-1])
    run.compare(states, [step.prediction.x0 for step in steps[:-1]])


def _dpm(run: _Run) -> None:
    """DPM-Solver++ of orders 1 to 3.

    Its third order takes half of the quadratic term (bend 1/2), which leaves second order: pinned as published, while
    our own default is the whole.
    """
    take(run.step_kwargs, {})
    times = _dpm_times(run)
    key, options = _dpm_sampler(run)
    steps = list(
        SAMPLERS[key].run(
            run.process, run.denoiser(times), run.start, run.anchor, times, run.draws, **options
        )
    )
    run.compare([step.x for step in steps], [step.prediction.x0 for step in steps[:-1]])


def _dpm_times(run: _Run) -> Tensor:
    """Ends at index 1 (sigma_min) or at 0; evenly spaced grids are those of one step more, without its last."""
    last = {"zero": 0.0, "sigma_min": 1.0}[run.args["final_sigmas_type"]]
    if run.args["use_karras_sigmas"]:
        times = time_grid(run.process, run.steps, "karras")[:-1]
        run.rounded(times)
    elif run.args["timestep_spacing"] == "trailing":
        times = run.rounded(run.grid())
    else:
        run.steps += 1
        times = run.rounded(run.grid()[:-1])
        run.steps -= 1
    times = torch.cat([times, torch.tensor([last], dtype=F64)])
    assert_close(run.process.level(times), run.expected["sigmas"], None, f"{run.name}.sigmas", 1e-4)
    return times


def _dpm_sampler(run: _Run) -> tuple[str, dict[str, Any]]:
    """The second order's midpoint rule is a sampler of its own; everything else is the exponential integrator."""
    args, steps = run.args, run.steps
    algorithms = {"dpmsolver++": 0.0, "sde-dpmsolver++": 1.0}
    assert args["algorithm_type"] in algorithms, f"{run.name}: unknown algorithm {args['algorithm_type']!r}"
    assert args["solver_type"] in ("midpoint", "heun"), f"{run.name}: unknown solver {args['solver_type']!r}"
    eta, midpoint = algorithms[args["algorithm_type"]], args["solver_type"] == "midpoint"
    to_zero, short = args["final_sigmas_type"] == "zero", args["lower_order_final"] and steps < 15
    if args["solver_order"] == 1:
        return "ddim", {"eta": eta}
    if args["solver_order"] == 2 and midpoint and to_zero:
        return ("multistep-sde", {"eta": eta}) if eta else ("multistep", {})
    orders = [min(args["solver_order"], 1 + i) for i in range(steps)]
    if short and steps > 1:
        orders[-2] = min(2, orders[-2])
    if short or to_zero or args["euler_at_final"]:
        orders[-1] = 1
    return "exponential", {"eta": eta, "order": orders, "midpoint": midpoint, "bend": 0.5}


def _exploding(run: _Run, key: str, options: Mapping[str, Any]) -> None:
    """Euler's and Heun's schedulers work on u = x/a, at the level sigma: our VarianceExploding view of the process."""
    take(run.step_kwargs, {})
    levels = torch.from_numpy(run.expected["sigmas"]).double()
    held = torch.cat([levels[:1], levels[1:][levels[1:] != levels[:-1]]])  # Heun lists the inner ones twice
    grid = run.grid()
    if run.args["use_karras_sigmas"]:
        grid = time_grid(run.process, run.steps, "karras", start=grid[0].item())[:-1]
    published = torch.cat([run.told[:1], run.told[1:][run.told[1:] != run.told[:-1]]])
    rounds = run.args["timestep_spacing"] == "trailing"
    assert_close(grid - 1, published.numpy(), 0.5 if rounds else 1e-2, f"{run.name}.timesteps")
    grid = published + 1 if rounds else grid
    # between indices sigma is interpolated there, log sigma here
    assert_close(run.process.level(grid) / held[:-1], np.ones(len(grid)), 1e-3, f"{run.name}.sigmas")
    times = torch.cat([run.process.time_of(held[:-1]), torch.zeros(1, dtype=F64)])
    run.told = published
    view, calls = VarianceExploding(run.process), []
    denoise = run.denoiser(times)

    def exploding(u: Tensor, t: Tensor) -> Prediction:
        calls.append((u, denoise(run.process.marginal(t).a * u, t)))
        return calls[-1][1]

    from_prior = run.args["timestep_spacing"] == "leading"
    start = run.start * (levels[0] ** 2 + from_prior).sqrt()
    for step in SAMPLERS[key].run(view, exploding, start, run.anchor, times, run.draws, **options):
        last = step.x
    run.compare([u for u, _ in calls] + [last], [p.x0 for _, p in calls])


_SCHEDULERS: Mapping[str, tuple[Mapping[str, Any], Callable[[_Run], None]]] = {
    "DDIMScheduler": (_DDIM, _ddim),
    "DDPMScheduler": (_DDPM, _ddpm),
    "DPMSolverMultistepScheduler": (_DPM, _dpm),
    "EulerDiscreteScheduler": (_EULER, lambda run: _exploding(run, "ddim", {"eta": 0.0})),
    "EulerAncestralDiscreteScheduler": (_EULER, lambda run: _exploding(run, "ddim", {"eta": 1.0})),
    "HeunDiscreteScheduler": (_EULER, lambda run: _exploding(run, "heun", {})),
}


@torch.no_grad()
def diffusers(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """Trajectories of diffusers' schedulers. Noise that they draw and multiply by zero at the end ours do not draw."""
    known = {"scheduler": None, "steps": None, "scale_initial": False, "step_kwargs": None, "args": None}
    for name, case in meta["config"]["cases"].items():
        case = take(case, known)
        scheduler = case["scheduler"]
        assert scheduler in _SCHEDULERS, f"{name}: no runner for {scheduler}; known: {', '.join(_SCHEDULERS)}"
        assert case["scale_initial"] == (_SCHEDULERS[scheduler][0] is _EULER), f"{name}: unknown start"
        run = _Run(meta, outputs, name, case)
        _SCHEDULERS[scheduler][1](run)
        idle = run.expected["noises_drawn"] - run.draws.count
        assert idle in (0, 1), f"{name}: {run.draws.count} draws, published {run.expected['noises_drawn']}"


# --- guided-diffusion --------------------------------------------------------------------------------------------

_GUIDED = {
    "loop": None, "schedule": None, "train_steps": 1000, "respacing": "", "mean_type": "EPSILON",
    "var_type": "FIXED_SMALL", "clip": True, "eta": 0.0, "rescale_timesteps": False,
}  # fmt: skip
_VARIANCES = {"FIXED_SMALL": 0.0, "FIXED_LARGE": 1.0, "LEARNED_RANGE": 0.0}


def _guided_betas(case: Mapping[str, Any]) -> Tensor:
    steps = case["train_steps"]
    ends = {"linear": (0.1 / steps, 20 / steps), "cosine": (0.0, 0.0)}
    assert case["schedule"] in ends, f"unknown schedule {case['schedule']!r}; known: {', '.join(ends)}"
    return beta_schedule(case["schedule"], steps, *ends[case["schedule"]])


def _chain_arrays(process: Process, times: Tensor) -> dict[str, Tensor]:
    """The respaced chain's arrays, ascending."""
    t, t_next = times[:-1].flip(0), times[1:].flip(0)
    return {
        "timestep_map": t - 1,
        "alphas_cumprod": process.marginal(t).a ** 2,
        "betas": process.forward_std(t_next, t) ** 2,
        "posterior_variance": process.posterior_std(t_next, t) ** 2,
    }


@torch.no_grad()
def guided(meta: Mapping[str, Any], outputs: Mapping[str, np.ndarray]) -> None:
    """p_sample, ddim_sample and ddim_reverse_sample on respaced chains."""
    text = meta["config"]["network"]
    (mean,) = closed_forms(text).values()
    spread = closed_form(text.split("of the output are ")[1]) if "of the output are " in text else None
    inputs = {key: given(spec) for key, spec in meta["inputs"].items()}
    for name, case in meta["config"]["cases"].items():
        case = take(case, _GUIDED)
        betas = _guided_betas(case)
        times = sections(len(betas), case["respacing"])
        expected = {
            key.removeprefix(f"{name}."): v for key, v in outputs.items() if key.startswith(f"{name}.")
        }
        ours: dict[str, Tensor] = _chain_arrays(VariancePreserving(betas), times)
        steps, count = _guided_steps(case, betas, times, mean, spread, inputs)
        ours["x"] = torch.stack([step.x for step in steps])
        ours["x0"] = torch.stack([step.prediction.x0 for step in steps[:-1]])
        drawn = 0 if case["loop"] == "reverse" else len(times)  # one for x_T, one a step, used or not
        ours["noises_drawn"] = torch.tensor(drawn)
        used = len(times) - 2 if case["loop"] == "p" or case["eta"] > 0 else 0
        assert count == (1 + used if drawn else 0), f"{name}: {count} draws of ours"
        assert set(expected) <= set(ours), f"{name}: unknown arrays {sorted(set(expected) - set(ours))}"
        for key, value in expected.items():
            assert_close(ours[key], value, meta.get("tolerance"), f"{name}.{key}")


def _guided_steps(
    case: Mapping[str, Any],
    betas: Tensor,
    times: Tensor,
    mean: Callable[..., Tensor],
    spread: Callable[..., Tensor] | None,
    inputs: Mapping[str, Tensor],
) -> tuple[list[Step], int]:
    """(every step, how many draws)."""
    # one index of pure noise beyond T: where ddim_reverse_sample's last step leads
    process = VariancePreserving(torch.cat([betas, torch.ones(1, dtype=F64)]))
    readings = {"EPSILON": process.from_eps, "START_X": process.from_x0}
    assert case["mean_type"] in readings, f"unknown mean {case['mean_type']!r}; known: {', '.join(readings)}"
    assert case["var_type"] in _VARIANCES, (
        f"unknown variance {case['var_type']!r}; known: {', '.join(_VARIANCES)}"
    )
    y, anchor = inputs["y"], torch.zeros_like(inputs["x_0"])

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        told = ((t - 1) * (1000 / case["train_steps"] if case["rescale_timesteps"] else 1)).float()
        p = readings[case["mean_type"]](x, anchor, t, mean(x=x, y=y, t=told))
        if case["clip"]:
            p = process.from_x0(x, anchor, t, p.x0.clamp(-1, 1))
        learned = case["var_type"] == "LEARNED_RANGE"
        return p._replace(variance=(spread(x=x, y=y) + 1) / 2) if learned else p

    if case["loop"] == "reverse":
        upwards = torch.cat([times[:-1].flip(0), torch.tensor([process.steps], dtype=F64)])
        return list(invert(process, denoise, inputs["x_0"], anchor, upwards)), 0
    etas = {"p": 1.0, "ddim": case["eta"]}
    assert case["loop"] in etas, f"unknown loop {case['loop']!r}; known: reverse, {', '.join(etas)}"
    variance = _VARIANCES[case["var_type"]] if case["loop"] == "p" else 0.0
    draws = Draws()
    start = process.prior(anchor, draws(anchor))
    run = SAMPLERS["ddim"].run(
        process, denoise, start, anchor, times, draws, eta=etas[case["loop"]], variance=variance
    )
    return list(run), draws.count


RUNNERS = {"vp/diffusers": diffusers, "vp/guided-diffusion": guided}
