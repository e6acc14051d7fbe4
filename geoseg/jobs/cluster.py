"""The Dask cluster that does the work: started here, or one that runs already."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from distributed import Client

_TIMEOUT = "20s"
_LOCAL = re.compile(r"local:(\d+)", re.ASCII)


@contextmanager
def open_cluster(address: str) -> Iterator[Client]:
    """A client of a cluster with at least one worker; one that was started here ends with the block.

    Args:
        address: `local:4` for four worker processes on this machine, which share out its cores; the address of a
            scheduler, such as `tcp://10.0.0.7:8786`; or the file that a scheduler writes for its workers (.json).

    Raises:
        MissingExtraError: without the package `distributed`.
        InputError: for another form of address, or a cluster that cannot be reached or has no workers.
    """
    if find_spec("distributed") is None:
        raise MissingExtraError("clusters need the package distributed: pip install 'geoseg[cluster]'")
    from distributed import Client, LocalCluster  # noqa: PLC0415  (an extra)

    local = _LOCAL.fullmatch(address)
    if local is not None:
        workers = int(local[1])
        if workers < 1:
            raise InputError(f"--cluster {address}: needed is at least one worker, as in local:2")
        kind = {"n_workers": workers, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        with LocalCluster(**kind) as cluster, Client(cluster) as client:
            yield client
        return
    with _connected(address, Client) as client:
        if not client.scheduler_info()["workers"]:
            raise InputError(f"--cluster {address}: the scheduler has no workers; start some with `dask worker`")
        yield client


def _connected(address: str, client: type[Client]) -> Client:
    try:
        if "://" in address:
            return client(address, timeout=_TIMEOUT, set_as_default=False)
        if address.endswith(".json") and Path(address).is_file():
            return client(scheduler_file=address, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"--cluster {address}: no scheduler answers there; check that it runs") from error
    raise InputError(f"--cluster {address}: needed is local:N, a scheduler's address (tcp://...), or its .json file")
