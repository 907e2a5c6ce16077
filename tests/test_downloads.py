"""Downloads end to end: a local server stands in for the hub, its storage and a release page; the clients are real.

Stopped, killed, cut, stalled, refused, wrong, larger than the disk, asked for by two at once: what is in the weights
folder is either the whole file or nothing, and what can be used of a part is used.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import save

from restore_core.checkpoints import download, files, folders
from restore_core.checkpoints.catalogue import Bring, Checkpoint, Hub, Shipped, Url
from restore_core.errors import Cancelled, CheckpointError, KeysDiffer, NotDownloaded, WrongHash
from restore_core.networks.latent_unet import LatentUNet

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["restore_core.checkpoints.download"])


# --- the stand-ins ---------------------------------------------------------------------------------------------


@dataclass
class Site:
    """Files by path, and how the server misbehaves.

    status       answer instead of a file
    cut          bytes after which a connection ends
    pace         where in the file a connection waits for `go`
    tag          ETag of storage and releases
    sized        whether the length is told
    """

    files: dict[str, bytes] = field(default_factory=dict)
    status: int = 0
    cut: int = 0
    pace: int = 0
    tag: str = '"one"'
    sized: bool = True
    linked: str = ""
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def gets(self) -> list[dict[str, str]]:
        """The headers of each request for bytes."""
        return [headers for method, _, headers in self.asked if method == "GET"]


class Handler(BaseHTTPRequestHandler):
    """/OWNER/NAME/resolve/REVISION/FILE as the hub, every other path as storage or a release page."""

    site: Site

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError):  # the client was killed
            self.close_connection = True

    def _answer(self) -> None:
        site = self.site
        site.asked.append((self.command, self.path, dict(self.headers)))
        if site.status:
            return self._head(site.status, {"Content-Length": "0"})
        owner, name, *rest = self.path.strip("/").split("/")
        if len(rest) > 2 and rest[0] == "resolve":
            return self._as_hub(f"{owner}/{name}/{'/'.join(rest[2:])}")
        if self.path.strip("/") not in site.files:
            return self._head(404, {"Content-Length": "0"})
        self._send(site.files[self.path.strip("/")])

    def _as_hub(self, path: str) -> None:
        data = self.site.files.get(path)
        if data is None:
            return self._head(404, {"X-Error-Code": "EntryNotFound", "Content-Length": "0"})
        storage = self.site.url.replace("127.0.0.1", "localhost")  # another host: tokens stay behind
        self._head(302, {
            "Location": f"{storage}/{path}", "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(data)),
            "X-Linked-Etag": f'"{self.site.linked or hashlib.sha256(data).hexdigest()}"', "Content-Length": "0",
        })  # fmt: skip

    def _send(self, data: bytes) -> None:
        site, start = self.site, 0
        asked = self.headers.get("Range")
        if asked and self.headers.get("If-Range", site.tag) == site.tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                return self._head(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
        headers = {"ETag": site.tag, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        if site.sized:
            headers["Content-Length"] = str(len(data) - start)
        self._head(206 if start else 200, headers)
        if self.command == "HEAD":
            return
        if site.pace:
            self._write(data[start : site.pace])
            site.go.wait(20)
            start = max(start, site.pace)
        end = start + site.cut if site.cut else len(data)
        self._write(data[start:end])
        self.close_connection = True

    def _write(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on this machine; the hub's client, the releases and the weights folder are pointed there."""
    found = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"site": found}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    for name in ("HF_HUB_OFFLINE", "STEPBACK_OFFLINE", "STEPBACK_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("STEPBACK_RELEASES", found.url)
    monkeypatch.setenv("HF_ENDPOINT", found.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    yield found
    found.go.set()
    server.shutdown()
    server.server_close()
    thread.join()


def weights(seed: int = 0, pad: int = 0) -> bytes:
    """A small network's file; `pad`: bytes of description in its header."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LatentUNet(3, 3, (8, 8, 16), 4)
    return save(network.state_dict(), {"padding": "x" * pad})


DATA = weights(pad=300_000)
SHA = hashlib.sha256(DATA).hexdigest()


def release(site: Site, data: bytes = DATA, sha256: str = SHA) -> Checkpoint:
    """A record of a release's file, which the server has."""
    site.files["owner/name/releases/net.safetensors"] = data
    url = "https://releases.invalid/owner/name/releases/net.safetensors"
    return Checkpoint("test/net", "refusion-latent-unet", Url(url), "MIT", sha256=sha256)


def on_hub(site: Site, data: bytes = DATA, sha256: str = SHA) -> Checkpoint:
    """A record of a hub's file, which the server has."""
    site.files["owner/model/net.safetensors"] = data
    return Checkpoint(
        "test/net", "refusion-latent-unet", Hub("owner/model", "net.safetensors"), "MIT", sha256=sha256
    )


RECORDS = {"release": release, "hub": on_hub}


def left() -> list[str]:
    """What is in the weights folder, memory of checksums and locks apart."""
    found = (p for p in folders.folder().rglob("*") if p.is_file())
    return sorted(p.name for p in found if not (p.name.startswith(".checksums") or p.name.endswith(".lock")))


# --- what should happen ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RECORDS)
def test_a_file_is_fetched_with_progress_and_then_found_here(site: Site, kind: str):
    record, seen = RECORDS[kind](site), []
    path = download.get(record, progress=lambda *now: seen.append(now))
    assert path == folders.folder() / "test/net.safetensors" and path.read_bytes() == DATA
    assert seen[0] == (0, len(DATA)) and seen[-1] == (len(DATA), len(DATA)) and seen == sorted(seen)
    assert left() == ["net.safetensors"] and files.standing(record).checksum == "right"
    before = len(site.asked)
    assert download.get(record) == path and len(site.asked) == before
    assert isinstance(files.load(record), LatentUNet)


def test_the_hubs_own_checksum_is_compared_where_the_record_has_none(site: Site):
    record = on_hub(site, sha256="")
    assert download.get(record).read_bytes() == DATA
    files.remove(record)
    site.linked = "f" * 64
    with pytest.raises(WrongHash, match=r"not the published file.*deleted"):
        download.get(record)
    assert left() == []


def test_a_hub_that_holds_another_file_is_told_before_a_byte_comes(site: Site):
    with pytest.raises(WrongHash, match="now holds another file"):
        download.get(on_hub(site, weights(1)))
    assert site.gets() == [] and left() == []


def test_mirrors_are_asked_in_turn_where_the_source_has_the_file_no_more(site: Site):
    mirrors = (Hub("owner/gone-too", "net.safetensors"), Hub("owner/model", "net.safetensors"))
    record = replace(on_hub(site), source=Hub("owner/gone", "net.safetensors"), mirrors=mirrors, sha256="")
    assert download.get(record).read_bytes() == DATA and left() == ["net.safetensors"]
    assert [path.split("/")[2] for _, path, _ in site.asked if "resolve" in path][:3] == ["gone", "gone-too", "model"]


def test_where_no_mirror_has_the_file_the_sources_own_answer_is_told(site: Site):
    record = replace(on_hub(site), source=Hub("owner/gone", "net.safetensors"), sha256="")
    record = replace(record, mirrors=(Hub("owner/gone-too", "net.safetensors"),))
    with pytest.raises(CheckpointError, match=r"owner/gone has no file of test/net any more"):
        download.get(record)


def test_a_token_goes_to_the_hub_and_not_to_its_storage(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    download.get(on_hub(site))
    heads = [headers for method, _, headers in site.asked if method == "HEAD"]
    told = [
        {k.lower(): v for k, v in headers.items()}.get("authorization") for headers in (*heads, *site.gets())
    ]
    assert told == ["Bearer hf_secret", None]


def test_the_hubs_cache_is_asked_first(site: Site):
    record = on_hub(site)
    huggingface_hub.hf_hub_download("owner/model", "net.safetensors", endpoint=site.url)
    before = len(site.asked)
    assert download.get(record).read_bytes() == DATA
    assert len(site.asked) == before


def test_a_mirror_folder_is_asked_before_the_network(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    record = release(site)
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "net.safetensors").write_bytes(DATA)
    monkeypatch.setenv("STEPBACK_MODELS", str(tmp_path / "shelf"))
    assert download.get(record) == tmp_path / "shelf" / "net.safetensors" and site.asked == []
    with pytest.raises(CheckpointError, match="only read"):
        files.remove(record)


@pytest.mark.parametrize("name", ["STEPBACK_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked(site: Site, name: str, monkeypatch: pytest.MonkeyPatch):
    record = release(site)
    monkeypatch.setenv(name, "1")
    with pytest.raises(NotDownloaded, match="set offline"):
        download.get(record)
    assert site.asked == []


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        (Bring("a.pth", "https://drive.invalid/x", "b.pth"), "'b.pth' from https://drive.invalid/x"),
        (Shipped("t/a.pth"), "train"),
    ],
)
def test_what_no_program_can_fetch_is_told_with_a_way(site: Site, source: Bring | Shipped, advice: str):
    with pytest.raises(NotDownloaded, match=advice):
        download.get(Checkpoint("test/a", "refusion-latent-unet", source, "MIT"))


# --- stopped and resumed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RECORDS)
def test_a_stopped_download_goes_on_where_it_ended(site: Site, kind: str):
    record, seen = RECORDS[kind](site), [0]
    with pytest.raises(Cancelled, match="to go on"):
        download.get(record, progress=lambda done, _: seen.append(done), stop=lambda: seen[-1] > 100_000)
    part = files.standing(record).part
    assert 100_000 < part < len(DATA) and left() == ["net.safetensors.part", "net.safetensors.part.etag"]
    assert download.get(record).read_bytes() == DATA
    assert site.gets()[-1]["Range"] == f"bytes={part}-" and site.gets()[-1]["If-Range"] == '"one"'
    assert left() == ["net.safetensors"]


def test_a_cut_connection_is_taken_up_again(site: Site):
    record = release(site)
    site.cut = 200_000
    assert download.get(record).read_bytes() == DATA and 400_000 < len(DATA) < 600_000
    assert [headers.get("Range") for headers in site.gets()] == [None, "bytes=200000-", "bytes=400000-"]


def test_a_file_that_changed_meanwhile_is_begun_anew(site: Site):
    record, seen = release(site, sha256=""), [0]
    with pytest.raises(Cancelled):
        download.get(record, progress=lambda done, _: seen.append(done), stop=lambda: seen[-1] > 100_000)
    site.files, site.tag = {path: weights(1) for path in site.files}, '"two"'
    assert download.get(record).read_bytes() == weights(1)


def test_a_part_longer_than_the_file_is_thrown_away(site: Site):
    record = release(site)
    part = files.part_of(record)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (len(DATA) + 1))
    assert download.get(record).read_bytes() == DATA
    assert site.gets()[0]["Range"] == f"bytes={len(DATA) + 1}-" and "Range" not in site.gets()[1]


def fetch(record: Checkpoint, environment: dict[str, str], largest: int, answer: Any) -> None:
    """For another process, in which no file may grow beyond `largest` bytes (0: any size)."""
    os.environ.update(environment)
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    try:
        answer.send(str(download.get(record)))
    except CheckpointError as error:
        answer.send(str(error))


def started(record: Checkpoint, largest: int = 0) -> tuple[multiprocessing.Process, Any]:
    """The process, and where its answer comes."""
    told = {name: value for name, value in os.environ.items() if name.startswith(("STEPBACK_", "HF_"))}
    ours, theirs = FORKS.Pipe(duplex=False)
    child = FORKS.Process(target=fetch, args=(record, told, largest, theirs))
    child.start()
    theirs.close()
    return child, ours


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


def test_a_download_killed_half_way_is_resumed(site: Site):
    record = release(site)
    site.pace = 150_000
    child, _ = started(record)
    wait_for(lambda: files.standing(record).part >= site.pace)
    child.kill()
    child.join()
    assert child.exitcode == -9 and "net.safetensors" not in left()
    part = files.standing(record).part
    assert part == site.pace
    site.pace = 0
    assert download.get(record).read_bytes() == DATA
    assert site.gets()[-1]["Range"] == f"bytes={part}-" and left() == ["net.safetensors"]


def test_of_two_processes_one_downloads_and_both_have_the_file(site: Site):
    record = release(site)
    site.pace = 150_000
    first, answer = started(record)
    wait_for(lambda: files.standing(record).part >= site.pace)
    seen: list[int] = []
    second = threading.Thread(
        target=download.get, args=(record,), kwargs={"progress": lambda d, _: seen.append(d)}
    )
    second.start()
    wait_for(lambda: seen)
    site.go.set()
    assert answer.recv() == str(files.path_of(record))
    first.join()
    second.join()
    assert files.path_of(record).read_bytes() == DATA
    assert len(site.gets()) == 1 and seen[0] == site.pace, "the one that waited showed the other's progress"


def test_who_waits_for_another_can_be_stopped(site: Site):
    record = release(site)
    site.pace = 150_000
    first = threading.Thread(target=download.get, args=(record,))
    first.start()
    wait_for(site.gets)
    with pytest.raises(Cancelled):
        download.get(record, stop=lambda: True)
    site.go.set()
    first.join()
    assert left() == ["net.safetensors"]


# --- what goes wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize(
    ("status", "sentence"), [(404, "no file of"), (401, "private"), (403, "terms"), (418, "answered 418")]
)
def test_an_answer_without_a_file_is_told_with_a_way_out(site: Site, kind: str, status: int, sentence: str):
    record = RECORDS[kind](site)
    site.status = status
    with pytest.raises(CheckpointError, match=sentence) as error:
        download.get(record)
    assert "--from FILE" in str(error.value) and left() == [] and len(site.asked) == 1


@pytest.mark.parametrize("kind", RECORDS)
def test_a_server_that_stands_still_is_given_up(site: Site, kind: str):
    record = RECORDS[kind](site)
    site.pace = 150_000
    with pytest.raises(CheckpointError, match="stood still") as error:
        download.get(record, patience=0.15)
    assert "get it again to go on" in str(error.value)
    assert set(left()) == {"net.safetensors.part", "net.safetensors.part.etag"}


def test_a_busy_server_is_asked_again(site: Site):
    record = release(site)
    site.status = 503
    with pytest.raises(CheckpointError, match="answer 503"):
        download.get(record, patience=0.05)
    assert len(site.asked) == 4 and left() == []


def test_nobody_there(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STEPBACK_RELEASES", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match="connection was lost"):
        download.get(release(site), patience=0.05)
    assert left() == []


@pytest.mark.parametrize("kind", RECORDS)
def test_wrong_bytes_are_deleted(site: Site, kind: str):
    record = RECORDS[kind](site)
    site.files = {path: weights(1, pad=300_000) for path in site.files}
    site.linked = SHA
    with pytest.raises(WrongHash, match=r"not the published file.*deleted"):
        download.get(record)
    assert left() == []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "web page"),
        (DATA[:200_000], "not a whole weights file"),
        (save({"conv_first.weight": torch.zeros(2)}), "Real-ESRGAN"),
        (save({**LatentUNet(3, 3, (8, 8, 16), 4).state_dict(), "more": torch.zeros(2)}), "unexpected: more"),
        (b"", "empty"),
    ],
)
def test_bytes_that_are_no_such_network_are_deleted(site: Site, data: bytes, sentence: str):
    with pytest.raises(CheckpointError, match=sentence) as error:
        download.get(release(site, data, sha256=""))
    assert "deleted" in str(error.value) and left() == []
    assert isinstance(error.value, KeysDiffer) == ("unexpected" in sentence or "ESRGAN" in sentence)


