"""Features into a file by a driver of GDAL, batch by batch through Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

from geoseg.errors import OutputError
from geoseg.io.vector.layer import GEOMETRY, VectorLayer
from geoseg.io.vector.place import Place

OGR_ERRORS = (DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError)
"""All that pyogrio raises where GDAL fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver of GDAL by its name, and what it is told about file and layer."""

    name: str
    dataset_options: Mapping[str, str] = field(default_factory=dict)
    layer_options: Mapping[str, str] = field(default_factory=dict)
    layer_metadata: Mapping[str, str] = field(default_factory=dict)


def description(layer: VectorLayer) -> dict[str, str]:
    """The provenance as the layer's description, for formats without another place for it."""
    return {} if layer.provenance_json is None else {"DESCRIPTION": layer.provenance_json}


def write_ogr(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer, driver: Driver) -> int:
    """Write features while the next batch is made in a thread; returns their number.

    Raises:
        DataSourceError, DataLayerError, ...: where GDAL fails and says so; see `require_features`.
    """
    relay = _Relay(batches)
    try:
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(layer.schema, relay),
            place.path,
            layer=layer.name,
            driver=driver.name,
            geometry_name=GEOMETRY,
            geometry_type=layer.geometry_type,
            crs=layer.crs.to_wkt(),
            dataset_options=dict(driver.dataset_options),
            layer_options=dict(driver.layer_options),
            layer_metadata=dict(driver.layer_metadata) or None,
        )
    finally:
        relay.check()
    return relay.rows


def require_features(place: Place, layer: VectorLayer, rows: int) -> None:
    """Read the file again: GDAL writes much of it on closing, where pyogrio overlooks a full disk.

    Raises:
        OutputError: for another number of features than `rows`.
    """
    anything = {"columns": layer.fields.names[:1], "read_geometry": False, "use_pyarrow": True}
    with pyogrio.open_arrow(place.path, **anything) as (_, reader):
        found = sum(batch.num_rows for batch in reader)
    if found != rows:
        raise OutputError(f"{place.name}: only {found} of {rows} features could be written; free some disk space")


class _Relay:
    """Batches for a reader in C, which would swallow the type of an error; `check` raises it again."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.rows = 0
        self._batches = batches
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in _one_ahead(self._batches):
                self.rows += batch.num_rows
                yield batch
        except BaseException as error:  # also what a signal raises
            self._error = error
            raise

    def check(self) -> None:
        if self._error is not None:
            raise self._error


def _one_ahead(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches; while one is used, the next one is made in a thread."""
    source = iter(batches)
    with ThreadPoolExecutor(1, "geoseg-features") as pool:
        coming = pool.submit(next, source, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, source, None)
            yield batch
