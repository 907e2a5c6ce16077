"""What a run does before its first step, in windows where a photo is large: Stop is heard, and how far it is told."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest
import torch
from test_methods_published import method as published
from test_methods_published import photo
from torch import nn

from restore_core import batch, export, job
from restore_core.engine import finish, heeding, restore
from restore_core.errors import Cancelled
from restore_core.images import Photo
from restore_core.library import Library
from restore_core.methods import METHODS, cleaning, latent
from restore_core.methods.cleaning import clean
from restore_core.networks.compact_unet import CompactModel, CompactUNet
from restore_core.settings import Settings
from restore_core.tiling import Pieces
from restore_core.tradeoff import Journal, Subject, Sweep, requests
from restore_core.tradeoff import run as swept
from restore_core.ui.asking import Ask
from restore_core.ui.desk import Desk
from restore_core.ui.running import restoration
from restore_core.ui.sessions import SessionStore

COMPACT = ["dvsr", "sr3", "resshift", "irsde", "diffbir"]
SIZE = (96, 200)  # two times six windows of 64, which share half


class Ear:
    """A Heed that ends the work when it is asked for the third time, and keeps what it was told."""

    def __init__(self, patience: int = 2):
        self.told: list[tuple[int, int]] = []
        self.patience = patience

    def __call__(self, done: int, of: int) -> None:
        if len(self.told) == self.patience:
            raise Cancelled("Enough.")
        self.told.append((done, of))


def compact() -> CompactModel:
    torch.manual_seed(0)
    sizes = {"unshuffle": 2, "widths": (8, 16), "depths": (1, 1), "spectra": True}
    return CompactModel(CompactUNet(3, **sizes), CompactUNet(9, **sizes, levels=True)).eval().requires_grad_(False)


def test_before_each_window_somebody_is_asked_and_told():
    ear, x = Ear(99), torch.rand(1, 3, 100, 100)
    assert torch.allclose(Pieces(32, 8, batch=3)(lambda part, _: part, x, {}, ear), x)
    assert ear.told == [(0, 16), *((done, 16) for done, _ in ear.told[1:])]
    assert all(0 < b - a <= 3 for (a, _), (b, _) in itertools.pairwise(ear.told)) and ear.told[-1][0] < 16
    assert Pieces(0, 8)(lambda part, _: part, x, {}, ear) is x and ear.told[-1] == (0, 1)


@pytest.mark.parametrize("key", COMPACT)
def test_the_prediction_ends_between_two_windows(key: str, monkeypatch):
    seen = []
    predict = CompactModel.predict
    monkeypatch.setattr(
        CompactModel, "predict", lambda self, y, power: seen.append(y.shape) or predict(self, y, power)
    )
    card, ear = METHODS[key].card, Ear()
    ask = card.settings("compact-denoise", tile=64, overlap=8, steps=1)
    with pytest.raises(Cancelled):
        METHODS[key](card.variant("compact-denoise"), {"network": compact()}, ear).pose(photo(*SIZE), ask)
    assert ear.told == [(0, 12), (1, 12)] and len(seen) == 2


def test_the_small_cleaner_before_the_prediction_ends_too():
    card, ear, key = METHODS["diffbir"].card, Ear(), "compact-photo-sr4"
    modules = {"network": compact(), "cleaner": compact()}
    with pytest.raises(Cancelled):
        METHODS["diffbir"](card.variant(key), modules, ear).pose(photo(*SIZE), card.settings(key, tile=64, overlap=8))
    assert len(ear.told) == 2 and ear.told[0][1] > 2


@pytest.mark.parametrize(("key", "variant"), [("resshift", "realsr-x4-v3"), ("irsde", "refusion-dehaze")])
def test_encoding_ends_between_two_windows_and_decoding_is_done(key: str, variant: str, monkeypatch):
    monkeypatch.setattr(latent, "OVERLAP", 16)
    ours, ear = published(key, variant), Ear()
    ask = METHODS[key].card.settings(variant, tile=32, overlap=0, steps=1)
    ours.heed = ear
    with pytest.raises(Cancelled):
        ours.pose(photo(150, 250), ask)
    assert len(ear.told) == 2 and ear.told[0][1] > 2
    stopped = threading.Event()
    ours.heed = heeding(stopped.is_set)
    last = finish(restore(ours.pose(photo(150, 250), ask), ask))
    stopped.set()
    assert torch.equal(last.problem.decode(last.step.x), last.result)  # what was guessed is kept all the same


@pytest.mark.parametrize("scale", [1, 4])
def test_a_published_cleaner_ends_between_two_windows(scale: int, monkeypatch):
    monkeypatch.setattr(cleaning, "SHORT_SIDE", 64)
    monkeypatch.setattr(cleaning, "MULTIPLE", 64)
    for need in ("ENLARGING", "PLAIN"):
        monkeypatch.setattr(cleaning, need, cleaning.Need(1e18))  # windows are as small as they get
    cleaner, ear = nn.Upsample(scale_factor=scale), Ear()
    cleaner.scale = scale
    with pytest.raises(Cancelled):
        clean(cleaner, photo(300, 300), scale, Settings("diffbir", "v2-photo", "ddim", 1), heed=ear)
    assert len(ear.told) == 2 and ear.told[0][1] > 2


@pytest.fixture
def library() -> Library:
    found = Library("cpu")
    if not found.has("dvsr", "compact-denoise"):
        pytest.skip("The compact weights are not here.")
    return found


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """Of the predictor, one entry each."""
    made, predict = [], CompactModel.predict
    monkeypatch.setattr(CompactModel, "predict", lambda self, y, power: made.append(1) or predict(self, y, power))
    return made


ASK = METHODS["dvsr"].card.settings("compact-denoise", tile=64, overlap=8, steps=1)


def test_a_stop_is_heard_as_the_loop_hears_it(library: Library, calls: list[int]):
    work, told = job.Job(Photo(photo(*SIZE), None, False, 8, None, None, (), "photo"), "denoise", ASK, ""), []
    with pytest.raises(Cancelled):
        next(job.run(work, library, stop=lambda: len(calls) == 3, tell=lambda *how_far: told.append(how_far)))
    assert len(calls) == 3 and [one for one in told if one != (0, 1)] == [(0, 12), (1, 12), (2, 12)]
    calls.clear()
    assert next(job.run(work, library)).total == 2 and len(calls) == 12


def test_it_is_heard_while_another_loads_or_measures(library: Library):
    """The networks are one's own: whoever comes later waits for them, as long as it likes."""
    work = job.Job(Photo(photo(*SIZE), None, False, 8, None, None, (), "photo"), "denoise", ASK, "")
    begun, over = threading.Event(), threading.Event()

    def measure() -> None:
        with library._lock:
            begun.set()
            assert over.wait(20)

    measuring = threading.Thread(target=measure)
    measuring.start()
    assert begun.wait(10)
    asked: list[bool] = []
    with pytest.raises(Cancelled):
        next(job.run(work, library, stop=lambda: asked.append(measuring.is_alive()) or len(asked) > 2))
    assert all(asked)  # it ended before the other did
    over.set()
    measuring.join()
    assert next(job.run(work, library)).total == 2