def test_a_limit_met_on_the_way_leaves_nothing(site: Site):
    record = release(site)
    child, answer = started(record, largest=200_000)
    assert "disk filled up" in answer.recv() and left() == []
    child.join()


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 256 kB under the weights folder."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting is not allowed here")
    monkeypatch.setenv("STEPBACK_WEIGHTS", str(place))
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_file_larger_than_the_disk_is_not_begun(site: Site, small_disk: Path):
    with pytest.raises(CheckpointError, match="Make room"):
        download.get(release(site))
    assert left() == []


def test_a_disk_that_fills_up_on_the_way_is_emptied_again(site: Site, small_disk: Path):
    record = release(site)
    site.sized = False
    with pytest.raises(CheckpointError, match="disk filled up"):
        download.get(record)
    assert left() == [] and shutil.disk_usage(small_disk).free > 200_000


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_folder_that_may_not_be_written(site: Site, tmp_path: Path):
    folders.folder().mkdir()
    folders.folder().chmod(0o500)
    with pytest.raises(CheckpointError, match="cannot be written"):
        download.get(release(site))


def test_a_file_in_the_folders_place(site: Site):
    folders.folder().write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        download.get(release(site))


@pytest.mark.slow
def test_two_hundred_megabytes_are_no_matter_of_minutes(site: Site):
    """Fetched, summed, checked and loaded: no step may go through the bytes one by one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        big = save(LatentUNet(3, 3, (64, 512, 512, 512), 4).state_dict())
    record = release(site, big, hashlib.sha256(big).hexdigest())
    assert len(big) > 150e6
    began = time.monotonic()
    download.get(record)
    files.load(record)
    assert time.monotonic() - began < 30
