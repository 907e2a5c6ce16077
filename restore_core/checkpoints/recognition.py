"""What is this file? Told by its checksum, its name, its parameters: for files that were brought or just put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from restore_core.checkpoints import checksums, diffusers_form, match
from restore_core.checkpoints.folders import folder, memory
from restore_core.checkpoints.reading import format_of, metadata, open_state
from restore_core.checkpoints.sources import Checkpoint
from restore_core.errors import CheckpointError

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
SHIPPED = ("compact", "metrics")  # folders below weights/ that belong to the project

_Identity = tuple[Path, int, int]


@dataclass(frozen=True)
class Stray:
    """A file in the weights folder under a name of its own.

    records   what it may be: one, and it is used as that; several, and only a person knows; none, see `trouble`
    """

    path: Path
    size: int
    records: tuple[Checkpoint, ...]
    trouble: str


def recognise(path: Path) -> tuple[Checkpoint, ...]:
    """The records that a file may belong to: told by its checksum, else by its name, else by its shapes alone.

    More than one: nothing in the file tells them apart, and only the person who has it knows.
    """
    if diffusers_form.is_one(path):
        return _recognise_folder(path)
    state = open_state(path)
    with naming(path):
        fitting = match.candidates(state)
    origin = metadata(path)
    digest = origin.get("source_sha256") or checksums.sha256(path, memory())
    for is_it in (
        lambda r: r.sha256 == digest,
        lambda r: r.key == origin.get("key"),
        lambda r: not {path.name, path.with_suffix(".pth").name}.isdisjoint((Path(r.file).name, *r.names)),
    ):
        told = tuple(record for record in fitting if is_it(record))
        if told:
            return told
    rest = tuple(record for record in fitting if not _is_another(record, path, digest))
    return rest if len(rest) > 1 else fitting  # one alone may be a copy of another that was saved again: ask


def strays(claimed: Callable[[], frozenset[Path]]) -> tuple[Stray, ...]:
    """Files in the weights folder whose names are not among `claimed`, by name. Each is opened once while it stays."""
    there = list(_files())
    known = claimed() if there else frozenset()
    found = [identity(path) for path in there if path not in known]
    for gone in _LOOKED.keys() - set(found):
        _LOOKED.pop(gone, None)
    return tuple(_looked(identity) for identity in found)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors about a state dict, with the file's name before them."""
    try:
        yield
    except CheckpointError as error:
        raise type(error)(f"{path.name}: {error}") from error


_LOOKED: dict[_Identity, Stray] = {}  # what was found out about files as they are now


def _recognise_folder(path: Path) -> tuple[Checkpoint, ...]:
    """Told by what its scheduler says, then by its name."""
    state, told = diffusers_form.open_folder(path), diffusers_form.predicts(path)
    with naming(path):
        fitting = match.candidates(state)
        match.compare(match.blank(state, fitting[0].config if fitting else {}).state_dict(), match.network_of(state))
    fitting = tuple(r for r in fitting if told in (None, r.config.get("predicts")))
    return tuple(r for r in fitting if path.name in r.folders) or fitting


def _is_another(record: Checkpoint, path: Path, digest: str) -> bool:
    """Whether the published file is known and this, of its format, is not it."""
    same_format = (format_of(path) == "safetensors") == record.file.endswith(".safetensors")
    return bool(record.sha256) and same_format and record.sha256 != digest


def _files() -> Iterator[Path]:
    """Weights files and folders of diffusers' kind in the folder and one deeper, those of the project left out."""
    root = folder()
    if not root.is_dir():
        return
    shelves = (p for p in sorted(root.iterdir()) if p.is_dir() and p.name not in SHIPPED)
    for shelf in (root, *shelves):
        if diffusers_form.is_one(shelf):
            yield shelf
        for path in sorted(shelf.iterdir()):
            if path.suffix in SUFFIXES and not path.name.startswith(".") and path.is_file():
                yield path
            elif shelf != root and diffusers_form.is_one(path):
                yield path


def identity(path: Path) -> _Identity:
    """(path, bytes, time of change): what differs when the weights do."""
    if path.is_dir():
        return path, diffusers_form.size_of(path), diffusers_form.changed_at(path)
    now = path.stat()
    return path, now.st_size, now.st_mtime_ns


def _looked(identity: _Identity) -> Stray:
    if identity not in _LOOKED:
        path, size, _ = identity
        try:
            records, trouble = recognise(path), ""
            if not records:
                trouble = (
                    f"{path.name} holds a network of a known kind, but of another size than any published one, so no "
                    f"method here is made for it. Choose one of the files in the list."
                )
        except (CheckpointError, OSError) as error:
            records, trouble = (), str(error)
        _LOOKED[identity] = Stray(path, size, records, trouble)
    return _LOOKED[identity]
