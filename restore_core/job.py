"""One photo to be restored: from what a person asks for to a Job, its frames and its saved result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import torch

from restore_core import __version__
from restore_core.checkpoints.catalogue import COMPACT
from restore_core.diagnosis import diagnose
from restore_core.engine import Frame, heeding, never, restore
from restore_core.errors import NotFinite, SettingsError
from restore_core.images import Photo, comfortable, comfortable_size, join_alpha
from restore_core.library import Library, card, worked_pixels
from restore_core.methods import METHODS
from restore_core.moments import caption
from restore_core.samplers import SAMPLERS
from restore_core.settings import Settings
from restore_core.tiling import Heed, alone

LOOKED_AT = 16  # steps: so often it is seen to that the numbers are finite, which waits for the device
BEYOND = 20.0  # times the anchor's root mean square (or 1): no picture and no latent is so large

AUTOMATIC: Mapping[str, str] = {  # task -> method
    "sr4": "sr3", "sr2": "irsde", "deblur": "dvsr", "denoise": "irsde", "jpeg": "irsde", "rain": "dvsr",
    "haze": "dvsr", "old": "irsde", "blind": "dvsr",
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

    @property
    def like(self) -> Photo:
        """The photo that results are written like: without its transparency where that was what was filled."""
        filled = card(self.settings.method).variant(self.settings.variant).channels == 4
        return replace(self.photo, alpha=None) if filled else self.photo

    def record(self, library: Library, frame: Frame) -> dict[str, Any]:
        """What is written into the result's file: enough to make it again, unless the run was `stopped` in its first
        sample; stopped later, what is kept is the mean of those that had ended, as a run of so many makes it."""
        ended = 0 if frame.average is None else frame.average.count
        settings = replace(self.settings, samples=ended) if ended else self.settings
        stopped = {} if ended or frame.done else {"stopped": caption(frame)}
        return {
            "stepback": __version__,
            "task": self.task,
            "settings": settings.to_json(),
            "device": library.device.type,
            "input": {"name": self.photo.name, "size": list(self.photo.rgb.shape[-2:])},
            "seconds": round(frame.seconds, 3),
            "calls": frame.calls,
            **stopped,
        }


def plan(
    photo: Photo,
    library: Library,
    *,
    task: str = "auto",
    method: str = "auto",
    variant: str | None = None,
    preset: int = 2,
    paper: bool = False,
    **changes: Any,
) -> Job:
    """What to do with `photo`. "auto" lets the picture choose the task, and the task the method.

    variant   weights by key, which settle the task and, where one method alone has them, the method
    paper     run published weights as their authors ran them, instead of by the preset
    changes   Settings fields or option keys that differ from the preset's; None means unchanged
    """
    if changes.get("precision") is None:
        changes["precision"] = library.precision
    reason = ""
    if variant:
        method = method_of(variant) if method == "auto" else method
        task = card(method).variant(variant).task
    if task == "auto":
        seen = diagnose(photo.rgb)
        task, reason = seen.task, seen.sentence
    if method == "auto":
        if task not in AUTOMATIC:
            raise SettingsError(f"There is no task called '{task}'. Choose auto or one of {', '.join(COMPACT)}.")
        method = AUTOMATIC[task]
    chosen = card(method)
    key = variant or chosen.variant_for(task).key
    return Job(photo, task, chosen.settings(key, preset, paper=paper, **changes), reason)


def method_of(variant: str) -> str:
    """The one method that has weights called `variant`."""
    having = [key for key, method in METHODS.items() if any(v.key == variant for v in method.card.variants)]
    if len(having) == 1:
        return having[0]
    if having:
        raise SettingsError(
            f"The weights '{variant}' serve {', '.join(having)} alike, so they do not say how to run. Choose one of "
            f"these methods too."
        )
    known = [v.key for method in METHODS.values() for v in method.card.variants]
    near = get_close_matches(variant, known, n=3, cutoff=0.4)
    hint = f"Perhaps {' or '.join(near)} was meant." if near else "python -m restore_core info names all."
    raise SettingsError(f"No method has weights called '{variant}'. {hint}")


def again(photo: Photo, record: Mapping[str, Any]) -> Job:
    """The job that a result's record tells of, for `photo`, or for the smaller copy of it that the run was made on."""
    if not isinstance(record.get("settings"), Mapping):
        raise SettingsError(
            "This record holds no settings, so the run cannot be repeated. Choose a file saved by Stepback."
        )
    settings = Settings.from_json(record["settings"])
    chosen = card(settings.method)
    if _size_in(record) == comfortable_size(photo.size):
        photo = comfortable(photo)
    return Job(photo, chosen.variant(settings.variant).task, chosen.checked(settings), "As in the file given.")


def _size_in(record: Mapping[str, Any]) -> tuple[int, ...]:
    """(height, width) of the photo that a record tells of; empty where it tells none."""
    told = record.get("input")
    size = told.get("size") if isinstance(told, Mapping) else None
    return tuple(size) if isinstance(size, list) else ()


def run(job: Job, library: Library, *, stop: Callable[[], bool] = never, tell: Heed = alone) -> Iterator[Frame]:
    """The frames of the job; see engine.restore.

    tell   hears how far the first look at the photo is, of which there are no frames: (tiles done, of how many)
    """
    looking = True

    def look(done: int, of: int) -> None:
        if looking:  # guidance may lead through a decoder's windows at every step
            tell(done, of)

    method = library.method(job.settings.method, job.settings.variant, heeding(stop, look))
    image = job.photo.rgb
    if method.variant.channels == 4 and job.photo.alpha is not None:
        image = join_alpha(image, job.photo.alpha)  # holes are told by transparency
    problem = method.pose(image.to(library.device), job.settings)
    looking = False
    for frame in restore(problem, job.settings, stop=stop):
        if frame.decoded is not None or frame.index % LOOKED_AT == LOOKED_AT - 1:
            check_bounds(frame, job.settings)
        yield frame
        del frame  # whole pictures, before the next are made


def check_bounds(frame: Frame, settings: Settings) -> None:
    """NotFinite where x0 is no picture any more: not a number; or, at the end, far beyond the anchor's own size."""
    both = frame.step.prediction.x0, frame.problem.anchor
    guess, anchor = (torch.linalg.vector_norm(x) / x.numel() ** 0.5 for x in both)
    size = (guess / anchor.clamp(min=1)).item()  # norms: no picture is made on the way
    if size < (math.inf if frame.decoded is None else BEYOND):
        return
    where = f"at step {frame.index + 1} of {frame.total}"
    if settings.precision != "float32":
        raise NotFinite(
            f"The numbers of this run left the range that {settings.precision} holds ({where}), so no picture can be "
            f"made of them. Run it in float32."
        )
    raise NotFinite(
        f"This way of stepping did not hold: {where} the numbers had grown beyond all bounds, so no picture can be "
        f"made of them. Choose more steps, less randomness, or the sampler 'ddim', which is the steadiest."
    )


def seconds(job: Job, library: Library) -> float:
    """How long the job will take, from a short measurement of its networks."""
    pixels = worked_pixels(job.settings, *job.size)
    calls = SAMPLERS[job.settings.sampler].total_calls(job.settings.steps)
    return library.timing(job.settings).seconds(pixels, calls, job.settings.samples)


__all__ = ["AUTOMATIC", "METHODS", "Job", "again", "check_bounds", "method_of", "plan", "run", "seconds"]
