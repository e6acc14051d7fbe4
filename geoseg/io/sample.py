"""A real scene to try: the Landsat 7 scene that ships inside the package localtileserver."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from geoseg.errors import MissingExtraError, OutputError
from geoseg.io.output import check_writable, replacing

_INSIDE = Path("tiler", "data", "landsat.tif")


def find_sample() -> Path:
    """Path of the installed Landsat 7 scene (Great Salt Lake, EPSG:4326, seven 8-bit bands without calibration).

    Raises:
        MissingExtraError: localtileserver is not installed, or its release does not bring the scene.
    """
    spec = find_spec("localtileserver")
    path = Path(spec.origin).parent / _INSIDE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise MissingExtraError(
            "the sample scene comes with the package localtileserver, which is not installed; "
            "run: pip install 'geoseg[view]'"
        )
    return path


def copy_sample(out: Path, *, overwrite: bool = False) -> None:
    """Copy the sample scene to `out`, atomically.

    Raises:
        MissingExtraError: see `find_sample`.
        OutputError: `out` exists (without `overwrite`), is not a .tif, or cannot be written.
    """
    if out.suffix.lower() not in {".tif", ".tiff"}:
        raise OutputError(f"{out}: the sample is a GeoTIFF; name a file that ends in .tif")
    check_writable(out, overwrite=overwrite)
    sample = find_sample()
    try:
        with replacing(out) as temporary:
            shutil.copyfile(sample, temporary)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another place") from error
