"""Stepback: photo restoration by diffusion, every step in view.

    from restore_core import Library, images, job
    library = Library()
    work = job.plan(images.load("photo.jpg"), library, task="deblur")
    for frame in job.run(work, library):
        show(frame.estimate)
"""

__version__ = "0.1.0"

from restore_core.engine import Frame, Noise, finish, restore
from restore_core.errors import RestoreError
from restore_core.library import Library
from restore_core.methods import METHODS
from restore_core.problem import Problem
from restore_core.samplers import SAMPLERS
from restore_core.settings import Settings

__all__ = [
    "METHODS",
    "SAMPLERS",
    "Frame",
    "Library",
    "Noise",
    "Problem",
    "RestoreError",
    "Settings",
    "__version__",
    "finish",
    "restore",
]
