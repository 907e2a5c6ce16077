"""Many visitors for a long time on one server: python -m benchmarks.soak --users 30 --minutes 10

Starts a server of its own on a free port of this machine (and talks to nothing else). Each visitor opens the page,
uploads pictures that nobody else has, restores them, looks whether what it got is its own, sometimes stops, sometimes
closes the page in the middle, and comes again. Told at the end: jobs and how they ended, waits, faults, pictures that
were another's (there must be none), and the server's memory, files and threads over time.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from benchmarks.hosting import served
from benchmarks.visitors import Broken, Layout, Page

BLOCKS = 4  # coloured squares along a side: what tells one visitor's picture from another's
ALIKE = 0.12  # mean difference of squares, 0 to 1, up to which a result is of its own picture; others differ by 0.33
SIDES, STEPS = (64, 96, 128, 192), (2, 4, 8, 15, 30)
LONG = 0.04  # share of jobs that take far longer than the others
STOPPED, CLOSED = 0.12, 0.08  # shares of jobs that are stopped, of pages that are closed in the middle
EVERY = 5.0  # seconds between two looks at the server


@dataclass
class Book:
    """What happened, from all visitors."""

    ends: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    places: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Look:
    """The server at one moment: seconds since the start, bytes, files, threads, runs that wait."""

    at: float
    rss: int
    disk: int
    threads: int
    queue: int


def main() -> int:
    """1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="one JSON object, with every look at the server")
    asked = parser.parse_args()
    found = soak(asked.users, 60 * asked.minutes, seed=asked.seed, device=asked.device, tell=not asked.json)
    print(json.dumps(found) if asked.json else report(found))
    return 1 if found["faults"] or found["mixed"] or found["tracebacks"] or found["left"] else 0


def soak(users: int, seconds: float, *, seed: int = 0, device: str = "cpu", tell: bool = False) -> dict:
    """Run it; the numbers."""
    with server(device) as (address, process, folder):
        layout, book, looks = Layout.read(address), Book(), []
        until = time.monotonic() + seconds
        visitors = [
            threading.Thread(target=visit, args=(address, layout, book, until, random.Random(seed * 1000 + k)))
            for k in range(users)
        ]
        for visitor in visitors:
            visitor.start()
        began = time.monotonic()
        while any(visitor.is_alive() for visitor in visitors):
            looks.append(look(address, process, folder, began))
            if tell and len(looks) % 12 == 0:
                print(f"{looks[-1]}  {dict(book.ends)}  faults: {len(book.faults)}", file=sys.stderr, flush=True)
            time.sleep(EVERY)
        left = settled(address, folder)
        looks.append(look(address, process, folder, began))
        log = (folder / "server.txt").read_text()
        jobs = [json.loads(line) for line in (folder / "jobs.jsonl").read_text().splitlines()]
    return summary(users, seconds, book, looks, left, log, jobs)


