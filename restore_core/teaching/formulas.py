"""One sampler step as a sum of terms: coefficients and pictures whose total is the sampler's next x.

    rule               x' = a' D + b' y + rho s eps + sigma z                                    ddim, ancestral
    extrapolated       the same with D_bar = D + h/(2 h_prev) (D - D_prev) and its eps_bar       multistep (2M)
    in differences     x' = x + (a'-a) D + (b'-b) y + (s'-s - G/2s) eps + sqrt(G) z              reverse SDE
    mean of two        x' = x + (a'-a)(D+D2)/2 + (b'-b) y + (s'-s)(eps+eps2)/2                   Heun

These are read off the step that was made, not made again by the sampler's code: that both agree is what the tests say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from restore_core.errors import SettingsError
from restore_core.processes import Prediction, Process
from restore_core.samplers.base import kept


@dataclass(frozen=True)
class Term:
    """coefficient x picture. `symbol` in LaTeX, `role` for the page: state, guess, anchor, noise, fresh."""

    coefficient: float
    symbol: str
    role: str
    picture: Tensor


@dataclass(frozen=True)
class StepFormula:
    """x' = sum of the terms. `law` in symbols, `inset` a line that says what a symbol in it means (or "")."""

    law: str
    terms: tuple[Term, ...]
    inset: str = ""

    def total(self) -> Tensor:
        """The next x, from the terms alone."""
        first, *rest = self.terms
        total = first.coefficient * first.picture
        for term in rest:
            total = total + term.coefficient * term.picture
        return total

    def latex(self, digits: int = 3) -> str:
        """x' with the numbers in it."""
        text = "x' ="
        for k, term in enumerate(self.terms):
            sign = "-" if term.coefficient < 0 else "+" if k else ""
            number = "" if term.role == "state" else f"{abs(term.coefficient):.{digits}f}\\,"
            text += f" {sign} {number}{term.symbol}"
        return text

    def at(self, row: int, column: int, channel: int = 0, digits: int = 3) -> str:
        """The same for one number of one pixel, with its value at the end."""
        numbers = [(t.coefficient, t.picture[0, channel, row, column].item()) for t in self.terms]
        parts = [f"{c:.{digits}f}\\cdot{_bracket(v, digits)}" for c, v in numbers]
        total = self.total()[0, channel, row, column].item()
        return " + ".join(parts).replace("+ -", "- ") + f" = {total:.{digits}f}"


@dataclass(frozen=True)
class Made:
    """One step that a sampler made, and all that went into it.

    calls   the network's guesses inside the step: one, or two for Heun
    past    (log(a/s), guess) of the step before, None at the first
    fresh   the noise that was drawn, None where none was
    """

    process: Process
    y: Tensor
    t: Tensor
    t_next: Tensor
    x: Tensor
    calls: Sequence[Prediction]
    past: tuple[float, Tensor] | None
    fresh: Tensor | None


def formula(sampler: str, made: Made, eta: float = 0.0) -> StepFormula:
    """The step of `sampler` as terms. eta as in the sampler's options; without meaning for heun and multistep."""
    if made.process.marginal(made.t_next).s.item() == 0:
        return _arrival(sampler, made)
    if sampler not in FORMULAS:
        known = ", ".join(FORMULAS)
        raise SettingsError(
            f"There is no formula to show for the sampler '{sampler}'. Choose one of {known}."
        )
    return FORMULAS[sampler](made, eta)


def _rule(made: Made, eta: float) -> StepFormula:
    return StepFormula(
        r"x' = a'D + b'y + \rho s\,\varepsilon + \sigma z", _rule_terms(made, made.calls[0], eta)
    )


def _rule_terms(made: Made, guess: Prediction, eta: float, bar: str = "") -> tuple[Term, ...]:
    process, t, t_next = made.process, made.t, made.t_next
    a, b, _ = process.marginal(t_next)
    name = (lambda symbol: rf"\bar {symbol}") if bar else (lambda symbol: symbol)
    terms = [
        Term(a.item(), name("D"), "guess", guess.x0),
        Term(b.item(), "y", "anchor", made.y),
        Term(kept(process, t_next, t, eta).item(), name(r"\varepsilon"), "noise", guess.eps),
    ]
    if made.fresh is not None:
        terms.append(Term(eta * process.posterior_std(t_next, t).item(), "z", "fresh", made.fresh))
    return tuple(_without_anchor(terms))


