"""COMMANDS in the order of the help text. Each module adds its own parser, whose `run` returns the exit code."""

from restore_core.commands import evaluate, info, restore, train, weights

COMMANDS = (restore, evaluate, train, weights, info)

__all__ = ["COMMANDS"]
