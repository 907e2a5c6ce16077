"""Weights from the Hugging Face hub and from release pages: fetched, compared, checked, and only then put in place.

huggingface_hub 2 throws the part of a file away when its process ends. It is therefore asked for its cache, the
address, size and checksum, and lends its connection, while the bytes come as those of a release do: see transfer.

One process at a time downloads a file; others wait, show its progress, and find the file.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import singledispatch
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from filelock import FileLock, Timeout
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers

from restore_core.checkpoints import checksums, files, folders
from restore_core.checkpoints.sources import Checkpoint, Hub, Source, Url
from restore_core.checkpoints.transfer import (
    Answered,
    Lost,
    Progress,
    Remote,
    Watch,
    discard,
    gather,
    size_of,
)
from restore_core.errors import CheckpointError, NotDownloaded, WrongHash

PATIENCE = 20.0  # seconds without a byte until a connection counts as lost
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NotGiven(CheckpointError):
    """A server that answered, and not with the file: another may have it."""


def get(
    checkpoint: Checkpoint,
    *,
    progress: Progress = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
    patience: float = PATIENCE,
) -> Path:
    """The record's file, from this machine or fetched; its path. `stop` is asked often; Cancelled if it says so."""
    here = _here(checkpoint)
    if here:
        return here
    if not isinstance(checkpoint.source, Hub | Url):
        files.locate(checkpoint)  # raises, with what a person can do
    if folders.offline():
        raise NotDownloaded(
            f"The weights '{checkpoint.key}' are not on this machine, and nothing is fetched while it is "
            "set offline. Unset STEPBACK_OFFLINE and HF_HUB_OFFLINE, or bring the file from "
            f"{checkpoint.source.page}."
        )
    target, watch = files.path_of(checkpoint), Watch(progress, stop, patience)
    files.check_room(target, 0)
    with _alone(checkpoint, watch):
        if not _here(checkpoint) and not _from_cache(
            checkpoint.source, target
        ):  # another process may have been faster
            _fetch(checkpoint, target, watch)
    return _here(checkpoint) or target


def _here(checkpoint: Checkpoint) -> Path | None:
    """The file on this machine, if its bytes are the published ones (WrongHash), or None."""
    try:
        path = files.locate(checkpoint)
    except NotDownloaded:
        return None
    files.verify(checkpoint, path)
    return path


@contextmanager
def _alone(checkpoint: Checkpoint, watch: Watch) -> Iterator[None]:
    """Hold the file's lock; while another process has it, show how far that one is."""
    target = files.path_of(checkpoint)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    while True:
        try:
            lock.acquire(timeout=0.1)
            break
        except Timeout:
            watch.ask()
            watch.progress(size_of(files.part_of(checkpoint)), checkpoint.size)
        except OSError as error:
            raise files.unwritable(target, error) from error
    try:
        yield
    finally:
        lock.release()


def _from_cache(source: Source, target: Path) -> bool:
    """Whether the hub's own cache had the file: it is then linked or copied, not fetched."""
    if not isinstance(source, Hub):
        return False
    found = try_to_load_from_cache(source.repository, source.file, revision=source.revision)
    if not isinstance(found, str):
        return False
    blob = Path(found).resolve()
    with files.making_room(target, blob.stat().st_size) as part:
        try:
            os.link(blob, part)
        except OSError:  # another disk, or one without links
            shutil.copyfile(blob, part)
    return True


def _fetch(checkpoint: Checkpoint, target: Path, watch: Watch) -> None:
    """From the source, or from the first mirror that gives the file; the source's error where none does."""
    try:
        return _fetch_from(checkpoint, target, watch)
    except NotGiven as error:
        refused = error
    for mirror in checkpoint.mirrors:
        with suppress(NotGiven):
            return _fetch_from(_at(checkpoint, mirror), target, watch)
    raise refused


def _at(checkpoint: Checkpoint, mirror: Source) -> Checkpoint:
    """The record as a mirror has it: another file, with a checksum of its own."""
    return replace(checkpoint, source=mirror, mirrors=(), sha256="", size=0)


def _fetch_from(checkpoint: Checkpoint, target: Path, watch: Watch) -> None:
    part = target.with_name(f"{target.name}.part")
    try:
        remote = _promised(checkpoint, address(checkpoint.source, watch.patience))
        gather(remote, part, watch)
    except OfflineModeIsEnabled as error:
        raise NotDownloaded(
            f"The hub is not asked for {checkpoint.key} while HF_HUB_OFFLINE is set. Unset it."
        ) from error
    except HfHubHTTPError as error:
        raise _answered(checkpoint, error.response.status_code) from error
    except Answered as error:
        raise _answered(checkpoint, error.status) from error
    except (Lost, HTTPError) as error:
        raise _lost(checkpoint, error) from error
    except OSError as error:
        if error.errno in files.FULL:
            discard(part)  # it is what fills the disk
        raise files.unwritable(target, error) from error
    _accept(checkpoint, remote, part, target)


