"""A record of one weights file, and the four ways in which a file comes to this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def is_plain(name: str) -> bool:
    """Whether `name` is a relative path of plain parts: no "..", no root, no drive, no backslash."""
    return _PLAIN.fullmatch(name) is not None


@dataclass(frozen=True)
class Shipped:
    """A file that comes with the project, below weights/."""

    file: str

    kind: ClassVar[str] = "shipped"
    page: ClassVar[str] = "the project's repository"
    names: ClassVar[tuple[str, ...]] = ()

    def place(self, family: str) -> str:
        """Where the file is kept, relative to the weights folder."""
        return self.file

    def advice(self, key: str) -> str:
        """How the file `key` comes here, for a person."""
        return (
            "They come with the project: get the file from its repository, or train it with python -m "
            "restore_core train."
        )


@dataclass(frozen=True)
class Hub:
    """A file in a model repository on the Hugging Face hub, at one revision (a commit, where it must not move)."""

    repository: str
    file: str
    revision: str = "main"

    kind: ClassVar[str] = "hub"

    @property
    def page(self) -> str:
        """Where a person finds the file."""
        return f"https://huggingface.co/{self.repository}"

    @property
    def names(self) -> tuple[str, ...]:
        """File names under which a copy is recognised."""
        return (PurePosixPath(self.file).name, f"{self.repository}/{self.file}")

    def place(self, family: str) -> str:
        """Where the file is kept, relative to the weights folder."""
        return f"{family}/{PurePosixPath(self.file).name}"

    def advice(self, key: str) -> str:
        """How the file `key` comes here, for a person."""
        return f"Get them on the Models tab or with python -m restore_core weights get {key}."


@dataclass(frozen=True)
class Url:
    """A file behind a lasting address, such as a release asset. `aliases`: other names that copies of it go by."""

    url: str
    aliases: tuple[str, ...] = ()

    kind: ClassVar[str] = "url"

    @property
    def page(self) -> str:
        """Where a person finds the file."""
        return self.url

    @property
    def names(self) -> tuple[str, ...]:
        """File names under which a copy is recognised."""
        return (PurePosixPath(self.url).name, *self.aliases)

    def place(self, family: str) -> str:
        """Where the file is kept, relative to the weights folder."""
        return f"{family}/{PurePosixPath(self.url).name}"

    def advice(self, key: str) -> str:
        """How the file `key` comes here, for a person."""
        return f"Get them on the Models tab or with python -m restore_core weights get {key}."


@dataclass(frozen=True)
class Bring:
    """A file that only a person can fetch: its folder on the web has no lasting address for programs.

    name        under which it is kept here; ours, as some authors call the files of several tasks alike
    page        where to find it
    published   the name that it has there, or "" where that is not known
    aliases     names that tell it apart from all others and under which copies are recognised
    """

    name: str
    page: str
    published: str = ""
    aliases: tuple[str, ...] = ()

    kind: ClassVar[str] = "bring"

    @property
    def names(self) -> tuple[str, ...]:
        """File names under which a copy is recognised."""
        return (self.name, *self.aliases)

    def place(self, family: str) -> str:
        """Where the file is kept, relative to the weights folder."""
        return f"{family}/{self.name}"

    def advice(self, key: str) -> str:
        """How the file `key` comes here, for a person."""
        file = f"'{self.published}'" if self.published else "the file"
        return (
            f"Only a person can fetch them: download {file} from {self.page} and add it on the Models tab "
            f"or with python -m restore_core weights get {key} --from FILE."
        )


Source = Shipped | Hub | Url | Bring


@dataclass(frozen=True)
class Checkpoint:
    """One weights file.

    key           "family/name", lower-case
    architecture  key of the network it fills
    licence       its name
    terms         what the licence means for who uses the weights, in a sentence or two
    sha256        of the file, or "" where none is known
    size          bytes: exact where sha256 is known, else computed from the list of tensors (a little less)
    inside        keys down to the state dict, where a file wraps it in a way that cannot be guessed
    shapes        of a few telling parameters, None where it must be absent: what marks this file among those of its
                  architecture
    config        what shapes cannot tell: norm groups, schedule, number of steps, noise, scale
    citation      the paper
    note          what else one should know before fetching it
    mirrors       where else the same tensors are, asked in turn when the source does not give them
    folders       names of folders in which they lie in diffusers' form (see diffusers_form)
    """

    key: str
    architecture: str
    source: Source
    licence: str
    terms: str = ""
    sha256: str = ""
    size: int = 0
    inside: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...] | None] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    citation: str = ""
    note: str = ""
    mirrors: tuple[Hub | Url, ...] = ()
    folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unfit = [name for name in (self.key, self.file, *self.names, *self.folders) if not is_plain(name)]
        if unfit:
            raise ValueError(
                f"{unfit[0]!r} is no plain relative name, so it could lead out of the weights folder."
            )

    @property
    def family(self) -> str:
        """The first part of the key, which is also the folder below weights/."""
        return self.key.partition("/")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """File names under which a copy is recognised, the source's first."""
        return tuple(name for place in (self.source, *self.mirrors) for name in place.names)

    @property
    def file(self) -> str:
        """Where the file is kept, relative to the weights folder."""
        return self.source.place(self.family)
