"""The list of weights as HTML: what each file is for, how large, under which licence, whether it is here."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from restore_core import devices
from restore_core.checkpoints import files
from restore_core.checkpoints.catalogue import CATALOGUE, Checkpoint
from restore_core.checkpoints.files import Standing
from restore_core.checkpoints.folders import folder, mirrors, offline
from restore_core.checkpoints.recognition import Stray
from restore_core.library import Library, card
from restore_core.methods import METHODS
from restore_core.networks.published import absent
from restore_core.ui.fetching import Fetching, Task

OWN = "Comes with the project"
CHECKSUMS: Mapping[str, tuple[str, str]] = {  # state of a file -> chip's kind, words
    "right": ("good", "here · checksum right"),
    "wrong": ("bad", "here · wrong checksum"),
    "not compared yet": ("good", "here · checksum not compared yet"),
    "none published": ("good", "here · no checksum published"),
    "converted here": ("good", "here · converted from the published file"),
}


@dataclass(frozen=True)
class Use:
    """What a record is for: a method, and the names of the variants that need it."""

    method: str
    labels: tuple[str, ...]
    role: str


def use_of(record: Checkpoint) -> Use | None:
    """The first method that needs the record, or None."""
    for key, method in METHODS.items():
        found = [(v, role) for v in method.card.variants for role, name in v.weights.items() if name == record.key]
        if found:
            return Use(key, tuple(variant.label for variant, _ in found), found[0][1])
    return None


def groups() -> dict[str, list[Checkpoint]]:
    """All records: ours, which all methods share, first, then published ones by the method that needs their family."""
    uses = {key: use for key, record in CATALOGUE.items() if (use := use_of(record))}
    families = {key.partition("/")[0]: f"{card(use.method).title}, as published" for key, use in uses.items()}
    found: dict[str, list[Checkpoint]] = {}
    for record in CATALOGUE.values():
        title = families.get(record.family, record.family)
        found.setdefault(OWN if record.source.kind == "shipped" else title, []).append(record)
    return dict(sorted(found.items(), key=lambda entry: entry[0] != OWN))


def absent_for(records: Iterable[Checkpoint]) -> str:
    """How to get the packages that run these weights, as a sentence; "" where they are installed."""
    keys = {record.key for record in records}
    variants = [variant for method in METHODS.values() for variant in method.card.variants]
    packages = [name for v in variants if not keys.isdisjoint(v.weights.values()) for name in v.packages]
    return absent(dict.fromkeys(packages))


def title_of(record: Checkpoint) -> str:
    """A record's name for people."""
    use = use_of(record)
    if use is None:
        return record.key
    if use.role != "network":
        return f"{use.role.capitalize()} ({record.key.partition('/')[2]})"
    return use.labels[0]


