"""What can happen to a picture: single operators, chains of them, and what the networks are trained to undo.

    operators   DEGRADATIONS, each with its options        chain      several in a row, as JSON both ways
    realworld   random chains of the blind methods         tasks      TASKS, what the compact networks undo
    calibrate   a camera's noise from its own pictures
"""

from restore_core.degradations.chain import Chain, Step
from restore_core.degradations.operators import DEGRADATIONS, Degradation
from restore_core.degradations.tasks import TASKS, Task, generator_of

__all__ = ["DEGRADATIONS", "TASKS", "Chain", "Degradation", "Step", "Task", "generator_of"]
