"""A batch on more than one machine, by Ray (an optional package): actors that hold the networks, one a slot.

    run = on_ray("ray://head:10001")                             # or "auto", or "local"
    for outcome in run_all(items, request, run, Journal(out)): ...

The folders must be visible on every machine under the same names. Lost workers are begun anew and their photos tried
again; a result has its name only when it is whole, and the journal is written by the one who asked, so nothing is lost
and nothing counted twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from restore_core.batch import ATTEMPTS, Item, Map, Outcome, Request, check_workers, given_up, restore
from restore_core.errors import SettingsError, gist
from restore_core.library import Library

MOST_FAILED_STARTS = 3  # in a row, after which the fault is not the machines'
IN_FLIGHT = 2  # photos that an actor has before it: one in work, one waiting, so that it never idles


class Restorer:
    """One actor: networks loaded once, then photo after photo."""

    def __init__(self, device: str | None = None):
        self._library = Library(device)

    def restore(self, item: Item, request: Request) -> Outcome:
        """As batch.restore."""
        return restore(item, request, self._library)


def on_ray(
    address: str, *, workers: int | None = None, device: str | None = None, actor: Callable[[], Any] | None = None
) -> Map:
    """Photos on a Ray cluster.

    address   of the cluster ("auto": the one this machine belongs to), or "local" for one made here and ended after
    workers   actors; default: one for each GPU, or for each CPU slot where there is none
    actor     makes an object with restore(item, request); default: a Restorer
    """
    ray = _ray()
    if workers is not None:
        check_workers(workers)

    def run(items: Iterable[Item], request: Request) -> Iterator[Outcome]:
        items = list(items)
        started = _join(ray, address)
        crew: _Crew | None = None
        try:
            gpus, cpus = (int(ray.cluster_resources().get(kind, 0)) for kind in ("GPU", "CPU"))
            needs = {"num_gpus": 1} if gpus and device != "cpu" else {"num_cpus": 1}
            crew = _Crew(ray, actor or partial(Restorer, device), needs)
            crew.grow(min(workers or gpus or cpus or 1, len(items)))
            yield from crew.drain(items, request)
        finally:
            if crew is not None:
                crew.dismiss()
            if started:
                ray.shutdown()

    return run


class _Held:
    """What an actor holds is made where it lives."""

    def __init__(self, make: Callable[[], Any]):
        self._held = make()

    def ready(self) -> None:
        """Answered when the actor has begun."""

    def restore(self, item: Item, request: Request) -> Outcome:
        return self._held.restore(item, request)


class _Crew:
    """Actors that work, and actors that are about to: a lost one is replaced as soon as the cluster has a place."""

    def __init__(self, ray: ModuleType, make: Callable[[], Any], needs: Mapping[str, int]):
        self._ray, self._make, self._kind = ray, make, ray.remote(**needs)(_Held)
        self._starting: dict[Any, Any] = {}  # reference that is answered -> actor
        self._before: dict[Any, int] = {}  # actor -> photos before it
        self._failed_starts = 0

    def grow(self, count: int) -> None:
        """Begin `count` more actors."""
        for _ in range(count):
            actor = self._kind.remote(self._make)
            self._starting[actor.ready.remote()] = actor

    def dismiss(self) -> None:
        """End all actors."""
        for actor in (*self._starting.values(), *self._before):
            self._ray.kill(actor)

    def drain(self, items: Sequence[Item], request: Request) -> Iterator[Outcome]:
        """Outcomes as they come. A photo whose actor was lost goes to the end of the queue."""
        queue, attempts = deque(items), dict.fromkeys(items, 0)
        flying: dict[Any, tuple[Item, Any]] = {}
        while queue or flying:
            while queue and self._before and min(self._before.values()) < IN_FLIGHT:
                actor = min(self._before, key=self._before.__getitem__)
                item = queue.popleft()
                flying[actor.restore.remote(item, request)] = item, actor
                self._before[actor] += 1
            (reference,), _ = self._ray.wait([*flying, *self._starting], num_returns=1)
            if reference in self._starting:
                self._begun(reference)
                continue
            item, actor = flying.pop(reference)
            try:
                outcome = self._ray.get(reference)
            except self._ray.exceptions.RayActorError:
                self._lost(actor)
                attempts[item] += 1
                outcome = given_up(item, attempts[item]) if attempts[item] > ATTEMPTS * IN_FLIGHT else None
            else:
                self._before[actor] -= 1
            if outcome is None:
                queue.append(item)
            else:
                yield outcome

    def _begun(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            self._failed_starts += 1
            if self._failed_starts > MOST_FAILED_STARTS:
                raise SettingsError(
                    f"The cluster's workers end as soon as they begin ({gist(error)}). See that "
                    "Stepback and its weights are on every machine, under the same names."
                ) from error
            self.grow(1)
        else:
            self._before[actor] = 0
            self._failed_starts = 0

    def _lost(self, actor: Any) -> None:
        if self._before.pop(actor, None) is not None:  # the first of its photos to tell
            self.grow(1)


def _join(ray: ModuleType, address: str) -> bool:
    """Connect; whether this process made the connection (and must end it)."""
    if ray.is_initialized():
        return False
    where = {} if address == "local" else {"address": address}
    try:
        ray.init(**where, log_to_driver=False, logging_level="ERROR", include_dashboard=False if not where else None)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"No Ray cluster answers at {address} ({error}). Start one (ray start --head), or write --ray local."
        ) from error
    return True


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise SettingsError(
            "Ray is not installed, so the batch cannot run on a cluster. Install it on every machine (python -m pip "
            "install 'ray>=2.50,<3'), or use --workers N on this one."
        ) from error
    return ray


__all__ = ["Restorer", "on_ray"]