def megabytes(size: int) -> str:
    """A size in words."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB" if size else "size not known"


def consequence(record: Checkpoint) -> str:
    """What the licence means, in the first words of its terms."""
    return re.split(r"(?<=[a-z])[.:,] ", record.terms, maxsplit=1)[0].rstrip(".") + "."


def machine(library: Library, *, keeper: bool) -> str:
    """What the networks run on and how much room there is."""
    root = folder()
    place = next(p for p in (root, *root.absolute().parents) if p.is_dir())
    pairs = [("Device", f"{devices.describe(library.device)}, {library.precision}")]
    free = devices.free_memory(library.device)
    if free is not None:
        pairs.append(("Memory free", megabytes(free)))
    pairs.append(("Disk free", megabytes(shutil.disk_usage(place).free)))
    if keeper:
        pairs.append(("Folder", str(root)))
        pairs += [("Also looked in", str(mirror)) for mirror in mirrors()]
    if offline():
        pairs.append(("Network", "offline: nothing is fetched"))
    rows = "".join(f"<div><dt>{name}</dt><dd>{html.escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{rows}</dl>'


def row(record: Checkpoint, fetching: Fetching, *, keeper: bool) -> str:
    """One record as HTML."""
    now, task = files.standing(record), fetching.of(record.key)
    kind, words = _state(record, now, task)
    size = megabytes(now.size or record.size)
    buttons = "".join(_button(*b, key=record.key) for b in _deeds(record, now, task)) if keeper else ""
    licence = f"{record.licence}: {consequence(record)}" if record.terms else record.licence
    return (
        f'<div class="what"><strong>{html.escape(title_of(record))}</strong>'
        f'<span class="chip {kind}">{html.escape(words)}</span></div>'
        f'<p class="note">{html.escape(record.note)}</p>'
        f'<p class="note"><span class="size">{size}</span> · {html.escape(licence)}</p>'
        f"{_progress(task)}{_said(task)}"
        f'<div class="deeds">{buttons}{_more(record, now, keeper)}</div>'
    )


def stray_row(stray: Stray) -> str:
    """A file that lies in the weights folder under a name of its own."""
    name = f"<strong>{html.escape(stray.path.name)}</strong> <span>{megabytes(stray.size)}</span>"
    if stray.trouble:
        return f'<div class="what">{name}<span class="chip bad">not usable</span></div>{_text(stray.trouble, "error")}'
    if len(stray.records) == 1:
        said = f"Recognised as {title_of(stray.records[0])} ({stray.records[0].key})."
        return f'<div class="what">{name}<span class="chip good">in use</span></div>{_text(said)}'
    options = "".join(f'<option value="{r.key}">{html.escape(title_of(r))} ({r.key})</option>' for r in stray.records)
    return (
        f'<div class="what">{name}<span class="chip">which is it?</span></div>'
        + _text(f"It fits {len(stray.records)} published files with the same names and shapes, and nothing in it tells "
                "which. Say what you downloaded.")
        + f'<div class="deeds"><select aria-label="What it is">{options}</select>'
        f'<button type="button" data-do="adopt" data-key="{html.escape(stray.path.name)}">Use it</button></div>'
    )  # fmt: skip


def _state(record: Checkpoint, now: Standing, task: Task | None) -> tuple[str, str]:
    if task is not None and task.running:
        return "busy", {"get": "fetching", "check": "checking"}[task.verb]
    if now.path is not None and now.checksum is not None:
        return CHECKSUMS[now.checksum]
    if now.part:
        return "", f"{megabytes(now.part)} of it fetched"
    return "", {"bring": "to be brought by hand", "shipped": "missing"}.get(record.source.kind, "not here")


def _deeds(record: Checkpoint, now: Standing, task: Task | None) -> list[tuple[str, str]]:
    """Buttons: what they do, what they say."""
    if task is not None and task.running:
        return [("stop", "Cancel")] if task.verb == "get" else []
    fetchable = record.source.kind in ("hub", "url") and not offline()
    if now.path is None:
        found = [("get", "Go on" if now.part else f"Get {megabytes(record.size)}")] if fetchable else []
        return found + ([("remove", "Throw the part away")] if now.part else [])
    own = record.source.kind != "shipped" and now.path.is_relative_to(folder())
    wrong = now.checksum == "wrong" and own
    return [
        *([("again", "Delete it and get it again")] if wrong and fetchable else []),
        *([] if wrong else [("check", "Check")]),
        *([("remove", "Remove")] if own else []),
    ]


def _button(deed: str, words: str, key: str) -> str:
    first = ' class="first"' if deed == "again" else ""
    return f'<button type="button" data-do="{deed}" data-key="{key}"{first}>{words}</button>'


def _progress(task: Task | None) -> str:
    if task is None or not task.running:
        return ""
    share = f'value="{task.done}" max="{task.total}"' if task.total and task.verb == "get" else ""
    told = "Asking for it" if not task.total else f"{megabytes(task.done)} of {megabytes(task.total)}"
    if task.verb == "check":
        told = "Reading it"
    elif task.rate > 0:
        left = (task.total - task.done) / task.rate
        told += f" · {task.rate / 1e6:.1f} MB/s" + (f" · about {_span(left)} left" if task.total else "")
    return f'<div class="progress"><progress {share} aria-label="Progress"></progress><span>{told}</span></div>'


def _span(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def _said(task: Task | None) -> str:
    if task is None or task.running or not task.said:
        return ""
    close = _button("dismiss", "OK", task.record.key)
    return f'<div class="said">{_text(task.said, "error" if task.failed else "note")}{close}</div>'


def _more(record: Checkpoint, now: Standing, keeper: bool) -> str:
    """Licence in words, origin, and how a file that only a person can fetch comes here."""
    use, source = use_of(record), record.source
    where = html.escape(source.page)
    link = f'<a href="{where}" target="_blank" rel="noreferrer">{where}</a>' if where.startswith("https://") else where
    lines = [("Licence", f"{html.escape(record.licence)}. {html.escape(record.terms)}"), ("From", link)]
    if source.kind == "bring" and now.path is None:
        name = html.escape(source.published or "its file")
        lines.append(("How", f"Programs cannot fetch it. Download {name} there and drop it above."))
    if use is not None:
        lines.append(("For", html.escape(f"{card(use.method).title}: {'; '.join(use.labels)}")))
    if record.citation:
        lines.append(("Paper", html.escape(record.citation)))
    lines.append(("SHA-256", record.sha256 or "not published"))
    if keeper and now.path is not None:
        lines.append(("File", html.escape(str(now.path))))
    body = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in lines)
    summary = "Where to get it, licence" if source.kind == "bring" and now.path is None else "Licence and origin"
    return f'<details><summary>{summary}</summary><dl>{body}<div><dt>Key</dt><dd>{record.key}</dd></div></dl></details>'


def _text(sentence: str, kind: str = "note") -> str:
    return f'<p class="{kind}">{html.escape(sentence)}</p>'
