"""The endpoint for programs: by gradio_client and by plain HTTP, against a server of its own."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import test_browser
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from restore_core import export, images, job
from restore_core.library import Library

address = test_browser.address  # a fixture


@pytest.fixture(scope="module")
def library() -> Library:
    found = Library("cpu")
    if not found.has("dvsr", "compact-denoise"):
        pytest.skip("The compact weights are not here.")
    return found


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    client = Client(address, verbose=False)
    yield client
    client.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "meadow.png"
    y, x = np.mgrid[:48, :64]
    waves = 128 + 90 * np.sin(x / 7)[..., None] * np.cos(y / 5)[..., None] * np.array([1.0, 0.7, 0.4])
    noisy = waves + np.random.default_rng(1).normal(0, 20, waves.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    return path


CHANGES = {"steps": 3, "seed": 5}


def test_a_program_gets_what_the_command_line_would_make(client: Client, photo: Path, library: Library):
    result, record = client.predict(
        handle_file(photo), task="denoise", method="irsde", preset=2, changes=CHANGES, api_name="/restore"
    )
    assert Path(result).name == "meadow.png" and record["settings"]["steps"] == 3 and record["task"] == "denoise"
    work = job.plan(images.load(photo), library, task="denoise", method="irsde", **CHANGES)
    *_, last = job.run(work, library)
    assert np.array_equal(np.asarray(Image.open(result)), images.to_uint8(last.result))
    assert export.read_settings(Path(result))["settings"] == record["settings"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"task": "frobnicate"}, "no task called 'frobnicate'"),
        ({"changes": [1, 2]}, "no object of settings"),
        ({"changes": {"steps": -4}}, "(?i)steps"),
        ({"changes": {"volume": 11}}, "no option called volume"),
        ({"preset": 9}, "no preset 9"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(asked: dict, said: str, client: Client, photo: Path):
    with pytest.raises(AppError, match=said):
        client.predict(handle_file(photo), **asked, api_name="/restore")


def test_a_text_is_no_photo(client: Client, tmp_path: Path):
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear Sir or Madam")
    with pytest.raises(AppError, match=r"holds text"):
        client.predict(handle_file(letter), api_name="/restore")


def test_plain_http_without_any_library(address: str, photo: Path, tmp_path: Path):
    """Upload, call, read the events, download: what README shows with curl."""
    edge = b"----edge"
    head = b'Content-Disposition: form-data; name="files"; filename="meadow.png"\r\nContent-Type: image/png\r\n\r\n'
    body = b"--" + edge + b"\r\n" + head + photo.read_bytes() + b"\r\n--" + edge + b"--\r\n"
    kind = {"Content-Type": f"multipart/form-data; boundary={edge.decode()}"}
    (stored,) = _post(f"{address}/gradio_api/upload", body, kind)
    data = [{"path": stored, "meta": {"_type": "gradio.FileData"}}, "denoise", "irsde", 2, CHANGES]
    call = json.dumps({"data": data}).encode()
    event = _post(f"{address}/gradio_api/call/restore", call, {"Content-Type": "application/json"})["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/restore/{event}", timeout=120) as stream:
        lines = stream.read().decode().splitlines()
    result, record = json.loads(lines[lines.index("event: complete") + 1].removeprefix("data: "))
    with urllib.request.urlopen(result["url"], timeout=60) as found:
        (tmp_path / "better.png").write_bytes(found.read())
    assert export.read_settings(tmp_path / "better.png")["settings"] == record["settings"]


def test_the_only_public_endpoint(client: Client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert list(named) == ["/restore"]
    named_so = [p["parameter_name"] for p in named["/restore"]["parameters"]]
    assert named_so == ["photo", "task", "method", "preset", "changes"]


def _post(url: str, body: bytes, headers: dict[str, str]):
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
        return json.load(answer)