@singledispatch
def address(source: Source, patience: float) -> Remote:
    """Where a source's bytes are."""
    raise TypeError(f"{type(source).__name__} cannot be fetched by a program")


@address.register
def _(source: Url, patience: float) -> Remote:
    """$STEPBACK_RELEASES, where it is set, takes the place of scheme and host: a mirror of release pages."""
    mirror = os.environ.get("STEPBACK_RELEASES")
    if not mirror:
        return Remote(source.url)
    base, asked = urlsplit(mirror), urlsplit(source.url)
    return Remote(urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + asked.path, asked.query, "")))


@address.register
def _(source: Hub, patience: float) -> Remote:
    """$HF_ENDPOINT is asked at every call; a token goes to the hub only, not to the storage that it points to."""
    endpoint = os.environ.get("HF_ENDPOINT")
    url = hf_hub_url(source.repository, source.file, revision=source.revision, endpoint=endpoint)
    found = get_hf_file_metadata(url, timeout=patience, endpoint=endpoint)
    sha256 = found.etag if _SHA256.fullmatch(found.etag or "") else ""
    same_host = urlsplit(found.location).netloc == urlsplit(url).netloc
    return Remote(found.location, sha256, found.size or 0, build_hf_headers() if same_host else {})


def _promised(checkpoint: Checkpoint, remote: Remote) -> Remote:
    """The same with the record's checksum before the server's; WrongHash if the two differ."""
    if checkpoint.sha256 and remote.sha256 and checkpoint.sha256 != remote.sha256:
        raise WrongHash(
            f"{checkpoint.source.page} now holds another file than the one recorded for {checkpoint.key} "
            f"(SHA-256 {remote.sha256[:12]} instead of {checkpoint.sha256[:12]}), so it was not fetched. "
            "Bring the recorded file, or look for a newer version of this program."
        )
    return replace(remote, sha256=checkpoint.sha256 or remote.sha256)


def _accept(checkpoint: Checkpoint, remote: Remote, part: Path, target: Path) -> None:
    """Put the part in its place if it is the file that was promised; else delete it."""
    try:
        found = checksums.sha256(part, folders.memory())
        if remote.sha256 and found != remote.sha256:
            raise WrongHash(
                f"What came from {checkpoint.source.page} is not the published file of {checkpoint.key}: "
                f"its SHA-256 begins {found[:12]} instead of {remote.sha256[:12]}. It was deleted. Get it "
                "again; if that does not help, bring the file from another place."
            )
        files.check(checkpoint, part)
    except WrongHash:
        discard(part)
        raise
    except CheckpointError as error:
        discard(part)
        raise type(error)(f"What came from {checkpoint.source.page} was deleted. {error}") from error
    part.replace(target)
    discard(part)
    checksums.remember(target, found, folders.memory())


def _answered(checkpoint: Checkpoint, status: int) -> NotGiven:
    """The sentence for an answer that is no file."""
    page, by_hand = checkpoint.source.page, _by_hand(checkpoint)
    if status in (401, 403):
        return NotGiven(
            f"{page} does not give {checkpoint.key} to everyone (answer {status}): it is private, or asks "
            "for its terms to be accepted. Accept them there and log in with hf auth login, or bring the "
            f"file {by_hand}."
        )
    if status in (404, 410):
        return NotGiven(
            f"{page} has no file of {checkpoint.key} any more (answer {status}). Get it from elsewhere and "
            f"bring it {by_hand}."
        )
    return NotGiven(
        f"{page} answered {status} instead of sending {checkpoint.key}. Try again later, or bring the file "
        f"{by_hand}."
    )


def _lost(checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    reason = str(error) or type(error).__name__
    return CheckpointError(
        f"The connection was lost or stood still while {checkpoint.key} was coming from "
        f"{checkpoint.source.page} ({reason}). What came is kept: get it again to go on, or bring the file "
        f"{_by_hand(checkpoint)}."
    )


def _by_hand(checkpoint: Checkpoint) -> str:
    return f"(drop it on the Models tab, or python -m restore_core weights get {checkpoint.key} --from FILE)"
