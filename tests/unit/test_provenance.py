from __future__ import annotations

import json
import platform
from datetime import UTC, datetime, timedelta

import numpy as np

from geoseg.core.provenance import Provenance


def test_now_holds_the_versions_that_run_here():
    versions = Provenance.now(inputs={}).versions
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == np.__version__
    assert {"geoseg", "rasterio", "torch"} <= set(versions)


def test_now_is_this_moment_in_utc():
    date = datetime.fromisoformat(Provenance.now(inputs={}).date)
    assert date.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - date) < timedelta(minutes=5)


def test_a_record_survives_json():
    record = Provenance.now(inputs={"scene.tif": "ab12"}, command="geoseg predict scene.tif", seed=7)
    values = json.loads(json.dumps(record.to_dict()))
    assert Provenance(**values) == record
    assert values["inputs"] == {"scene.tif": "ab12"}
    assert (values["command"], values["seed"]) == ("geoseg predict scene.tif", 7)


def test_a_record_keeps_its_own_copy_of_the_inputs():
    inputs = {"scene.tif": "ab12"}
    record = Provenance.now(inputs=inputs)
    inputs["scene.tif"] = "changed"
    assert record.inputs == {"scene.tif": "ab12"}
