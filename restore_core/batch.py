"""Many photos, one request: plan(folder), then run_all(items, work), where any map will do.

    items = plan(folder, out)                                    # what would be made of what
    for outcome in run_all(items, request, workers(2), Journal(out)):
        print(outcome.state, outcome.source)                     # one line a photo, as they end

A photo that fails becomes an outcome with a sentence and holds nobody up. What was made is written in the journal, so
that the same command run again does only what is missing; a file has its name only when it is whole. The map `here`
can be watched and stopped, gives the device away between photos, and takes photos that come while it runs.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch

from restore_core import export, images, job, memory
from restore_core.engine import Frame, finish, never
from restore_core.errors import Cancelled, NotFinite, RestoreError, SettingsError
from restore_core.job import Job
from restore_core.library import Library
from restore_core.tiling import AUTO_TILE

LOG = logging.getLogger("stepback")
PICTURES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
SMALLEST_TILE = 128  # pixels; where that is too much, no smaller one helps
ATTEMPTS = 2  # how often a photo is begun again whose worker was lost


@dataclass(frozen=True)
class Request:
    """What is done to every photo: the arguments of job.plan.

    smaller   whether photos above images.COMFORTABLE_PIXELS are reduced to that first
    """

    task: str = "auto"
    method: str = "auto"
    preset: int = 2
    changes: Mapping[str, Any] = field(default_factory=dict)
    max_pixels: int = images.MAX_PIXELS
    smaller: bool = False

    def size_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) that a photo of this size is restored at."""
        return images.comfortable_size(size) if self.smaller else size


