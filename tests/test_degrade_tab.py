"""The Degrade tab's handlers without a browser: previews, whole pictures, refusals, calibration."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
import torch

from restore_core import export, images
from restore_core.degradations import DEGRADATIONS, Chain, Step
from restore_core.degradations.noise import poisson_gaussian
from restore_core.library import Library
from restore_core.ui import degrade, degrading
from restore_core.ui.desk import Desk
from restore_core.ui.sessions import SessionStore

PHOTO = Path(__file__).parent / "data" / "cat.jpg"
REQUEST = SimpleNamespace(session_hash="one")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[degrade.Tab]:
    """Gradio makes an event loop for each of its locks and closes none of them: they are closed here."""
    made, new = [], asyncio.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        made.append(new())
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", new_event_loop)
        with gr.Blocks():
            laid_out = degrade.fill(Desk(Library("cpu"), SessionStore(tmp_path_factory.mktemp("kept"))))
        yield laid_out
    if made:
        asyncio.set_event_loop(None)
    for loop in made:
        loop.close()


def event(chain: Any) -> Any:
    return SimpleNamespace(_data={"chain": chain})


def test_what_the_editor_sends_is_checked_and_shown(tab: degrade.Tab):
    chain = {"seed": 4, "steps": [{"operator": "gaussian", "sigma": 30}]}
    seen = tab.edit(str(PHOTO), 7, event(chain))
    assert seen[tab.chain]["steps"] == [{"operator": "gaussian", "sigma": 30.0, "grey": False}]
    assert json.loads(seen[tab.text]) == seen[tab.chain] and seen[tab.number] == 8
    assert seen[tab.view]["after"].startswith("data:image/jpeg") and seen[tab.view]["number"] == 8
    assert "18." in seen[tab.measures] and seen[tab.message] == ""  # 20 log10(255/30) = 18.6 dB


@pytest.mark.parametrize(
    "data", [None, {}, {"chain": 5}, {"chain": {"steps": [{"operator": "blur", "sigma": "<b>"}]}}, {"chain": {"x": 1}}]
)
def test_nonsense_from_a_browser_is_a_sentence(tab: degrade.Tab, data: Any):
    seen = tab.edit(str(PHOTO), 0, SimpleNamespace(_data=data))
    assert tab.chain not in seen and ('class="error"' in seen[tab.message])
    assert "<b>" not in seen[tab.message]


def test_a_bad_photo_is_a_sentence_and_none_an_empty_view(tab: degrade.Tab, tmp_path: Path):
    (tmp_path / "letter.png").write_text("Dear Sir")
    begin = degrading.started("night", 1).to_json()
    assert "letter.png" in tab.look(str(tmp_path / "letter.png"), begin, 0)[tab.message]
    seen = tab.look(None, begin, 0)
    assert seen[tab.view] == {} and seen[tab.message] == "" and seen[tab.facts] == ""


@pytest.mark.parametrize("name", [name for _, name in degrading.starts()])
def test_every_start_makes_a_preview(tab: degrade.Tab, name: str):
    begun = tab.begin(name, str(PHOTO), {"seed": 3, "steps": []}, 0, fresh=False)
    assert begun[tab.editor] == begun[tab.chain] and begun[tab.chain]["seed"] == 3
    assert "PSNR" in begun[tab.measures]
    again = tab.begin(name, str(PHOTO), {"seed": 3, "steps": []}, 0, fresh=True)
    assert again[tab.chain]["seed"] != 3


def test_the_text_can_be_edited(tab: degrade.Tab):
    text = json.dumps(Chain((Step("haze"),), 2).to_json())
    assert tab.read(text, None, {}, 0)[tab.editor]["steps"][0]["operator"] == "haze"
    bad = tab.read("{", None, {}, 0)
    assert set(bad) == {tab.message} and "not JSON" in bad[tab.message]


def test_the_picture_is_made_whole_with_its_chain_inside(tab: degrade.Tab):
    chain = Chain((Step("gaussian", {"sigma": 10}),), 5)
    made = tab.make(REQUEST, str(PHOTO), chain.to_json())
    whole = images.load(made[tab.damaged])
    assert torch.equal(whole.rgb, chain(images.load(PHOTO).rgb))
    assert Chain.from_json(export.read_settings(made[tab.damaged])["degradation"]) == chain
    assert Chain.from_text(Path(made[tab.json]).read_text()) == chain and made[tab.clean_path] == str(PHOTO)
    assert "no photo" in tab.make(REQUEST, None, chain.to_json())[tab.message]


def test_a_smaller_picture_keeps_a_clean_one_that_divides(tab: degrade.Tab, tmp_path: Path):
    odd = tmp_path / "odd.png"
    export.save(images.load(PHOTO).rgb[..., :101, :99], odd)
    made = tab.make(REQUEST, str(odd), Chain((Step("small", {"factor": 4, "back": False}),)).to_json())
    clean, small = (images.load(made[key]).size for key in (tab.clean_path, tab.damaged))
    assert clean == (100, 96) and small == (25, 24)


def test_a_large_photo_is_shown_by_its_middle_and_quickly(tmp_path: Path):
    large = tmp_path / "large.png"
    export.save(torch.rand(1, 3, 900, 1500), large)
    chain = degrading.started("night", 1)
    degrading.preview(str(large), chain, images.MAX_PIXELS)
    began = time.process_time()
    seen = degrading.preview(str(large), chain, images.MAX_PIXELS)
    assert time.process_time() - began < 5  # about 0.4 s on a free core; the photo is not read again
    assert not seen.whole and seen.value["width"] == degrading.SHOWN
    assert seen.facts[0][1].startswith("1500 × 900, the middle")


def test_every_send_button_leads_somewhere(tab: degrade.Tab):
    assert [send.to for send in tab.sends] == ["restore", "compare", "tradeoff"]
    assert all(send.photo is tab.damaged and send.clean is tab.clean_path for send in tab.sends)


def test_the_editor_knows_every_operator():
    told = degrading.operators()
    assert [o["key"] for o in told] == list(DEGRADATIONS)
    assert json.loads(json.dumps(told)) == told
    for option in (option for operator in told for option in operator["options"]):
        is_number = not option["choices"] and not isinstance(option["default"], bool)
        assert not is_number or (option["low"] <= option["default"] <= option["high"] and option["step"] > 0)


def test_calibration_gives_a_plot_and_a_step(tab: degrade.Tab, tmp_path: Path):
    scene = torch.linspace(0.1, 0.8, 160).expand(1, 3, 160, 160)
    generator = torch.Generator().manual_seed(0)
    files = []
    for k in range(3):
        export.save(poisson_gaussian(scene, 3e-3, 0.01, generator).clamp(0, 1), tmp_path / f"{k}.png")
        files.append(str(tmp_path / f"{k}.png"))
    seen = tab.calibrate(files)
    assert "<svg" in seen[tab.plot] and "Burst, 3 frames" in seen[tab.plot]
    assert seen[tab.noise][0]["k_g"] == pytest.approx(3e-3, rel=0.1)
    added = tab.add_noise(seen[tab.noise], None, Chain((Step("blur"),), 6).to_json(), 0)
    assert [s["operator"] for s in added[tab.editor]["steps"]] == ["blur", "sensor"]
    assert "no pictures yet" in tab.calibrate(None)[tab.plot]
