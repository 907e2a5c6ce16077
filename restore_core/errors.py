"""The errors a caller may meet. Every message says what was found, why it cannot work and what to do.

    RestoreError
    ├── SettingsError         a request that cannot be carried out
    ├── ImageError            a picture that cannot be read or written
    ├── Cancelled             the run was stopped; not a fault
    ├── NotFinite             a run whose numbers left all bounds
    └── CheckpointError       a weights file that cannot be used
        ├── NotDownloaded     its file is not on this machine
        ├── WrongHash         its bytes are not the published ones
        └── KeysDiffer        its parameters are not those of the network
"""

from __future__ import annotations


class RestoreError(Exception):
    """Anything this package refuses, in a sentence meant for the person who asked."""


class SettingsError(RestoreError):
    """A request that cannot be carried out as asked."""


class ImageError(RestoreError):
    """A picture that cannot be read or written."""


class Cancelled(RestoreError):
    """The run was stopped before it ended."""


class NotFinite(RestoreError):
    """A run whose numbers left all bounds: no picture can be made of them."""


class CheckpointError(RestoreError):
    """A weights file that cannot be used."""


class NotDownloaded(CheckpointError):
    """The weights are known but not on this machine."""


class WrongHash(CheckpointError):
    """The file's bytes are not the ones its record promises."""


class KeysDiffer(CheckpointError):
    """The file's parameter names or shapes are not the network's."""


def gist(error: BaseException) -> str:
    """What an error of somebody else's says in its first line; its kind where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
