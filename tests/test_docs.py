"""The pages under docs and the README: what they link to is there, what they tell to type can be typed, code runs."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest
import torch
from conftest import all_processes
from test_samplers import order

from restore_core import cli
from restore_core.checkpoints import files, match
from restore_core.checkpoints.catalogue import COMPACT
from restore_core.checkpoints.sources import Bring
from restore_core.degradations import TASKS
from restore_core.engine import finish, restore
from restore_core.errors import SettingsError
from restore_core.library import Library
from restore_core.samplers import base

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"python -m restore_core ([^`\n]*(?:\\\n[^`\n]*)*)")
ENDS = re.compile(r"\s(?:#|\|\||&&|\||>|;)\s.*")
BARE = ("info", "doctor")  # commands that need nothing more
HEAVIEST = 150_000  # bytes of a picture


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> list[tuple[str, str]]:
    found = [(page, target) for page in PAGES for target in LINK.findall(page.read_text(encoding="utf-8"))]
    return [(page.relative_to(ROOT).as_posix(), target) for page, target in found if "://" not in target]


@pytest.mark.parametrize(("page", "target"), links())
def test_what_is_linked_is_there(page: str, target: str):
    file, _, anchor = unquote(target).partition("#")
    there = (ROOT / page).parent / file if file else ROOT / page
    assert there.exists(), f"{page} links to {target}, which is not there."
    assert there.resolve().is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(there)


def test_every_picture_is_shown_and_light():
    pictures = [path for path in (ROOT / "docs" / "pictures").iterdir() if path.is_file()]
    shown = {(ROOT / page).parent.joinpath(target).resolve() for page, target in links()}
    assert {path.resolve() for path in pictures} <= shown and len(pictures) <= 8
    assert [path.name for path in pictures if path.stat().st_size > HEAVIEST] == []


def test_the_guide_names_every_fault_that_can_be_chosen():
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "guide.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [TASKS[key].label for key in COMPACT if TASKS[key].label not in rows] == []


def command_lines() -> list[tuple[str, str]]:
    """(page, what follows python -m restore_core), without comments, ellipses left out."""
    found = []
    for page in PAGES:
        for rest in COMMAND.findall(page.read_text(encoding="utf-8")):
            words = ENDS.sub("", rest.replace("\\\n", " ")).strip()
            if words and "..." not in words and words.split()[0].isalpha():
                found.append((page.relative_to(ROOT).as_posix(), words))
    return found


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_every_command_line_can_be_read(page: str, line: str):
    parser = cli._parser()
    words = shlex.split(line)
    if len(words) == 1 and words[0] not in BARE:  # only named in a sentence
        with pytest.raises(SystemExit) as ended:
            parser.parse_args([*words, "--help"])
        assert ended.value.code == 0
    else:
        assert callable(parser.parse_args(words).run)


def test_a_line_that_cannot_be_typed_is_noticed():
    with pytest.raises(SettingsError):
        cli._parser().parse_args(["restore", "photo.jpg", "--colour", "blue"])


# the examples in extending.md, each a whole file


def blocks(kind: str) -> list[str]:
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    return [code for found, code in FENCED.findall(text) if found == kind]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch):
    """The example with these words in it, run as a module; what it enters in SAMPLERS is taken out again."""
    monkeypatch.setattr(base, "SAMPLERS", dict(base.SAMPLERS))

    def run(words: str) -> ModuleType:
        (code,) = (code for code in blocks("python") if words in code)
        module = ModuleType("example")
        monkeypatch.setitem(sys.modules, "example", module)
        exec(compile(code, "extending.md", "exec"), module.__dict__)
        return module

    return run


def test_all_examples_compile():
    assert len(blocks("python")) >= 4
    for code in blocks("python"):
        compile(code, "extending.md", "exec")
        assert max(map(len, code.splitlines())) <= 110 or '"""' in code


@pytest.mark.parametrize("name", ["vp", "resshift", "mean-reverting"])
def test_the_sampler_has_the_order_that_it_declares(example, monkeypatch, name: str):
    example('"adams"')
    made = base.SAMPLERS["adams"]
    monkeypatch.setitem(sys.modules["test_samplers"].SAMPLERS, "adams", made)
    assert order(all_processes()[name], "adams") == pytest.approx(made.order, abs=0.1)


def test_the_method_restores(example):
    module, library = example("class PMRF"), Library("cpu")
    card = module.PMRF.card
    variant = card.variant("compact-sr4")
    if not library.has("dvsr", variant.key):
        pytest.skip("weights/compact/sr4.safetensors is missing.")
    made = module.PMRF(variant, {"network": library.network(variant.weights["network"])})
    image = torch.linspace(0.2, 0.8, 12).expand(1, 3, 8, 12)
    for preset in range(5):
        settings = card.settings(variant.key, preset, steps=2, samples=1)
        result = finish(restore(made.pose(image, settings), settings)).result
        assert result.shape == (1, 3, 32, 48)
        assert (result - image.repeat_interleave(4, -2).repeat_interleave(4, -1)).abs().mean() < 0.1
    process = module.Straight(1000, 0.1)
    a, b, s = process.marginal(torch.tensor(250.0))
    assert (a.item(), b.item(), s.item()) == pytest.approx((0.75, 0.25, 0.025))


def test_the_record_fits_the_shipped_kind():
    (code,) = (code for code in blocks("python") if "RECORDS" in code)
    found: dict = {}
    exec(compile(code, "extending.md", "exec"), found)
    (record,) = found["RECORDS"]
    assert isinstance(record.source, Bring) and record.terms.endswith(".") and record.size > 1e6
    shipped = files.path_of(found["Checkpoint"]("compact/jpeg", "compact", Bring("jpeg.safetensors", "x"), "x"))
    if shipped.is_file():
        match.expect(record, files.open_state(shipped))


def test_the_degradation_darkens_the_corners_and_nothing_else(example):
    vignette = example("def vignette").vignette
    grey = torch.full((1, 3, 9, 9), 0.5)
    dark = vignette(grey, 0.6)
    assert torch.allclose(dark[..., 4, 4], grey[..., 4, 4], atol=1e-6)
    light = ((0.5 + 0.055) / 1.055) ** 2.4
    corner = ((dark[0, 0, 0, 0].item() + 0.055) / 1.055) ** 2.4
    assert corner / light == pytest.approx(0.4, abs=1e-3)
    assert torch.allclose(vignette(grey, 0.0), grey, atol=1e-6)


def test_the_reference_shows_tables_of_terms_as_lists():
    pytest.importorskip("pdoc")
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    table = "What.\n\nx       the state,\n        noisy\nanchors y\n\nx = a y,    b = 1\n    x    2"
    found = "What.\n\n\n- **x** the state,\n  noisy\n- **anchors** y\n\nx = a y,    b = 1\n    x    2"
    assert reference.as_list(table) == found
    assert "restore_core.processes" in reference.modules()
    assert not [name for name in reference.modules() if name.startswith("restore_core.ui")]
