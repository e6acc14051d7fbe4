"""What all tests share: no network, few threads, no deadlines, and where real data is."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")  # the workers of pytest-xdist are the parallelism here
settings.register_profile("geoseg", deadline=None, print_blob=True)  # speed is never asserted
settings.load_profile("geoseg")


@pytest.fixture(scope="session", autouse=True)
def _few_torch_threads() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scenes beside the repository; the test is skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data: ../shared/data is not beside the repository")
    return folder


@pytest.fixture(scope="session")
def landsat7_sample() -> Path:
    """The Landsat 7 scene inside the package localtileserver; the test is skipped where that is not installed."""
    package = importlib.util.find_spec("localtileserver")
    if package is None or package.origin is None:
        pytest.skip("no sample scene: the package localtileserver (extra `view`) is not installed")
    return Path(package.origin).parent / "tiler" / "data" / "landsat.tif"


@dataclass(frozen=True)
class Finished:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def geoseg(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run the command line in this process: `geoseg("predict", scene, "--out", out)`."""
    from geoseg.cli.app import main

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["geoseg", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained U-Net for `factory.BANDS` and `factory.LEGEND`, saved as a bundle."""
    from factory import SPEC, write_bundle

    return write_bundle(tmp_path_factory.mktemp("bundle") / "tiny.geoseg", SPEC)


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like `tiny_bundle`, with other weights, from training data with other statistics."""
    from factory import OTHER_SPEC, write_bundle

    return write_bundle(tmp_path_factory.mktemp("bundle") / "other.geoseg", OTHER_SPEC, seed=1)
