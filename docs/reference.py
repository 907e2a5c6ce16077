"""The API reference, made of the docstrings: python docs/reference.py [FOLDER]; default: docs/reference

Needs pdoc (docs/requirements.txt). Every module of restore_core but the page's and the command line's.
"""

from __future__ import annotations

import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import pdoc  # noqa: E402
from jinja2 import pass_context  # noqa: E402

import restore_core  # noqa: E402

LEFT_OUT = ("restore_core.ui", "restore_core.commands", "restore_core.cli", "restore_core.__main__")


def modules() -> list[str]:
    """Names of all modules that belong in the reference."""
    found = pkgutil.walk_packages(restore_core.__path__, "restore_core.", onerror=_refuse)
    return ["restore_core", *(m.name for m in found if not m.name.startswith(LEFT_OUT))]


TERM = re.compile(r"(\w+|\S(?:.*?\S)?(?= {3})) {2,}(\S.*)")  # "name    what it is", as the docstrings have it


def as_list(docstring: str) -> str:
    """Lines of "name    what it is" as items of a Markdown list; an indented line goes on with the one before."""
    return "\n".join(_items(docstring.splitlines()))


def _items(lines: list[str]) -> Iterator[str]:
    column = 0  # where the list's right half begins; 0 outside of one
    for line in lines:
        name, what = _term(line, column)
        if name:
            yield ("" if column else "\n") + f"- **{name}** {what}"
            column = len(line) - len(what)
        elif column and line.startswith("  "):
            yield f"  {line.strip()}"
        else:
            if column and line.strip():
                yield ""
            column = 0
            yield line


def _term(line: str, column: int) -> tuple[str, str]:
    """(name, what it is), or two empty strings. The longest name of a list has but one space behind it."""
    found = TERM.fullmatch(line)
    if found is not None and not found[1].endswith((".", ",", ";", ":")):
        return found[1], found[2]
    if column and line[:column].count(" ") == 1 and line[column - 1 : column] == " ":
        return line[: column - 1], line[column:]
    return "", ""


def _listing(plain: Callable[[Any, str], str]) -> Callable[[Any, str], str]:
    @pass_context
    def to_markdown(context: Any, docstring: str) -> str:
        return plain(context, as_list(docstring))

    return to_markdown


def _refuse(name: str) -> None:
    raise SystemExit(f"{name} cannot be imported, so it cannot be described. See python -m restore_core doctor.")


def main() -> int:
    """Write the pages; the exit code."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("reference")
    filters = pdoc.render.env.filters
    filters["to_markdown"] = _listing(filters["to_markdown"])
    warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)  # of a NamedTuple's __init__
    warnings.filterwarnings("ignore", "The module specification", UserWarning)  # packages name theirs once more
    pdoc.render.configure(docformat="markdown", footer_text="Stepback")
    found = modules()
    pdoc.pdoc(*found, output_directory=folder)
    sys.stdout.write(f"{folder / 'index.html'}: {len(found)} modules\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
