"""The same thing has the same name on every tab."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from restore_core import ui
from restore_core.comparison import COLUMNS
from restore_core.degradations import TASKS
from restore_core.library import Library, card
from restore_core.methods.base import PRESET_WORDS
from restore_core.metrics import METRICS
from restore_core.samplers import GRID_LABELS
from restore_core.tradeoff import Plane, Point
from restore_core.tradeoff.measures import consistency_with
from restore_core.ui import build, degrading, picked
from restore_core.ui.map import map_value

FOLDER = Path(ui.__file__).parent
GUIDE = Path(__file__).parents[1] / "docs" / "guide.md"
ENDINGS = {"json": "(JSON)", "report": "(HTML)", "sheet": "(PNG)", "csv": "(CSV)", "gif": "(GIF)", "mp4": "(MP4)"}


@pytest.mark.usefixtures("loops")
def test_buttons_say_what_kind_of_file_comes_and_where_they_lead():
    components = build(Library("cpu")).get_config_file()["components"]
    words = {c["props"].get("elem_id"): str(c["props"].get("label") or c["props"].get("value")) for c in components}
    files = [c["props"].get("elem_id") for c in components if c["type"] in ("button", "downloadbutton")]
    ends = {name: ENDINGS.get(str(name).rpartition("-")[2]) for name in files}
    assert sum(end is not None for end in ends.values()) >= 10
    assert [words[name] for name, end in ends.items() if end and not words[name].endswith(end)] == []
    assert words["compare-restore"] == words["degrade-to-restore"] == "Send to Restore"


def test_what_a_size_is_called_is_not_what_a_zoom_is_called():
    pages = [path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.html")]
    zooms = [re.findall(r"<span>(\w+)</span><select", page) for page in pages if "100 %" in page]
    assert {words[-1] for words in zooms if words} == {"Zoom"}
    clean = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert degrading._facts(clean, clean, (16, 16), 0.1, True)[0] == ("Size", "16 × 16")


def test_agreement_with_the_photo_and_time_grids_have_the_names_of_compare_and_restore():
    settings = card("dvsr").settings("compact-deblur").to_json()
    point = Point("a", settings, {"consistency": 40.0, "niqe": 5.0}, 0.1, 20, "a.png")
    assert GRID_LABELS[settings["spacing"]] in picked._settings(point)
    faithful = consistency_with(torch.zeros(1, 3, 8, 8), lambda result: result)
    told = map_value([point], Plane(faithful, METRICS["niqe"], "note"), {})
    assert told["x"]["label"] == COLUMNS["consistency"].label == picked.FAITHFUL


def test_the_guide_says_when_to_choose_each_answer():
    rows = re.findall(r"^\| ([^|]+) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {task.label for task in TASKS.values()} <= set(rows)
    assert all(word in rows for word, _ in PRESET_WORDS)