@contextlib.contextmanager
def server(device: str = "cpu", *more: str) -> Iterator[tuple[str, subprocess.Popen, Path]]:
    """(address, process, folder) of an app that writes jobs.jsonl; all gone at the end."""
    with tempfile.TemporaryDirectory(prefix="stepback-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        arguments = ("--device", device, "--offline", "--log", str(folder / "jobs.jsonl"), *more)
        with served(folder, *arguments) as app:
            yield app.address, app.process, folder


def visit(address: str, layout: Layout, book: Book, until: float, draw: random.Random) -> None:
    """One visitor, page after page."""
    time.sleep(draw.random() * 2)
    while time.monotonic() < until:
        try:
            with Page(address, layout) as page:
                for _ in range(draw.randint(1, 5)):
                    if time.monotonic() >= until or not one_job(page, book, draw):
                        break
                    time.sleep(draw.random() * 0.5)
        except (Broken, httpx.HTTPError, KeyError, ValueError, OSError) as error:
            with book.lock:
                book.faults.append(f"{type(error).__name__}: {error}"[:300])
            time.sleep(1)


def one_job(page: Page, book: Book, draw: random.Random) -> bool:
    """Upload, restore, compare; False where the page was closed in the middle."""
    side, steps = (256, 120) if draw.random() < LONG else (draw.choice(SIDES), draw.choice(STEPS))
    colours = np.random.default_rng(draw.getrandbits(64)).random((BLOCKS, BLOCKS, 3))
    path = page.upload(f"<b>photo</b> {draw.getrandbits(32)}.png", picture(colours, side))
    page.look(path)
    end, ending, running = draw.random(), "done", draw.random() < 0.5  # while it runs, or while it waits
    stop = draw.randint(1, 4) if end < STOPPED else 0
    close = draw.randint(1, 4) if STOPPED <= end < STOPPED + CLOSED else 0
    began, first, shown, number = time.monotonic(), None, {}, 0
    for shown in page.restore(path, task="denoise", steps=steps):
        number += not running or first is not None
        caption = str((shown["film"] or {}).get("caption", ""))
        if "place" in caption:
            with book.lock:
                book.places += 1
        if first is None and (caption.startswith(("Step", "A first")) or shown["film"].get("done")):
            first = time.monotonic() - began
        if stop and number == stop and ending == "done":
            page.stop()
            ending = "stopped"
        if close and number == close:
            with book.lock:
                book.ends["closed"] += 1
            return False
    _judge(page, shown, colours, book, ending)
    with book.lock:
        book.times.append(time.monotonic() - began)
        book.waits.append(first if first is not None else time.monotonic() - began)
    return True


def _judge(page: Page, shown: dict, colours: np.ndarray, book: Book, ending: str) -> None:
    film, file = shown.get("film") or {}, shown.get("download-png")
    if film.get("error"):
        raise Broken(f"an error is shown: {shown['message']}")
    if not film.get("done"):
        raise Broken(f"the film did not end: {film.get('caption')}")
    if not isinstance(file, dict) or "url" not in file:
        if ending == "done":
            raise Broken(f"no result: {film.get('caption')}, {shown['message']}")
        ending = "stopped before the first step"
    else:
        apart = differs(page.fetch(file), colours)
        if apart > ALIKE and ending == "done":
            with book.lock:
                book.mixed.append(f"a result is {apart:.2f} away from its picture")
        last = film.get("src_x0", "")
        if ending == "done" and last and differs(base64.b64decode(last.partition(",")[2]), colours) > ALIKE:
            with book.lock:
                book.mixed.append("a film is of another picture")
    with book.lock:
        book.ends[ending] += 1


def picture(colours: np.ndarray, side: int) -> bytes:
    """Coloured squares with some noise, as PNG."""
    squares = np.kron(colours, np.ones((side // BLOCKS, side // BLOCKS, 1)))
    noisy = squares + np.random.default_rng(int(colours[0, 0, 0] * 2**32)).normal(0, 0.05, squares.shape)
    buffer = io.BytesIO()
    Image.fromarray((noisy.clip(0, 1) * 255).round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def differs(data: bytes, colours: np.ndarray) -> float:
    """Mean difference of a picture's squares from `colours`, 0 to 1."""
    with Image.open(io.BytesIO(data)) as found:
        squares = np.asarray(found.convert("RGB").resize((BLOCKS, BLOCKS), Image.Resampling.BOX)) / 255
    return float(np.abs(squares - colours).mean())


def look(address: str, process: subprocess.Popen, folder: Path, began: float) -> Look:
    """The server now."""
    told = Path(f"/proc/{process.pid}/status").read_text() if sys.platform == "linux" else ""
    number = lambda key: int(found[1]) if (found := re.search(rf"{key}:\s*(\d+)", told)) else 0  # noqa: E731
    disk = 0
    for place, _, names in os.walk(folder / "kept"):  # files come and go meanwhile
        for name in names:
            with contextlib.suppress(OSError):
                disk += os.lstat(os.path.join(place, name)).st_size
    health = httpx.get(f"{address}/healthz", timeout=30).json()
    at = round(time.monotonic() - began, 1)
    return Look(at, 1024 * number("VmRSS"), disk, number("Threads"), health["queue"])


def settled(address: str, folder: Path) -> list[str]:
    """After all pages are closed: what the server still holds that it should not, within half a minute."""
    left: list[str] = []
    for _ in range(60):
        health = httpx.get(f"{address}/healthz", timeout=30).json()
        left = [path.name for path in (folder / "kept").glob("stepback-*")]
        left += ["the device"] * health["busy"] + ["the queue"] * bool(health["queue"])
        if not left:
            break
        time.sleep(0.5)
    return left


def slope(looks: Sequence[Look]) -> float:
    """Least squares of the last half's memory over time, MB a minute."""
    half = [one for one in looks if one.at >= looks[-1].at / 2]
    if len(half) < 3:
        return 0.0
    return float(np.polyfit([one.at / 60 for one in half], [one.rss / 1e6 for one in half], 1)[0])


def summary(
    users: int, seconds: float, book: Book, looks: Sequence[Look], left: Sequence[str], log: str, jobs: Sequence[dict]
) -> dict:
    """Everything as numbers."""
    quantile = lambda values, q: round(float(np.quantile(values, q)), 2) if values else None  # noqa: E731
    return {
        "users": users, "seconds": seconds, "ends": dict(book.ends), "faults": book.faults, "mixed": book.mixed,
        "tracebacks": log.count("Traceback"), "log": log[-3000:] if "Traceback" in log else "",
        "left": list(left), "places": book.places,
        "wait": [quantile(book.waits, q) for q in (0.5, 0.95, 1.0)],
        "time": [quantile(book.times, q) for q in (0.5, 0.95, 1.0)],
        "logged": dict(Counter(job["outcome"] for job in jobs)),
        "on_device": round(sum(job["seconds"] for job in jobs), 1),
        "longest": round(max((job["seconds"] for job in jobs), default=0.0), 1),
        "slope": round(slope(looks), 3), "rss": [round(one.rss / 1e6, 1) for one in looks],
        "disk": [round(one.disk / 1e6, 1) for one in looks], "threads": [one.threads for one in looks],
        "queue": [one.queue for one in looks],
    }  # fmt: skip


def report(found: dict) -> str:
    """The same in words."""
    rss, half = found["rss"], len(found["rss"]) // 2
    wait = "wait until the first picture: median {} s, 95 % {} s, longest {} s".format(*found["wait"])
    lines = [
        f"{found['users']} visitors, {found['seconds'] / 60:g} minutes: {sum(found['ends'].values())} jobs, "
        + ", ".join(f"{count} {name}" for name, count in found["ends"].items()),
        f"faults: {len(found['faults'])}; pictures of another: {len(found['mixed'])}; tracebacks in the log: "
        f"{found['tracebacks']}; left behind: {', '.join(found['left']) or 'nothing'}",
        f"{wait}; times a place in the queue was shown: {found['places']}",
        "from pressing to the end: median {} s, 95 % {} s, longest {} s".format(*found["time"]),
        f"the server's own log: {found['logged']}, {found['on_device']} s on the device, longest {found['longest']} s",
        f"memory: {rss[0]} MB at first, {max(rss)} at most, {rss[-1]} at the end; slope of the last half "
        f"{found['slope']:+.3f} MB a minute (median there {statistics.median(rss[half:]):.0f} MB)",
        f"disk: {max(found['disk'])} MB at most, {found['disk'][-1]} at the end; threads: {max(found['threads'])} at "
        f"most, {found['threads'][-1]} at the end; queue: {max(found['queue'])} at most",
    ]
    lines += [found["log"]] if found["log"] else []
    return "\n".join([*lines, *(f"FAULT {one}" for one in (*found["faults"][:20], *found["mixed"][:20]))])


if __name__ == "__main__":
    raise SystemExit(main())
