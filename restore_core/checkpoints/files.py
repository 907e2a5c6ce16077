"""Weights on disk: where they lie, whether their bytes are the published ones, how they are added and removed.

    weights/                 $STEPBACK_WEIGHTS, or weights/ beside the package: shipped, downloaded and added files
    further folders          $STEPBACK_MODELS, separated as in $PATH: copies that others keep, only read

The environment is asked at each call, so that a program may set it from its arguments.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from restore_core.checkpoints import checksums, match
from restore_core.checkpoints.reading import format_of, metadata, open_state
from restore_core.checkpoints.sources import Checkpoint
from restore_core.errors import CheckpointError, NotDownloaded, WrongHash

Checksum = Literal["right", "wrong", "not compared yet", "none published", "converted here"]
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, a limit of size


def folder() -> Path:
    """The weights folder: $STEPBACK_WEIGHTS, or weights/ beside the package."""
    return Path(os.environ.get("STEPBACK_WEIGHTS") or Path(__file__).parents[2] / "weights")


def mirrors() -> tuple[Path, ...]:
    """Further folders with weights, from $STEPBACK_MODELS."""
    named = os.environ.get("STEPBACK_MODELS", "").split(os.pathsep)
    return tuple(Path(name).expanduser() for name in named if name)


def offline() -> bool:
    """Whether nothing may be asked of the network: $STEPBACK_OFFLINE or $HF_HUB_OFFLINE."""
    said = (os.environ.get(name, "") for name in ("STEPBACK_OFFLINE", "HF_HUB_OFFLINE"))
    return any(word.strip().lower() in ("1", "true", "yes", "on") for word in said)


def path_of(checkpoint: Checkpoint) -> Path:
    """Where the record's file lies in the weights folder, or would lie."""
    return folder() / checkpoint.file


def part_of(checkpoint: Checkpoint) -> Path:
    """Where a download gathers."""
    path = path_of(checkpoint)
    return path.with_name(f"{path.name}.part")


def locate(checkpoint: Checkpoint) -> Path:
    """The record's file on this machine, or NotDownloaded with the way to get it."""
    for path in _places(checkpoint):
        if path.is_file():
            return path
    raise NotDownloaded(
        f"The weights '{checkpoint.key}' are not on this machine: {Path(checkpoint.file).name} is neither "
        f"in the weights folder nor in one of your own. {checkpoint.source.advice(checkpoint.key)}"
    )


def verify(checkpoint: Checkpoint, path: Path) -> bool:
    """True if the file's SHA-256 is the record's, False if there is none to compare with; WrongHash if it differs."""
    if not checkpoint.sha256 or _is_converted(checkpoint, path):
        return False
    size = path.stat().st_size
    if checkpoint.size and size != checkpoint.size:
        raise _wrong(checkpoint, path, f"it has {size:,} bytes instead of {checkpoint.size:,}")
    found = checksums.sha256(path, memory())
    if found != checkpoint.sha256:
        raise _wrong(checkpoint, path, f"its SHA-256 begins {found[:12]} instead of {checkpoint.sha256[:12]}")
    return True


def load(checkpoint: Checkpoint) -> nn.Module:
    """The record's network: found, its bytes compared, opened without running it, its shapes compared, filled."""
    path = locate(checkpoint)
    state = open_state(path, checkpoint.inside, whole=verify(checkpoint, path))
    with _naming(path):
        match.expect(checkpoint, state)
        return match.build(state, checkpoint.config)


def add(checkpoint: Checkpoint, path: Path) -> Path:
    """Copy a file that the user brought to where the record's is looked for, if it is the record's; the new path."""
    kind = format_of(path)
    verify(checkpoint, path)
    check(checkpoint, path)
    target = path_of(checkpoint)
    if kind == "safetensors":
        target = target.with_suffix(".safetensors")
    with making_room(target, path.stat().st_size) as part:
        shutil.copyfile(path, part)
    return target


def check(checkpoint: Checkpoint, path: Path) -> None:
    """CheckpointError unless the file can be opened, is finite, and fits the record's network in names and shapes."""
    state = open_state(path, checkpoint.inside)
    with _naming(path):
        match.expect(checkpoint, state)
        state = match.network_of(state)
        match.compare(match.blank(state, checkpoint.config).state_dict(), state)
        match.check_numbers(state)


