"""The Models tab's handlers, the background tasks behind it, the choice of weights on the Restore tab. No server."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gradio as gr
import published
import pytest

from restore_core.checkpoints import checksums, download, files, folders, recognition
from restore_core.checkpoints.catalogue import CATALOGUE
from restore_core.cli import main
from restore_core.errors import Cancelled, CheckpointError, NotDownloaded, SettingsError
from restore_core.job import method_of
from restore_core.library import Library, card
from restore_core.methods import METHODS
from restore_core.ui import models, shelf
from restore_core.ui.asking import CUSTOM, PUBLISHED, Ask, calls, fixed, own_options, variants, word
from restore_core.ui.desk import Desk
from restore_core.ui.fetching import Fetching
from restore_core.ui.sessions import SessionStore
from restore_core.ui.weighing import get_button, offer_of, picker
from restore_core.ui.widgets import AWAY, adjusted

pytestmark = pytest.mark.usefixtures("loops")
V2, V3 = "resshift/realsr-x4-v2", "resshift/realsr-x4-v3"


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, no further ones, a network that may be asked."""
    for name in ("STEPBACK_MODELS", "STEPBACK_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Library("cpu"), SessionStore(tmp_path / "kept"))


@pytest.fixture
def tab(desk: Desk) -> models.Tab:
    with gr.Blocks():
        return models.fill(desk)


def row(tab: models.Tab, key: str) -> str:
    return next(r["html"] for group in tab.look()["groups"] for r in group["rows"] if r["id"] == key)


def wait(until: Callable[[], bool]) -> None:
    for _ in range(500):
        if until():
            return
        time.sleep(0.01)
    pytest.fail("It did not come to pass within five seconds.")


# --- the list --------------------------------------------------------------------------------------------------


def test_every_record_is_listed_once_with_size_licence_and_terms(tab: models.Tab):
    rows = [r for group in tab.look()["groups"] for r in group["rows"]]
    assert [r["id"] for r in rows].count(V3) == 1 and {r["id"] for r in rows} == set(CATALOGUE)
    for r in rows:
        record = CATALOGUE[r["id"]]
        assert record.licence.split("(")[0].strip() in r["html"] and shelf.megabytes(record.size) in r["html"]
    assert "Non-commercial use only." in row(tab, V3) and "Get 478 MB" in row(tab, V3)
    assert "Get " not in row(tab, "irsde/derain-h") and "drive.google.com" in row(tab, "irsde/derain-h")


def test_what_comes_along_is_first_and_the_rest_is_told_to_be_published(tab: models.Tab):
    own, *rest = [group["title"] for group in tab.look()["groups"]]
    assert own == shelf.OWN and rest and all(title.endswith(", as published") for title in rest)


def test_what_a_name_holds_is_escaped(tab: models.Tab, weights: Path):
    (weights / "<img onerror=x>.pth").write_bytes(b"PK no zip")
    listed = json.dumps(tab.look()["groups"])
    assert "&lt;img" in listed and not any("<img" in r["html"] for g in tab.look()["groups"] for r in g["rows"])


def test_offline_nothing_is_offered_and_it_is_said(tab: models.Tab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STEPBACK_OFFLINE", "1")
    assert "offline" in tab.look()["machine"] and "Get 478" not in row(tab, V3)
    assert tab.wanted(json.dumps({"method": "resshift", "variant": "realsr-x4-v3"}))["get"] == ""


def test_device_memory_and_disk_are_told(tab: models.Tab):
    machine = tab.look()["machine"]
    assert "CPU" in machine and "Memory free" in machine and "Disk free" in machine


def test_files_that_come_and_go_are_seen_at_once(tab: models.Tab, weights: Path):
    assert "not here" in row(tab, V2)
    path = published.write("resshift", weights / CATALOGUE[V2].file)
    assert "here · no checksum published" in row(tab, V2)
    path.unlink()
    assert "not here" in row(tab, V2)


def test_a_wrong_checksum_is_told_and_the_file_is_not_used(tab: models.Tab, weights: Path, desk: Desk):
    path = published.write("resshift", weights / CATALOGUE[V3].file)
    assert "checksum not compared yet" in row(tab, V3)
    tab.act(["check", V3, ""])
    wait(lambda: not tab.look()["busy"])
    assert "is not the published file" in row(tab, V3)
    checksums.sha256(path, folders.memory())
    assert "wrong checksum" in row(tab, V3) and "Delete it and get it again" in row(tab, V3)
    with pytest.raises(CheckpointError, match="not the published file"):
        desk.library.network(V3)


@pytest.mark.parametrize("asked", [None, [], "get", ["get"], ["get", "../x", ""], ["walk", V2, ""], ["adopt", "x", V2]])
def test_what_a_browser_makes_up_does_nothing(tab: models.Tab, asked: object):
    assert not tab.act(asked)["busy"] and not any(files.standing(r).part for r in CATALOGUE.values())


def test_where_the_page_is_open_to_others_nothing_can_be_changed(desk: Desk, weights: Path, tmp_path: Path):
    with gr.Blocks():
        tab = models.fill(replace(desk, keeper=False))
    path = published.write("resshift", weights / CATALOGUE[V2].file)
    tab.act(["remove", V2, ""])
    assert path.is_file() and "data-do" not in row(tab, V2) and str(weights) not in json.dumps(tab.look())
    dropped = published.write("irsde", tmp_path / "irsde-denoise.pth")
    assert "open to others" in tab.chosen(str(dropped), "irsde/derain-h")[tab.said]


# --- tasks in the background -----------------------------------------------------------------------------------


def test_a_download_tells_its_progress_and_can_be_cancelled(tab: models.Tab, monkeypatch: pytest.MonkeyPatch):
    asked = threading.Event()

    def get(record, *, progress, stop):
        progress(0, 400_000_000)
        progress(100_000_000, 400_000_000)
        asked.set()
        wait(stop)
        raise Cancelled("The download was stopped. What came so far is kept: get it again to go on from there.")

    monkeypatch.setattr(download, "get", get)
    assert tab.act(["get", V2, ""])["busy"]
    asked.wait(5)
    assert "100 MB of 400 MB" in row(tab, V2) and 'value="100000000"' in row(tab, V2) and "Cancel" in row(tab, V2)
    tab.act(["get", V2, ""])  # a second press changes nothing
    tab.act(["stop", V2, ""])
    wait(lambda: not tab.look()["busy"])
    assert "What came so far is kept" in row(tab, V2)
    tab.act(["dismiss", V2, ""])
    assert "What came" not in row(tab, V2)


def test_a_fault_of_ours_is_a_sentence_with_a_code(monkeypatch: pytest.MonkeyPatch, caplog):
    monkeypatch.setattr(download, "get", lambda *_, **__: 1 / 0)
    fetching = Fetching()
    fetching.get(CATALOGUE[V2])
    wait(lambda: not fetching.busy)
    assert fetching.of(V2).failed and "(code " in fetching.of(V2).said


def test_a_good_file_is_checked(tab: models.Tab, weights: Path):
    published.write("resshift", weights / CATALOGUE[V2].file)
    tab.act(["check", V2, ""])
    wait(lambda: not tab.look()["busy"])
    assert "all numbers finite" in row(tab, V2) and "no checksum was published" in row(tab, V2)


def test_removing_takes_the_file_and_no_other(tab: models.Tab, weights: Path):
    gone, stays = (published.write("resshift", weights / CATALOGUE[key].file) for key in (V2, V3))
    tab.act(["remove", V2, ""])
    assert not gone.exists() and stays.exists()
    assert "comes with the project" in tab.act(["remove", "compact/sr4", ""])["said"]


# --- a file that was dropped -----------------------------------------------------------------------------------


def test_a_file_told_by_its_name_is_added_without_a_question(tab: models.Tab, weights: Path, tmp_path: Path):
    dropped = published.write("irsde", tmp_path / "sde_rain100h.pth")
    last = list(tab.brought(str(dropped)))[-1]
    assert "Added as Heavy rain" in last[tab.said] and "MIT" in last[tab.said]
    assert (weights / CATALOGUE["irsde/derain-h"].file).is_file() and not dropped.exists()


def test_only_what_shapes_cannot_tell_is_asked(tab: models.Tab, weights: Path, tmp_path: Path):
    dropped = published.write("resshift", tmp_path / "something.pth")
    last = list(tab.brought(str(dropped)))[-1]
    keys = [key for _, key in last[tab.which]["choices"]]
    assert V2 in keys and "sinsr/realsr-x4-v1" in keys and "resshift/faceir" not in keys and V3 not in keys
    assert "Choose one" in tab.chosen(str(dropped), None)[tab.said]
    assert "Added as" in tab.chosen(str(dropped), V2)[tab.said]
    assert (weights / CATALOGUE[V2].file).is_file()


def test_a_file_of_no_published_size_and_one_for_another_are_refused(tab: models.Tab, tmp_path: Path):
    other = published.write("sr3", tmp_path / "mine.pth")
    assert "another size than any published" in list(tab.brought(str(other)))[-1][tab.said]
    resshift = published.write("resshift", tmp_path / "something.pth")
    assert "is a network of the kind irsde-unet" in tab.chosen(str(resshift), "irsde/derain-h")[tab.said]


def test_nothing_half_done_stays_of_a_refused_file(tab: models.Tab, weights: Path, tmp_path: Path):
    whole = published.write("irsde", tmp_path / "mine.pth").read_bytes()
    for name, data in (("cut.pth", whole[: len(whole) // 2]), ("empty.pth", b""), ("text.pth", b"Dear Sir")):
        (tmp_path / name).write_bytes(data)
        assert 'class="error"' in list(tab.brought(str(tmp_path / name)))[-1][tab.said]
    assert [p for p in weights.rglob("*") if p.is_file() and p.name != ".checksums.json"] == []


# --- files put into the folder ---------------------------------------------------------------------------------


def test_a_file_put_there_under_its_own_name_is_used_when_it_can_be_one_thing_only(weights: Path, monkeypatch):
    record = CATALOGUE["irsde/derain-h"]
    monkeypatch.setattr(recognition.match, "candidates", lambda state: (record,))
    path = published.write("irsde", weights / "heavy.pth")
    assert files.locate(record) == path and files.standing(record).path == path
    assert files.remove(record) == (path,) and not path.exists()
    with pytest.raises(NotDownloaded):
        files.locate(record)


def test_a_file_put_there_that_may_be_several_is_asked_about_and_renamed(tab: models.Tab, weights: Path):
    path = published.write("resshift", weights / "resshift" / "found.pth")
    (stray,) = files.strays()
    assert stray.path == path and len(stray.records) > 2 and "which is it?" in row(tab, "stray-found.pth")
    tab.act(["adopt", "found.pth", V2])
    assert not path.exists() and (weights / CATALOGUE[V2].file).is_file() and not files.strays()


def test_the_command_lists_them_and_takes_the_answer(weights: Path, capsys: pytest.CaptureFixture[str]):
    path = published.write("resshift", weights / "found.pth")
    assert main(["weights", "list", "--json"]) == 0
    (other,) = json.loads(capsys.readouterr().out)["others"]
    assert other["file"] == str(path) and V2 in other["records"]
    assert main(["weights", "get", V2, "--from", str(path)]) == 0
    assert not path.exists() and files.locate(CATALOGUE[V2]).is_file()


def test_strangers_in_the_folder_are_told_and_left_alone(tab: models.Tab, weights: Path):
    (weights / "notes.bin").write_bytes(b"nothing of interest")
    (weights / "readme.txt").write_text("not looked at")
    assert "neither a safetensors nor a PyTorch file" in row(tab, "stray-notes.bin")
    assert (weights / "notes.bin").exists() and len(files.strays()) == 1


def test_a_stray_is_opened_once_while_it_stays_the_same(weights: Path, monkeypatch: pytest.MonkeyPatch):
    opened = []
    told = recognition.recognise
    monkeypatch.setattr(recognition, "recognise", lambda path: opened.append(path) or told(path))
    published.write("irsde", weights / "mine.pth")
    files.strays(), files.strays()
    assert len(opened) == 1
    (weights / "mine.pth").write_bytes(b"changed")
    files.strays()
    assert len(opened) == 2


def test_a_models_folder_that_is_none_is_told(tmp_path: Path):
    with pytest.raises(SettingsError, match="is not there"):
        folders.also_look_in(tmp_path / "nowhere")


def test_a_models_folder_is_looked_in(tab: models.Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STEPBACK_MODELS", "")
    published.write("resshift", tmp_path / "mirror" / "resshift_realsrx4_s15_v2.pth")
    folders.also_look_in(tmp_path / "mirror")
    assert "here" in row(tab, V2) and "Remove" not in row(tab, V2) and "Also looked in" in tab.look()["machine"]


def test_a_network_is_loaded_again_when_its_file_changes(weights: Path):
    library, path = Library("cpu"), weights / CATALOGUE["irsde/derain-h"].file
    published.write("irsde", path)
    first = library.network("irsde/derain-h")
    assert library.network("irsde/derain-h") is first
    path.write_bytes(path.read_bytes())
    assert library.network("irsde/derain-h") is not first
    path.unlink()
    with pytest.raises(NotDownloaded):
        library.network("irsde/derain-h")


# --- the Restore tab -------------------------------------------------------------------------------------------

PUBLIC = [(key, v) for key, method in METHODS.items() for v in method.card.variants if v.published]


def test_weights_for_the_task_come_first_and_ours_before_published_ones():
    offered = variants("resshift", "sr4")
    assert offered[0].key == "compact-sr4" and offered[1].key == "realsr-x4-v3"
    tasks = [v.task == "sr4" for v in offered]
    assert tasks == sorted(tasks, reverse=True) and not any(v.key == "compact-deblur" for v in offered)


@pytest.mark.parametrize(("method", "variant"), PUBLIC, ids=lambda x: getattr(x, "key", x))
def test_both_ways_of_running_published_weights_can_be_asked_for(method: str, variant):
    fast = Ask(task="sr4", method=method, variant=variant.key)
    paper = replace(fast, paper=True)
    assert fast.weights.key == paper.weights.key == variant.key
    assert fast.settings() == card(method).settings(variant.key, seed=1)
    assert paper.settings() == card(method).settings(variant.key, paper=True, seed=1)
    assert word(replace(paper, values=paper.defaults(), shown=paper.defaults())) == PUBLISHED
    assert calls(fast.settings()) <= calls(paper.settings())
    shown = fast.defaults()
    for key in variant.fixed.keys() & shown.keys():
        moved = replace(fast, values={**shown, key: 3}, shown=shown)
        assert key in fixed(moved) and key not in moved.changes
    updates = dict(zip(shown, adjusted(fast, shown), strict=True))
    for key, (_, why) in variant.fixed.items():
        assert updates[key]["interactive"] is False and updates[key]["info"] == why
    offered = {o.key for o in card(method).options_of(variant.key)}
    assert {key for key in own_options() if updates[key]["elem_classes"] != AWAY} == offered - {"noise"}


def test_options_of_other_weights_are_not_asked_for():
    ask = Ask(task="denoise", method="irsde", variant="refusion-bokeh")
    values = ask.defaults() | {"lens": "Canon 50 mm f/1.8"}
    assert replace(ask, values=values, shown=ask.defaults()).changes == {"lens": "Canon 50 mm f/1.8"}
    other = replace(ask, variant="denoise", values=values, shown=ask.defaults())
    assert other.changes == {} and word(other) != CUSTOM


def test_weights_of_another_task_or_method_make_way():
    assert Ask(task="deblur", method="resshift", variant="compact-sr4").weights.key == "compact-deblur"
    assert Ask(task="sr4", method="irsde", variant="realsr-x4-v3").weights.key == "compact-sr4"
    assert not Ask(task="sr4", method="resshift", paper=True).as_published


def test_missing_weights_are_offered_with_size_and_licence(desk: Desk, weights: Path):
    ask = Ask(task="sr4", method="resshift", variant="realsr-x4-v2")
    with gr.Blocks():
        chooser = picker(get_button())
    told, updates = offer_of(ask, desk.library), chooser.shown(ask, desk.library)
    assert "needs 2 files" in told and "699 MB" in told and "S-Lab" in told
    assert updates[chooser.get]["elem_classes"] == []
    label = "Photos, four times larger (v2, 15 steps)"
    assert (f"{label} · not here", "realsr-x4-v2") in updates[chooser.variant]["choices"]
    assert [text for text, _ in updates[chooser.pace]["choices"]] == [
        "Fast: 5 network calls", "As published: 15 network calls",
    ]  # fmt: skip
    wanted = models.Tab.wanted(_bare(desk), updates[chooser.offer])
    assert wanted["needed"] == [V2, "resshift/vq-f4"] and wanted["get"] == f"{V2} resshift/vq-f4"
    published.write("resshift", weights / CATALOGUE[V2].file)
    published.write("vq", weights / "resshift" / "autoencoder_vq_f4.safetensors")
    assert offer_of(ask, desk.library) == ""
    updates = chooser.shown(ask, desk.library)
    assert updates[chooser.get]["elem_classes"] == AWAY and updates[chooser.offer] is None
    assert (label, "realsr-x4-v2") in updates[chooser.variant]["choices"]


def test_packages_that_are_not_installed_are_told_before_gigabytes_are_offered(desk: Desk, monkeypatch):
    ask = Ask(task="blind", method="diffbir", variant="v2-1-photo")
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "diffusers" else found(name))
    tab = _bare(desk)
    wanted = tab.wanted(json.dumps({"method": "diffbir", "variant": "v2-1-photo"}))
    groups = {group["title"]: group["said"] for group in tab.look()["groups"]}
    for told in (offer_of(ask, desk.library), wanted["said"], groups["DiffBIR, as published"]):
        assert "the package diffusers, which is not installed" in told and "pip install -r requirements-diffbir" in told
    assert groups["ResShift, as published"] == ""
    assert "pip" not in offer_of(replace(ask, method="resshift"), desk.library)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert "pip" not in offer_of(ask, desk.library) and not any(group["said"] for group in tab.look()["groups"])


def _bare(desk: Desk) -> models.Tab:
    with gr.Blocks():
        return models.fill(desk)


@pytest.mark.parametrize("incoming", [None, "", "no json", "[]", '{"method": "x"}', '{"method": "sr3"}'])
def test_nonsense_from_another_tab_marks_nothing(tab: models.Tab, incoming: str | None):
    assert tab.wanted(incoming) == {}


def test_weights_alone_say_which_method_runs():
    assert method_of("realsr-x4-v3") == "resshift" and method_of("refusion-dehaze") == "irsde"
    with pytest.raises(SettingsError, match="serve dvsr, sr3"):
        method_of("compact-sr4")
    with pytest.raises(SettingsError, match="realsr-x4-v3"):
        method_of("realsr-v3")


