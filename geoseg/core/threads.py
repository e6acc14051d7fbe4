"""The same work on many things, by several threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from geoseg.errors import InputError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # things for each helper to do: one that it does, and one that waits


def count_threads(threads: int | None) -> int:
    """The number that was asked for; None = one for each core that the process may use.

    Raises:
        InputError: for less than one.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise InputError(f"at least one thread is needed, got {threads}")
    return threads


def work_in_order(work: Callable[[T], R], things: Iterable[T], *, threads: int) -> Iterator[R]:
    """What the work makes of every thing, in the order of the things.

    Things are taken in the thread that asks for results. It works on some itself, whenever `threads` - 1 helpers have
    enough to do. No more than three results and things a helper wait at any time. Where work or the taking fails, no
    more is begun, and the error is raised.
    """
    if threads == 1:
        yield from map(work, things)
        return
    enough = _AHEAD * (threads - 1)
    with ThreadPoolExecutor(threads - 1, "geoseg-helper") as helpers:
        waiting: deque[Future[R]] = deque()
        try:
            for thing in things:
                busy = sum(not future.done() for future in waiting) >= enough
                waiting.append(_made(work(thing)) if busy else helpers.submit(work, thing))
                while waiting and (waiting[0].done() or len(waiting) > enough + threads - 1):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _made(result: R) -> Future[R]:
    future: Future[R] = Future()
    future.set_result(result)
    return future
