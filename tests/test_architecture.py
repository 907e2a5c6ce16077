"""Who may import whom, read from the source; and that what is exported is what is named."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import restore_core

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "restore_core"

ROWS: dict[str, int] = {
    "errors": -1, "bands": -1, "counting": -1, "schedules": -0.5, "levels": 0, "processes": 0, "networks": 0,
    "devices": 0, "colour": 0, "refusals": 0,
    "memory": 0.5, "decoding": 0.5, "settings": 1, "images": 1, "checkpoints": 1,
    "samplers": 2, "grids": 2, "problem": 2, "tiling": 2, "guidance": 2, "operators": 2, "degradations": 2,
    "metrics": 2, "export": 2, "methods": 3, "engine": 3, "diagnosis": 3, "invention": 3.5, "timing": 3.5,
    "library": 4, "moments": 4, "training": 4, "tradeoff": 4,
    "job": 4.5, "evaluation": 4.5, "teaching": 4.5, "batch": 4.6, "comparison": 4.7, "cluster": 4.7,
    "commands": 5, "ui": 5, "cli": 5.5, "__main__": 6,
}  # fmt: skip
SIDEWAYS = {  # inside a row, only these
    ("samplers", "grids"), ("grids", "processes"), ("export", "images"), ("methods", "tiling"),
}  # fmt: skip
THIRD_PARTY = {
    "gradio": {"ui"},
    "plotly": {"ui"},
    "huggingface_hub": {"checkpoints"},
    "ray": {"cluster"},
    "diffusers": {"networks"},
    "transformers": {"networks"},
    "PIL": {"refusals", "colour", "decoding", "export", "degradations", "ui"},
    "cv2": {"decoding", "export", "degradations", "training"},
    "torchvision": set(),
}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "restore_core":
                yield from ((node.lineno, f"restore_core.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path):
    part = part_of(path)
    assert part in ROWS, f"{part} stands in no row of the table: give it one."
    for line, module in imports(path):
        where = f"{path.relative_to(ROOT)}:{line} imports {module}"
        top, _, rest = module.partition(".")
        if top == "restore_core" and rest and rest != "__version__":
            other = rest.split(".")[0]
            allowed = other == part or ROWS[other] < ROWS[part] or (part, other) in SIDEWAYS
            assert allowed, f"{where}: row {ROWS[part]} may not use row {ROWS[other]}"
        if top in THIRD_PARTY:
            assert part in THIRD_PARTY[top], f"{where}: only {sorted(THIRD_PARTY[top]) or 'nobody'} may"


def test_the_engine_knows_no_method_and_a_method_no_engine():
    for _, module in imports(PACKAGE / "engine.py"):
        assert not module.startswith("restore_core.methods")
    for path in (PACKAGE / "methods").glob("*.py"):
        assert not any(module.startswith("restore_core.engine") for _, module in imports(path))


def test_importing_the_package_imports_no_interface_and_no_hub():
    code = "import sys, restore_core; print([m for m in ('gradio', 'diffusers', 'transformers') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_what_is_named_is_exported():
    for name in restore_core.__all__:
        assert hasattr(restore_core, name)
    assert sorted(restore_core.__all__) == sorted(set(restore_core.__all__))
