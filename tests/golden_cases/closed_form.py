"""The fixtures' closed-form networks, read from the text of their JSON, and their noise by number."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from golden_cases.compare import normal

_FUNCTIONS = {"sin": torch.sin, "cos": torch.cos, "tanh": torch.tanh}
_OPERATORS = {ast.Add: torch.add, ast.Sub: torch.sub, ast.Mult: torch.mul, ast.Div: torch.div}


def closed_form(text: str) -> Callable[..., Tensor]:
    """The function that a text such as "0.5*x + 0.25*sin(x + 0.7*t), t an index" begins with; the rest is prose."""
    expression = _leading_expression(text)
    tree = ast.parse(expression, mode="eval").body

    def network(**values: Any) -> Tensor:
        return _evaluate(tree, values, expression)

    return network


def closed_forms(text: str) -> Mapping[tuple[str, ...], Callable[..., Tensor]]:
    """Every "name(arguments) = expression" in a text, by its arguments."""
    found = re.finditer(r"\w+\(([\w, ]+)\) = ", text)
    return {tuple(m[1].split(", ")): closed_form(text[m.end() :]) for m in found}


def _leading_expression(text: str) -> str:
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        ends = character in ",;" or re.match(r"\.(\s|$)", text[i:])
        if depth == 0 and ends:
            return text[:i].strip()
    return text.strip()


def _evaluate(node: ast.expr, values: Mapping[str, Any], whole: str) -> Tensor:
    match node:
        case ast.Constant(value=int() | float() as number):
            return torch.tensor(float(number))
        case ast.Name(id=name) if name in values:
            return torch.as_tensor(values[name])
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left, values, whole), _evaluate(right, values, whole))
        case ast.Call(func=ast.Name(id=name), args=[argument]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_evaluate(argument, values, whole))
    raise AssertionError(
        f"cannot read {ast.unparse(node)!r} in the network {whole!r}; known: {sorted(values)}"
    )


class Draws:
    """The k-th normal draw of a run is procedural.normal(prefix + k).

    count    draws so far: the number of the next
    sign     -1 where the published code subtracts its noise
    repeat   the first picture's draw for all of the batch
    """

    def __init__(self, prefix: str = "noise:", first: int = 0, sign: float = 1.0, repeat: bool = False):
        self.prefix, self.count, self.sign, self.repeat = prefix, first, sign, repeat

    def __call__(self, like: Tensor) -> Tensor:
        z = normal(f"{self.prefix}{self.count}", tuple(like.shape))
        self.count += 1
        return self.sign * (z[:1].expand(like.shape) if self.repeat else z)


def take(settings: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """`known` with its defaults replaced by `settings`; a field that is not known fails, for it might mean anything."""
    unknown = sorted(set(settings) - set(known))
    assert not unknown, f"the fixture has fields that its runner does not know: {', '.join(unknown)}"
    return {**known, **settings}
