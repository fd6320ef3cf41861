"""Sail, with two workers, reads every version of a dataset by its Delta log: distributed, and without the hub."""
import os
import re

import pytest

from delta_store import IN_WINDOW, VERSIONS, WINDOW, delta_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with delta_store(tmp_path_factory.mktemp("delta"), "--delta-checkpoint-every", "3") as store:
        yield store


@pytest.fixture(scope="module")
def spark():
    os.environ["SAIL_MODE"] = "local-cluster"
    os.environ["SAIL_CLUSTER__WORKER_INITIAL_COUNT"] = "2"
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer()
    server.start(background=True)
    _, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
    yield session
    session.stop()
    server.stop()


def version_of(spark, store, version: int):
    return spark.read.format("delta").option("versionAsOf", version).load(str(store.table))


def test_every_version_is_counted_and_a_window_filtered_as_the_hub_exports_it(spark, store, capfd):
    for version in VERSIONS:
        rows = version_of(spark, store, version)
        for window, found in [(None, rows), (WINDOW, rows.where(IN_WINDOW))]:
            expected = store.names(version, window)
            assert found.count() == len(expected) > 0, f"version {version}, window {window}"
            assert sorted(tuple(row) for row in found.select("id", "name").collect()) == expected
    # Both start with the first query.
    workers = set(re.findall(r"worker (\d+) is available", capfd.readouterr().err))
    assert len(workers) >= 2, f"expected two workers, found {workers}"


def test_the_geometry_comes_as_bytes_when_cast(spark, store):
    found = version_of(spark, store, 3).selectExpr("id", "CAST(geometry AS BINARY) AS geometry").collect()
    exported = store.pull(3)
    chunks = [getattr(chunk, "storage", chunk).to_pylist() for chunk in exported["geometry"].chunks]
    expected = dict(zip(exported["id"].to_pylist(), sum(chunks, [])))
    assert {row.id: bytes(row.geometry) for row in found} == expected