def _extrapolated(made: Made, eta: float) -> StepFormula:
    process, guess = made.process, made.calls[0]
    law = r"x' = a'\bar D + b'y + \rho s\,\bar\varepsilon" + (
        r" + \sigma z" if made.fresh is not None else ""
    )
    now, ahead = process.log_snr(made.t).item(), process.log_snr(made.t_next).item()
    if made.past is None or not math.isfinite(made.past[0]):
        return StepFormula(law, _rule_terms(made, guess, eta), r"\bar D = D")
    before, previous = made.past
    weight = (ahead - now) / (2 * (now - before))  # half the step over the step before, in log(a/s)
    bar = guess.x0 + weight * (guess.x0 - previous)
    terms = _rule_terms(made, process.from_x0(made.x, made.y, made.t, bar), eta, "bar")
    return StepFormula(law, terms, rf"\bar D = D + {weight:.3f}\,(D - D_{{\text{{before}}}})")


def _in_differences(made: Made, eta: float) -> StepFormula:
    (a, b, s), (a1, b1, s1) = made.process.marginal(made.t), made.process.marginal(made.t_next)
    guess, fresh = made.calls[0], eta * made.process.forward_std(made.t_next, made.t).item()
    on_eps = (s1 - s).item() - fresh**2 / (2 * s.item())
    terms = [
        Term(1.0, "x", "state", made.x),
        Term((a1 - a).item(), "D", "guess", guess.x0),
        Term((b1 - b).item(), "y", "anchor", made.y),
        Term(on_eps, r"\varepsilon", "noise", guess.eps),
    ]
    if made.fresh is not None:
        terms.append(Term(fresh, "z", "fresh", made.fresh))
    law = r"x' = x + (a'-a)D + (b'-b)y + \left(s'-s-\tfrac{G}{2s}\right)\varepsilon + \sqrt{G}\,z"
    return StepFormula(law, tuple(_without_anchor(terms)))


def _mean_of_two(made: Made, eta: float) -> StepFormula:
    (a, b, s), (a1, b1, s1) = made.process.marginal(made.t), made.process.marginal(made.t_next)
    one, two = made.calls
    terms = [
        Term(1.0, "x", "state", made.x),
        Term((a1 - a).item(), r"\tfrac{D+D_2}{2}", "guess", (one.x0 + two.x0) / 2),
        Term((b1 - b).item(), "y", "anchor", made.y),
        Term((s1 - s).item(), r"\tfrac{\varepsilon+\varepsilon_2}{2}", "noise", (one.eps + two.eps) / 2),
    ]
    law = r"x' = x + (a'-a)\tfrac{D+D_2}{2} + (b'-b)y + (s'-s)\tfrac{\varepsilon+\varepsilon_2}{2}"
    inset = r"D_2,\ \varepsilon_2:\ \text{asked at the end of a trial step}"
    return StepFormula(law, tuple(_without_anchor(terms)), inset)


def _arrival(sampler: str, made: Made) -> StepFormula:
    """The last step of them all: no noise is left at t = 0, so the guess is the result."""
    guess = made.calls[0].x0
    inset = ""
    if sampler.startswith("multistep"):
        inset = r"\text{the last step does not extrapolate}"
    a, b, _ = made.process.marginal(made.t_next)
    terms = [Term(a.item(), "D", "guess", guess), Term(b.item(), "y", "anchor", made.y)]
    return StepFormula(r"x' = D", tuple(_without_anchor(terms)), inset)


def _without_anchor(terms: list[Term]) -> list[Term]:
    """An anchor of zeros, or with no weight, is no term."""
    return [t for t in terms if t.role != "anchor" or (t.coefficient != 0 and bool(t.picture.any()))]


FORMULAS = {
    "ddim": _rule,
    "multistep": lambda made, eta: _extrapolated(made, 0.0),
    "multistep-sde": _extrapolated,
    "euler-maruyama": _in_differences,
    "heun": _mean_of_two,
}


def _bracket(value: float, digits: int) -> str:
    shown = f"{value:.{digits}f}"
    return f"({shown})" if shown.startswith("-") else shown
