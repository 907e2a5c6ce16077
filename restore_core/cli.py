"""The command line: python -m restore_core COMMAND

Exit code 0, or 2 with one sentence on standard error. One command, one module of restore_core.commands.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from restore_core import __version__
from restore_core.commands import COMMANDS
from restore_core.errors import RestoreError, SettingsError


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage text."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        asked = _parser().parse_args(arguments)
        return asked.run(asked) or 0
    except RestoreError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return _refuse("Stopped before the end; nothing was written. Run it again to start over.")
    except BrokenPipeError:
        sys.stderr.close()  # the reader left; there is nobody to tell
        return 2


def _refuse(sentence: str) -> int:
    print(" ".join(sentence.split()), file=sys.stderr)
    return 2


def _parser() -> Parser:
    parser = Parser(prog="python -m restore_core", description="Photo restoration by diffusion.")
    parser.add_argument("--version", action="version", version=f"stepback {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


__all__ = ["main"]