@dataclass(frozen=True)
class Item:
    """One photo and the file that will be made of it."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Outcome:
    """How one photo ended. `sentence` says what was seen in it and could not be kept, or why it failed."""

    source: str
    target: str
    state: Literal["done", "kept", "failed"]
    sentence: str = ""
    seconds: float = 0.0
    calls: int = 0


Restore = Callable[[Item, Request], Outcome]
Map = Callable[[Iterable[Item], Request], Iterator[Outcome]]
Turn = Callable[[], AbstractContextManager[object]]
Tell = Callable[[Item, Job, Frame | None], None]  # what a photo is at: None once it is planned, then each frame


def plan(folder: Path, out: Path, *, suffix: str = ".png") -> list[Item]:
    """Every picture below `folder`, and its result at the same place below `out`.

    Two photos whose results would have one name (a.jpg and a.png) keep their suffix in it (a.jpg.png, a.png.png).
    """
    if not folder.is_dir():
        raise SettingsError(f"{folder} is not a folder, so there are no photos in it. Give a folder of photos.")
    own = out.resolve()
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in PICTURES and path.is_file() and not path.resolve().is_relative_to(own)
    ]
    if not found:
        raise SettingsError(
            f"There is no picture in {folder} that this program reads ({', '.join(PICTURES)}). Choose another folder."
        )
    names = _names([path.relative_to(folder) for path in found], suffix)
    return [Item(path, out / name) for path, name in zip(found, names, strict=True)]


def _names(photos: Sequence[Path], suffix: str) -> list[str]:
    """One result each: the photo's name with `suffix` in place of its own, or behind it where two would be one.

    Names that differ in capitals alone are one where results may be taken: on Windows, on a Mac, on a stick.
    """
    names, before = [f"{photo.with_suffix('').as_posix()}{suffix}" for photo in photos], None
    while names != before:
        before, often = names, Counter(map(str.casefold, names))
        names = [
            f"{photo.as_posix()}{suffix}" if often[name.casefold()] > 1 else name
            for photo, name in zip(photos, names, strict=True)
        ]
    return names


def unheard(item: Item, work: Job, frame: Frame | None) -> None:
    """The listener that is not there."""


def restore(
    item: Item, request: Request, library: Library, *, stop: Callable[[], bool] = never, tell: Tell = unheard
) -> Outcome:
    """Restore one photo; what goes wrong with it is told in the outcome. Cancelled is raised when `stop` came first."""
    began = time.perf_counter()
    outcome = partial(Outcome, str(item.source), str(item.target))
    try:
        sentence, calls = _restored(item, request, library, stop, tell)
    except Cancelled:
        raise
    except Exception as error:  # of this photo; the others go on
        return outcome("failed", _why(error, library), time.perf_counter() - began)
    return outcome("done", sentence, time.perf_counter() - began, calls)


def _restored(
    item: Item, request: Request, library: Library, stop: Callable[[], bool], tell: Tell
) -> tuple[str, int]:
    """What there is to say of it, and its network calls, when its result is written."""
    photo = images.load(item.source, max_pixels=request.max_pixels)
    if request.smaller:
        photo = images.comfortable(photo)
    work = job.plan(
        photo, library, task=request.task, method=request.method, preset=request.preset, **request.changes
    )
    item.target.parent.mkdir(parents=True, exist_ok=True)
    export.check_writable(item.target, work.size)
    tell(item, work, None)
    work, last = _to_the_end(work, lambda way: _told(job.run(way, library, stop=stop), item, way, tell), library)
    notes = export.save(last.result, item.target, like=work.like, settings=work.record(library, last))
    return " ".join(filter(None, (work.reason, *photo.notes, *notes))), last.calls


def _to_the_end(work: Job, frames: Callable[[Job], Iterator[Frame]], library: Library) -> tuple[Job, Frame]:
    """The job as it was carried out, and its last frame.

    Once more in full precision where half of it held no numbers; in smaller tiles where memory ran short.
    """
    while True:
        try:
            return work, finish(frames(work))
        except NotFinite:
            if work.settings.precision == "float32":
                raise
            work = replace(work, settings=replace(work.settings, precision="float32"))
        except (MemoryError, RuntimeError) as error:
            tile = (work.settings.tile or AUTO_TILE) // 2
            if not memory.is_shortage(error) or tile < SMALLEST_TILE:
                raise
            work = replace(work, settings=replace(work.settings, tile=tile))
        memory.let_go(library.device)


def _told(frames: Iterator[Frame], item: Item, work: Job, tell: Tell) -> Iterator[Frame]:
    for frame in frames:
        tell(item, work, frame)
        yield frame
        del frame  # before the next is made


def _why(error: Exception, library: Library) -> str:
    """The sentence for a photo that failed."""
    if isinstance(error, RestoreError):
        return str(error)
    if memory.is_shortage(error):
        memory.let_go(library.device)
        return "Memory ran out, even in small pieces. Restore it alone, with other programs closed, or a smaller copy."
    if isinstance(error, OSError):
        return f"A file could not be read or written: {error.strerror or type(error).__name__}. Try it again."
    LOG.error("a photo of a batch failed", exc_info=error)
    return f"Something went wrong that should not have ({type(error).__name__}; the log says more). Try another photo."


class Journal:
    """What was made in a folder, one JSON object a line; a line is whole or is not counted.

    Of several lines about one result the last holds: it tells what is in the file now.
    """

    NAME = ".stepback-batch.jsonl"

    def __init__(self, out: Path):
        self.path = out / self.NAME
        self._made = dict(self._read())  # place of a result -> mark

    def _read(self) -> Iterator[tuple[str, str]]:
        if not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                told = json.loads(line)
                yield told["target"], told["mark"]
            except (ValueError, KeyError, TypeError):
                continue  # the line that a cut wire or a full disk left behind

    def has(self, item: Item, request: Request) -> bool:
        """Whether exactly this was made already, of a photo that has not changed since."""
        return item.target.is_file() and self._made.get(self._place(item)) == _mark(item, request)

    def add(self, item: Item, request: Request, outcome: Outcome) -> None:
        """Note what was made."""
        if outcome.state != "done":
            return
        mark, place = _mark(item, request), self._place(item)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        export.append_line(self.path, json.dumps({"mark": mark} | asdict(outcome) | {"target": place}))
        self._made[place] = mark

    def _place(self, item: Item) -> str:
        """The result's place in the folder, however the folder is named this time."""
        return Path(os.path.relpath(item.target, self.path.parent)).as_posix()


def _mark(item: Item, request: Request) -> str:
    """Changes with the request, the photo's bytes (told by size and time) and the result's name."""
    status = item.source.stat()
    asked = {key: value for key, value in asdict(request).items() if key != "smaller" or value}  # as before it came
    told = [asked, item.source.name, status.st_size, status.st_mtime_ns, item.target.name]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def run_all(items: Iterable[Item], request: Request, run: Map, journal: Journal | None = None) -> Iterator[Outcome]:
    """Outcomes in the order in which they come: those made earlier first.

    Without a journal nothing was made earlier, and items may be told one by one, as they come.
    """
    if journal is None:
        yield from run(items, request)
        return
    items = list(items)
    by_source = {str(item.source): item for item in items}
    missing = []
    for item in items:
        if journal.has(item, request):
            yield Outcome(str(item.source), str(item.target), "kept", "Made by an earlier run.")
        else:
            missing.append(item)
    for outcome in run(missing, request) if missing else ():
        journal.add(by_source[outcome.source], request, outcome)
        yield outcome


