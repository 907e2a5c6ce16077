"""What can happen to a picture, and the damages that the compact networks are trained to undo."""

from restore_core.degradations.tasks import TASKS, Task

__all__ = ["TASKS", "Task"]
