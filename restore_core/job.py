"""One photo to be restored: from what a person asks for to a Job, its frames and its saved result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from restore_core import __version__
from restore_core.checkpoints.catalogue import COMPACT
from restore_core.diagnosis import diagnose
from restore_core.engine import Frame, never, restore
from restore_core.errors import SettingsError
from restore_core.images import Photo, join_alpha
from restore_core.library import Library, card
from restore_core.methods import METHODS
from restore_core.samplers import SAMPLERS
from restore_core.settings import Settings

AUTOMATIC: Mapping[str, str] = {  # task -> method
    "sr4": "resshift", "sr2": "resshift", "deblur": "dvsr", "denoise": "irsde", "jpeg": "irsde", "rain": "irsde",
    "haze": "irsde", "old": "dvsr", "blind": "dvsr",
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A photo, what is done to it, and why."""

    photo: Photo
    task: str
    settings: Settings
    reason: str

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the result."""
        scale = card(self.settings.method).variant(self.settings.variant).scale
        height, width = self.photo.rgb.shape[-2:]
        return height * scale, width * scale

    def record(self, library: Library, frame: Frame) -> dict[str, Any]:
        """What is written into the result's file: enough to make it again."""
        return {
            "stepback": __version__,
            "task": self.task,
            "settings": self.settings.to_json(),
            "device": library.device.type,
            "input": {"name": self.photo.name, "size": list(self.photo.rgb.shape[-2:])},
            "seconds": round(frame.seconds, 3),
            "calls": frame.calls,
        }


def plan(
    photo: Photo,
    library: Library,
    *,
    task: str = "auto",
    method: str = "auto",
    preset: int = 2,
    **changes: Any,
) -> Job:
    """What to do with `photo`. "auto" lets the picture choose the task, and the task the method.

    changes   Settings fields or option keys that differ from the preset's; None means unchanged
    """
    reason = ""
    if task == "auto":
        seen = diagnose(photo.rgb)
        task, reason = seen.task, seen.sentence
    if method == "auto":
        if task not in AUTOMATIC:
            raise SettingsError(f"There is no task called '{task}'. Choose auto or one of {', '.join(COMPACT)}.")
        method = AUTOMATIC[task]
    variant = changes.pop("variant", None) or card(method).variant_for(task).key
    if changes.get("precision") is None:
        changes["precision"] = library.precision
    return Job(photo, task, card(method).settings(variant, preset, **changes), reason)


def again(photo: Photo, record: Mapping[str, Any]) -> Job:
    """The job that a result's record tells of, for `photo`."""
    if not isinstance(record.get("settings"), Mapping):
        raise SettingsError(
            "This record holds no settings, so the run cannot be repeated. Choose a file saved by Stepback."
        )
    settings = Settings.from_json(record["settings"])
    chosen = card(settings.method)
    return Job(photo, chosen.variant(settings.variant).task, chosen.checked(settings), "As in the file given.")


def run(job: Job, library: Library, *, stop: Callable[[], bool] = never) -> Iterator[Frame]:
    """The frames of the job; see engine.restore."""
    method = library.method(job.settings.method, job.settings.variant)
    image = job.photo.rgb
    if method.variant.channels == 4 and job.photo.alpha is not None:
        image = join_alpha(image, job.photo.alpha)  # holes are told by transparency
    problem = method.pose(image.to(library.device), job.settings)
    yield from restore(problem, job.settings, stop=stop)


def seconds(job: Job, library: Library) -> float:
    """How long the job will take, from a short measurement of its networks."""
    before, each = library.rate(job.settings)
    height, width = job.size
    calls = SAMPLERS[job.settings.sampler].total_calls(job.settings.steps) * job.settings.samples
    return height * width * (before + calls * each)


__all__ = ["AUTOMATIC", "METHODS", "Job", "again", "plan", "run", "seconds"]
