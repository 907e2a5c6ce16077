"""COMMANDS in the order of the help text. Each module adds its own parser, whose `run` returns the exit code."""

from restore_core.commands import (
    batch,
    calibrate,
    compare,
    degrade,
    evaluate,
    info,
    restore,
    sweep,
    train,
    weights,
)

COMMANDS = (restore, batch, compare, sweep, degrade, calibrate, evaluate, train, weights, info)

__all__ = ["COMMANDS"]