# maps


class _Failed(Exception):
    """A photo failed, as its outcome tells: for the turn that is left."""


def here(
    library: Library, *, turn: Turn = nullcontext, stop: Callable[[], bool] = never, tell: Tell = unheard
) -> Map:
    """One photo after the other, in this process; the next is asked for when the last has ended.

    turn    what is held while a photo is restored, so that others come in between two of them; it is left with an
            exception where the photo failed or was stopped, so whoever keeps a book of turns knows
    stop    asked at every network call: the photo under way has no outcome and no file then, and no other is begun
    """

    def run(items: Iterable[Item], request: Request) -> Iterator[Outcome]:
        for item in items:
            try:
                with suppress(_Failed), turn():
                    outcome = restore(item, request, library, stop=stop, tell=tell)
                    if outcome.state == "failed":
                        raise _Failed
            except Cancelled:
                return
            yield outcome

    return run


def workers(count: int, device: str | None = None, *, work: Restore | None = None) -> Map:
    """`count` processes, each with networks of its own and its share of the cores.

    A photo whose worker is lost (killed, out of memory) is begun again, ATTEMPTS times at most. work: what a worker
    does with one photo, importable by name.
    """
    check_workers(count)
    threads, each = max(1, (os.cpu_count() or 1) // count), work or partial(_restore_in_worker, device)

    def run(items: Iterable[Item], request: Request) -> Iterator[Outcome]:
        attempts = {item: 0 for item in items}
        while attempts:
            with _pool(count, threads) as pool:
                for item, outcome in _drain(pool, list(attempts), request, 2 * count, each):
                    if outcome is None:  # one of those that were running when a worker was lost
                        attempts[item] += 1
                        outcome = given_up(item, attempts[item]) if attempts[item] > ATTEMPTS else None
                    if outcome is not None:
                        del attempts[item]
                        yield outcome

    return run


def check_workers(count: int) -> None:
    """SettingsError where there would be nobody to work."""
    if count < 1:
        raise SettingsError(f"{count} workers can do nothing. Choose 1 or more.")


def _pool(count: int, threads: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, initializer=torch.set_num_threads, initargs=(threads,))


def _drain(
    pool: ProcessPoolExecutor, items: list[Item], request: Request, most: int, work: Restore
) -> Iterator[tuple[Item, Outcome | None]]:
    """At most `most` in flight; None for those that were under way when the pool broke, which ends this round."""
    waiting, flying = iter(items), dict[Future[Outcome], Item]()
    while True:
        try:
            while len(flying) < most and (item := next(waiting, None)):
                flying[pool.submit(work, item, request)] = item
            if not flying:
                return
            ready, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in ready:
                outcome = future.result()
                yield flying.pop(future), outcome
        except BrokenExecutor:
            for future, item in flying.items():
                whole = future.done() and not future.exception()
                yield item, future.result() if whole else None
            return


def given_up(item: Item, times: int) -> Outcome:
    """The outcome of a photo whose worker was lost too often."""
    sentence = (
        f"The program that restored it was ended {times} times, perhaps because memory ran out. Try it alone, "
        "with a smaller --tile, or with fewer workers."
    )
    return Outcome(str(item.source), str(item.target), "failed", sentence)


@cache
def _library(device: str | None) -> Library:
    return Library(device)  # one for each worker process


def _restore_in_worker(device: str | None, item: Item, request: Request) -> Outcome:
    return restore(item, request, _library(device))


def as_table(outcomes: Iterable[Outcome]) -> str:
    """One line a photo, for people and for spreadsheets: CSV with a head."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["source", "target", "state", "seconds", "calls", "sentence"])
    for o in outcomes:
        told = [_inert(o.source), _inert(o.target), o.state, f"{o.seconds:.2f}", o.calls]
        rows.writerow([*told, _inert(" ".join(o.sentence.split()))])
    return text.getvalue()


def _inert(text: str) -> str:
    """Text that no spreadsheet takes for a formula, whatever a photo is called."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


__all__ = [
    "Item", "Journal", "Outcome", "Request", "as_table", "check_workers", "given_up", "here", "plan", "restore",
    "run_all", "unheard", "workers",
]  # fmt: skip