def test_a_sweep_hears_it(tmp_path: Path, library: Library, calls: list[int]):
    subject = Subject("photo", "denoise", photo(*SIZE), photo(*SIZE))
    plan = requests(Sweep("denoise", {"steps": (2,)}, changes={"tile": 64, "overlap": 8}))
    with pytest.raises(Cancelled):
        next(swept(plan, subject, Journal(tmp_path, subject), library.method, stop=lambda: len(calls) == 3))
    assert len(calls) == 3


def test_a_batch_hears_it_and_leaves_no_file(tmp_path: Path, library: Library, calls: list[int]):
    export.save(photo(*SIZE), tmp_path / "photo.png")
    request = batch.Request("denoise", "dvsr", changes={"tile": 64, "overlap": 8})
    here = batch.here(library, stop=lambda: len(calls) == 3)
    assert list(here([batch.Item(tmp_path / "photo.png", tmp_path / "out.png")], request)) == []
    assert len(calls) == 3 and [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_the_page_hears_it_and_tells_how_far_the_look_is(tmp_path: Path, library: Library, monkeypatch):
    export.save(photo(96, 240), tmp_path / "photo.png")
    desk, go_on, predict = Desk(library, SessionStore(tmp_path / "kept")), threading.Semaphore(0), CompactModel.predict
    monkeypatch.setattr(
        CompactModel, "predict", lambda self, y, power: (go_on.acquire(timeout=10), predict(self, y, power))[1]
    )
    shown = Ask(task="denoise", method="dvsr").defaults()
    ask = Ask(task="denoise", method="dvsr", shown=shown, values=shown | {"tile": "128"})
    told = []
    for message in restoration(desk, "s", str(tmp_path / "photo.png"), ask):
        told.append(message.film["caption"])
        if told[-1].endswith("33 %"):
            desk.store.stop("s")
        if told[-1] == "Stopping" or told[-1].endswith("· 0 %"):
            go_on.release()
    assert "A first look at the whole picture · 33 %" in told and told[-1] == "Stopped"
    assert not any("67 %" in caption for caption in told) and "before the first step" in message.text
