"""From a run's state to a weights file with a card: what it is, how it came about, what it was worth."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from restore_core.degradations import TASKS
from restore_core.training.loop import Choices, Plan, recipe_of

CARD = """# {method}/{task}

{fault}, as the task '{task}' draws it.

| | |
|---|---|
| networks | {millions:.1f} million parameters, half precision |
| loss | {loss} |
| data | {data} |
| updates | {update:,} of {batch} crops of {crop} px, averaged weights (decay {average}) |
| command | `{command}` |
| time | {hours:.1f} h, finished {day} |
| held-out photographs | {score} |
| licence | yours to choose, as far as the photographs allow |
"""


def export(state: Path, path: Path) -> dict[str, Any]:
    """Write the averaged weights of a run as safetensors; returns its plan and progress."""
    saved = torch.load(state, weights_only=True, map_location="cpu")
    plan = saved["plan"]
    recipe = recipe_of(plan_of(plan))
    average = recipe.build()
    average.load_state_dict(saved["average"])
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.contiguous() for key, value in recipe.file(average).items()}
    part = path.with_suffix(".part")
    about = {"architecture": recipe.key if recipe.key != "dvsr" else "compact", "task": plan["task"]}
    save_file(tensors, part, metadata=about)
    os.replace(part, path)
    numbers = sum(p.numel() for p in average.parameters())
    return {**plan, "update": saved["update"], "seconds": saved["seconds"], "parameters": numbers}


def plan_of(plan: Mapping[str, Any]) -> Plan:
    """A plan as it was saved, by whatever version: what is new since then has its default."""
    known = {key: value for key, value in plan.items() if key in Plan.__dataclass_fields__}
    return Plan(**(known | {"choices": Choices(**plan.get("choices", {}))}))


def card(facts: Mapping[str, Any], log: Path, data: str, command: str) -> str:
    """The model card of a run in Markdown. facts: what `export` returned; log: the run's log.jsonl."""
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    scores = [row for row in rows if row.get("psnr") is not None]
    score = "not measured"
    if scores:
        last = scores[-1]
        score = f"{last['psnr']:.2f} dB, input {last['psnr_input']:.2f} dB at the standard damage (middle 192 px)"
    plan = plan_of(facts)
    return CARD.format(
        method=plan.method, task=plan.task, fault=TASKS[plan.task].fault.capitalize(),
        millions=facts["parameters"] / 1e6, loss=recipe_of(plan).loss, data=data, update=facts["update"],
        batch=plan.batch, crop=plan.crop, average=plan.average, command=command, hours=facts["seconds"] / 3600,
        day=time.strftime("%Y-%m-%d"), score=score,
    )  # fmt: skip


__all__ = ["card", "export", "plan_of"]
