"""What the Restore tab makes of a finished run: downloads on demand, and samples that show what was invented."""

from __future__ import annotations

import io
import json
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from restore_core import export, images
from restore_core.errors import SettingsError
from restore_core.library import Library
from restore_core.ui import downloads, invented, streaming
from restore_core.ui.asking import Ask
from restore_core.ui.desk import Desk
from restore_core.ui.invented import sampled
from restore_core.ui.running import restoration
from restore_core.ui.sessions import SessionStore

STEPS = 5


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("photo") / "a photo.png"
    export.save(torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0)), path)
    return str(path)


@pytest.fixture(scope="module")
def desk(tmp_path_factory, photo: str) -> Desk:
    """A desk at which session "s" has restored the photo, and "off" has without live pictures."""
    library = Library("cpu")
    if not library.has("dvsr", "compact-denoise"):
        pytest.skip("The compact weights are not here.")
    desk = Desk(library, SessionStore(tmp_path_factory.mktemp("store")))
    ask = Ask(task="denoise", method="dvsr", seed=1, values={"steps": STEPS}, shown={"steps": 20})
    for session, live in (("s", "smooth"), ("off", "off")):
        *_, last = restoration(desk, session, photo, ask, live=live)
        assert not last.failed, last.text
    return desk


def test_the_last_result_is_remembered_with_what_made_it(desk: Desk, photo: str):
    result = desk.store.finished("s").result
    assert result.source == photo and result.record["settings"]["steps"] == STEPS
    assert desk.store.finished("nobody") is None


def test_films_show_every_moment_that_was_kept(desk: Desk):
    run = desk.store.finished("s")
    film = downloads.frames(run, "both")
    assert len(film) == len(run.thumbnails) == STEPS + 1
    assert film[0].shape == (32, 48 + 6 + 48, 3) and downloads.frames(run, "guess")[0].shape == (32, 48, 3)
    with Image.open(downloads.make(desk, "s", "gif", "noisy")) as gif:
        assert gif.n_frames == STEPS + 1 and gif.size == (48, 32)


def test_the_zip_names_its_frames(desk: Desk):
    with zipfile.ZipFile(downloads.make(desk, "s", "zip", "both")) as archive:
        names = archive.namelist()
        first = np.asarray(Image.open(io.BytesIO(archive.read("noisy/000-step-1-of-5-noise-100.jpg"))))
    assert len(names) == 2 * (STEPS + 1) and "guess/005-finished.jpg" in names
    assert first.shape == (32, 48, 3)


def test_settings_and_report(desk: Desk):
    path = downloads.make(desk, "s", "json", "both")
    assert json.loads(path.read_text())["settings"]["seed"] == 1
    assert path.name.startswith("a_photo-dvsr-") and path.name.endswith("-settings.json")
    page = downloads.make(desk, "s", "report", "both").read_text()
    assert page.count("<figure") == 2 + STEPS + 1 and "Changed vs. your photo" in page


@pytest.mark.parametrize(("session", "words"), [("nobody", "Restore a photo first"), ("off", "live pictures were off")])
def test_what_cannot_be_made_is_told(desk: Desk, session: str, words: str):
    with pytest.raises(SettingsError, match=words):
        downloads.make(desk, session, "gif", "both")


def test_each_further_sample_sharpens_the_map(desk: Desk):
    messages = list(sampled(desk, "s", 4))
    assert not any(m.failed for m in messages), messages[-1].text
    counts = [m.value["count"] for m in messages if "count" in m.value]
    assert counts == sorted(counts) and counts[-1] == 4
    last = messages[-1]
    assert last.value["over"].startswith("data:image/png") and "4 samples" in last.value["says"]
    mean, spread = images.load(last.files.mean), images.load(last.files.spread)
    assert mean.size == spread.size == (32, 48)
    assert export.read_settings(last.files.mean)["settings"]["samples"] == 4


def test_the_mean_is_of_the_same_run_with_other_noise(desk: Desk):
    """The first of the samples is the result itself."""
    *_, last = sampled(desk, "s", 2)
    record = desk.store.finished("s").result.record
    work = invented._job(desk, desk.store.finished("s").result, 2)
    assert replace(work.settings, samples=1).to_json() == record["settings"]
    first = images.load(desk.store.finished("s").result.after).rgb
    mean = images.load(last.files.mean).rgb
    assert 0 < (first - mean).abs().mean() < 0.1


def test_stop_keeps_the_samples_that_ended(desk: Desk, monkeypatch):
    monkeypatch.setattr(streaming, "HEARTBEAT", 0.005)  # told of each sample at once, however fast they are
    messages = []
    for message in sampled(desk, "s", 64):
        messages.append(message)
        if message.value.get("count", 0) >= 2:
            desk.store.stop("s")
    assert messages[-1].files is not None and 2 <= messages[-1].value["count"] < 64
    assert not desk.turns.busy


def test_without_a_result_there_is_nothing_to_doubt(desk: Desk):
    *_, last = sampled(desk, "nobody", 4)
    assert last.failed and "Restore a photo first" in last.text


def test_a_reader_that_leaves_frees_the_device(desk: Desk):
    reading = sampled(desk, "s", 16)
    next(reading), next(reading)
    reading.close()
    deadline = time.monotonic() + 5
    while desk.turns.busy and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not desk.turns.busy
