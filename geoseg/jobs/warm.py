"""Workers that hold the networks ready: each loads them once, checks that they are the right ones, and keeps them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from dask.system import CPU_COUNT
from distributed import Client, Worker, WorkerPlugin, get_worker

from geoseg.core.identity import differences, listed
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError
from geoseg.inference.contract import Fit
from geoseg.inference.drawing import networks_for
from geoseg.inference.networks import Networks
from geoseg.inference.options import PredictOptions
from geoseg.models.bundle import Bundle, load_bundle
from geoseg.models.ensemble import Ensemble
from geoseg.models.runtime.protocol import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A bundle's file, known by its sha256; with its bytes where not all workers find it under this path."""

    path: Path
    sha256: str
    content: bytes | None = None

    def load(self, folder: Path) -> Bundle:
        """The bundle, from its path or, where it is not there, from its bytes, which go into a folder.

        Raises:
            InputError: another file is there, or none and no bytes.
        """
        if _has(self.path, self.sha256):
            return load_bundle(self.path)
        if self.content is None:
            raise InputError(f"{self.path}: a worker does not find this model; give a path that all of them share")
        path = folder / self.sha256 / self.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        return load_bundle(path)


class WarmNetworks(WorkerPlugin):  # type: ignore[misc]
    """Opens the networks of a prediction when a worker starts or joins; `name` tells predictions apart."""

    def __init__(self, models: tuple[Model, ...], fit: Fit, options: PredictOptions, wanted: Mapping[str, str]) -> None:
        self.name = "geoseg-" + hashlib.sha256(repr((sorted(wanted.items()), options)).encode()).hexdigest()[:16]
        self._models = models
        self._fit = fit
        self._options = options
        self._wanted = wanted
        self.networks: Networks | None = None
        self.turn: AbstractContextManager[object] = nullcontext()  # a lock cannot travel

    def setup(self, worker: Worker) -> None:
        """Open them.

        Raises:
            InputError: the model is not there, or its numbers would be other ones than the client's.
        """
        bundles = tuple(model.load(Path(worker.local_directory)) for model in self._models)
        self.turn = Lock()
        self.networks = networks_for(self._fit, Ensemble(bundles=bundles), self._options)
        differing = differences(self._wanted, traits(self.networks))
        if differing:
            raise InputError(f"a worker would draw another map than this machine: {listed(differing)}; make them alike")


def warm(client: Client, ensemble: Ensemble, fit: Fit, options: PredictOptions, networks: Networks) -> str:
    """Let every worker open the networks; the name under which they are kept.

    Raises:
        InputError: a worker cannot open them, or would draw another map than this machine.
    """
    models = tuple(Model(path=bundle.path.resolve(), sha256=bundle.sha256) for bundle in ensemble.bundles)
    found = client.run(_all_there, models)
    if not all(found.values()):
        models = tuple(replace(model, content=model.path.read_bytes()) for model in models)
    options = replace(options, threads=options.threads or _threads(client))
    plugin = WarmNetworks(models, fit, options, traits(networks))
    client.register_plugin(plugin)
    return plugin.name


@contextmanager
def warm_runtime(name: str) -> Iterator[Runtime]:
    """Within a task: what the worker has opened, for one task at a time."""
    plugin = get_worker().plugins[name]
    with plugin.turn:
        yield plugin.networks.runtime


def traits(networks: Networks) -> dict[str, str]:
    """What the numbers of a prediction depend on beside the model's content, by name."""
    versions = {f"version of {name}": version for name, version in Provenance.now(inputs={}).versions.items()}
    return versions | dict(networks.identity)


def _threads(client: Client) -> int:
    """With how many threads each worker infers: the cores of its machine, shared out among the workers there."""
    cores = client.run(_cores)
    hosts = Counter(map(_host, cores))
    shares: list[int] = [count // hosts[_host(address)] for address, count in cores.items()]
    return max(1, min(shares))


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _cores() -> int:
    return int(CPU_COUNT)


def _all_there(models: tuple[Model, ...]) -> bool:
    return all(_has(model.path, model.sha256) for model in models)


def _has(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