def remove(checkpoint: Checkpoint) -> tuple[Path, ...]:
    """Delete what lies of the record in the weights folder, an unfinished download too; what was deleted.

    Files that came with the project and files in other folders stay.
    """
    if checkpoint.source.kind == "shipped":
        raise CheckpointError(
            f"{checkpoint.key} comes with the project and is not removed from here. Delete its file by hand."
        )
    own = [path for path in _places(checkpoint) if path.is_relative_to(folder())]
    part = part_of(checkpoint)
    gone = tuple(path for path in (*own, part, part.with_name(f"{part.name}.etag")) if path.is_file())
    for path in gone:
        path.unlink()
    elsewhere = next((path for path in _places(checkpoint) if path.is_file()), None)
    if not gone and elsewhere:
        raise CheckpointError(
            f"{checkpoint.key} lies in {elsewhere.parent}, which is only read. Delete it there by hand."
        )
    return gone


@dataclass(frozen=True)
class Standing:
    """What is on this machine of one record. `part`: bytes of an unfinished download."""

    checkpoint: Checkpoint
    path: Path | None
    size: int
    part: int
    checksum: Checksum | None


def standing(checkpoint: Checkpoint) -> Standing:
    """Quick: no file is read, a checksum is only remembered."""
    path = next((place for place in _places(checkpoint) if place.is_file()), None)
    part = part_of(checkpoint)
    gathered = part.stat().st_size if part.is_file() else 0
    if path is None:
        return Standing(checkpoint, None, 0, gathered, None)
    return Standing(checkpoint, path, path.stat().st_size, gathered, _checksum(checkpoint, path))


def recognise(path: Path) -> tuple[Checkpoint, ...]:
    """The records that a file may belong to: told by its checksum, else by its name, else by its shapes alone.

    More than one: nothing in the file tells them apart, and only the person who has it knows.
    """
    state = open_state(path)
    with _naming(path):
        fitting = match.candidates(state)
    origin = metadata(path)
    digest = origin.get("source_sha256") or checksums.sha256(path, memory())
    for is_it in (
        lambda r: r.sha256 == digest,
        lambda r: r.key == origin.get("key"),
        lambda r: not {path.name, path.with_suffix(".pth").name}.isdisjoint((Path(r.file).name, *r.source.names)),
    ):
        told = tuple(record for record in fitting if is_it(record))
        if told:
            return told
    return fitting


@contextmanager
def making_room(target: Path, size: int) -> Iterator[Path]:
    """A path beside `target` to write to; it takes the target's place if the block ends well, and is deleted if not."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        check_room(target, size)
        yield part
        part.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        part.unlink(missing_ok=True)


def check_room(target: Path, size: int) -> None:
    """CheckpointError unless `size` bytes more fit on the disk of `target`, whose folder is made."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, error) from error
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise CheckpointError(
            f"{target.name} needs {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free where the weights "
            "lie. Make room, or keep weights on another disk (set STEPBACK_WEIGHTS to a folder there)."
        )


def unwritable(target: Path, error: OSError) -> CheckpointError:
    """The sentence for a file that could not be written."""
    if error.errno in FULL:
        return CheckpointError(
            f"The disk filled up while {target.name} was being written; what was there of it is deleted. "
            "Make room, or keep weights on another disk (set STEPBACK_WEIGHTS to a folder there)."
        )
    return CheckpointError(
        f"{target} cannot be written ({error.strerror or error}). Choose a folder of yours "
        "(STEPBACK_WEIGHTS), or check the permissions."
    )


def _places(checkpoint: Checkpoint) -> Iterator[Path]:
    """Where the record's file may lie, most trusted first; beside each, its conversion to safetensors before it."""
    names = (checkpoint.file, *checkpoint.source.names)
    below = dict.fromkeys((*names, *(f"{checkpoint.family}/{name}" for name in checkpoint.source.names)))
    for root in (folder(), *mirrors()):
        for name in below:
            path = root / name
            yield from dict.fromkeys((path.with_suffix(".safetensors"), path))


def _checksum(checkpoint: Checkpoint, path: Path) -> Checksum:
    if _is_converted(checkpoint, path):
        return "converted here"
    if not checkpoint.sha256:
        return "none published"
    known = checksums.remembered(path, memory())
    if not known:
        return "not compared yet"
    return "right" if known == checkpoint.sha256 else "wrong"


def _is_converted(checkpoint: Checkpoint, path: Path) -> bool:
    return path.suffix == ".safetensors" != Path(checkpoint.file).suffix


def _wrong(checkpoint: Checkpoint, path: Path, how: str) -> WrongHash:
    return WrongHash(
        f"{path.name} is not the published file of {checkpoint.key}: {how}. It was damaged or changed, so "
        f"it is not used. Delete it (python -m restore_core weights remove {checkpoint.key}) and get it "
        "again."
    )


def memory() -> Path:
    """The file that remembers checksums."""
    return folder() / ".checksums.json"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors about a state dict, with the file's name before them."""
    try:
        yield
    except CheckpointError as error:
        raise type(error)(f"{path.name}: {error}") from error
