"""COMMANDS in the order of the help text. Each module adds its own parser, whose `run` returns the exit code."""

from restore_core.commands import (
    batch,
    compare,
    evaluate,
    info,
    restore,
    sweep,
    train,
    weights,
)

COMMANDS = (restore, batch, compare, sweep, evaluate, train, weights, info)

__all__ = ["COMMANDS"]
