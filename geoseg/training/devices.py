"""Several processes that train one network together, a device each, and what they tell each other."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from typing import Any, TypeAlias

import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from geoseg.errors import GeosegError, InputError
from geoseg.inference.engine import Progress

Work: TypeAlias = Callable[[int, Progress], None]
"""What every process does, given its number from 0; to be pickled, as the processes start from nothing."""

_GLANCE_S = 0.2  # between two looks at what the processes say


def check_devices(wanted: int) -> None:
    """Refuse more devices than there are.

    Raises:
        InputError: fewer GPUs; without any, processes share the CPU, which no count is too large for.
    """
    there = torch.cuda.device_count()
    if torch.cuda.is_available() and wanted > there:
        raise InputError(f"fit.devices is {wanted}, this machine has {there} GPU(s); lower it")


def together(count: int, work: Work, progress: Progress) -> None:
    """Do work in `count` processes at once, as one group, and wait for them; the first one reports progress.

    Raises:
        GeosegError: what a process has met; the others are ended.
    """
    messages: SimpleQueue[Any] = get_context("spawn").SimpleQueue()
    group = start_processes(  # type: ignore[no-untyped-call]
        _take_part, (count, _free_port(), work, messages), nprocs=count, join=False, start_method="spawn"
    )
    try:
        while not group.join(timeout=_GLANCE_S):
            _hear(messages, progress)
        _hear(messages, progress)
    except (ProcessRaisedException, ProcessExitedException):
        _hear(messages, progress)
        raise
    finally:
        for process in group.processes:
            process.terminate()


def _take_part(rank: int, count: int, port: int, work: Work, messages: SimpleQueue[Any]) -> None:
    """One process of the group; the variables are what torch and Lightning look for."""
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(count), LOCAL_RANK=str(rank), NODE_RANK="0"
    )
    torch.set_num_threads(max(1, torch.get_num_threads() // count))

    def report(stage: str, done: int, total: int) -> None:
        if rank == 0:
            messages.put((stage, done, total))

    try:
        work(rank, report)
    except GeosegError as error:
        messages.put(error)
        raise
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _hear(messages: SimpleQueue[Any], progress: Progress) -> None:
    while not messages.empty():
        message = messages.get()
        if isinstance(message, GeosegError):
            raise message
        progress(*message)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def processes() -> int:
    """How many train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def everyones(part: Tensor) -> Tensor:
    """The parts of all processes, one behind the other; of one shape, the same in every process. Alone: the part."""
    if not distributed.is_initialized():
        return part
    parts = [torch.empty_like(part) for _ in range(processes())]
    distributed.all_gather(parts, part.contiguous())
    return torch.cat(parts)


def share_buffers(network: nn.Module) -> None:
    """Give all processes the first one's statistics of batch norm: each has seen other chips."""
    if distributed.is_initialized():
        for buffer in network.buffers():
            distributed.broadcast(buffer, 0)
