"""The Delta log is read by programs that know nothing of the hub, and they find what the hub exports."""
import datetime
import shutil
from decimal import Decimal
from pathlib import Path

import duckdb
import duckdb_extension_delta
import polars
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from pyarrow import parquet

from delta_store import DATASET, EAST, IN_WINDOW, NORTH, SOUTH, VERSIONS, WEST, WINDOW, DeltaStore, delta_store, pairs
from hub_process import HubProcess, push_file, run_ukimet


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with delta_store(tmp_path_factory.mktemp("delta"), "--delta-checkpoint-every", "3") as store:
        yield store


def duckdb_connection() -> duckdb.DuckDBPyConnection:
    folder = Path(duckdb_extension_delta.__file__).parent
    [extension] = folder.glob(f"extensions/v{duckdb.__version__}/delta.duckdb_extension")
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    # Else it takes the geometry for a type of its own, which the Delta schema does not name.
    connection.execute("SET enable_geoparquet_conversion=false")
    return connection


def read_deltalake(table: Path, version: int, columns: str, is_window: bool) -> pa.Table:
    builder = QueryBuilder().register("t", DeltaTable(table, version=version))
    where = IN_WINDOW
    for side in ("xmin", "ymin", "xmax", "ymax"):
        where = where.replace(f"bbox.{side}", f"t.bbox['{side}']")
    return pa.table(builder.execute(f"SELECT {columns} FROM t" + (f" WHERE {where}" if is_window else "")).read_all())


def read_polars(table: Path, version: int, columns: str, is_window: bool) -> pa.Table:
    frame = polars.scan_delta(str(table), version=version)
    if is_window:
        box = polars.col("bbox").struct
        frame = frame.filter(
            (box.field("xmax") >= WEST) & (box.field("xmin") <= EAST) & (box.field("ymax") >= SOUTH) & (box.field("ymin") <= NORTH)
        )
    if columns == "count(*) AS n":
        return frame.select(polars.len().cast(polars.Int64).alias("n")).collect().to_arrow()
    return frame.select([name.strip() for name in columns.split(",")]).collect().to_arrow()


def read_duckdb(table: Path, version: int, columns: str, is_window: bool) -> pa.Table:
    with duckdb_connection() as connection:
        query = f"SELECT {columns} FROM delta_scan('{table}', version={version})"
        return connection.execute(query + (f" WHERE {IN_WINDOW}" if is_window else "")).to_arrow_table()


READERS = {"deltalake": read_deltalake, "polars": read_polars, "duckdb": read_duckdb}


@pytest.fixture(params=READERS)
def read(request):
    return READERS[request.param]


def check(read, store: DeltaStore, versions=VERSIONS) -> None:
    for version in versions:
        for window in (None, WINDOW):
            expected = store.names(version, window)
            [count] = read(store.table, version, "count(*) AS n", window is not None)["n"].to_pylist()
            assert count == len(expected) > 0, f"version {version}, window {window}"
            assert pairs(read(store.table, version, "id, name", window is not None)) == expected


def test_every_version_is_counted_and_a_window_filtered_as_the_hub_exports_it(store, read):
    check(read, store)
    assert [len(store.names(version)) for version in VERSIONS] == [300, 300, 303, 300]
    assert read(store.table, 0, "count(*) AS n", False)["n"].to_pylist() == [0]


def test_the_geometry_is_the_bytes_that_the_hub_exports(store, read):
    expected = store.pull(3)
    found = read(store.table, 3, "id, geometry", False)

    def shapes(table: pa.Table) -> dict:
        # As an extension of Arrow or as plain bytes.
        chunks = [getattr(chunk, "storage", chunk) for chunk in table["geometry"].chunks]
        return dict(zip(table["id"].to_pylist(), pa.chunked_array(chunks).to_pylist()))

    assert shapes(found) == shapes(expected)


def test_files_that_cannot_meet_a_window_are_not_read(store):
    files = len(DeltaTable(store.table, version=3).file_uris())
    assert files > 1
    with duckdb_connection() as connection:
        query = f"EXPLAIN ANALYZE SELECT id FROM delta_scan('{store.table}', version=3) WHERE bbox.xmin > 79"
        plan = connection.execute(query).fetchall()[0][1]
    assert f"1/{files}" in plan, plan


def test_a_reader_may_begin_at_a_checkpoint(store, read, tmp_path):
    table = tmp_path / "table"
    shutil.copytree(store.table, table)
    assert (table / "_delta_log" / f"{3:020}.checkpoint.parquet").exists()
    for version in (0, 1, 2):
        (table / "_delta_log" / f"{version:020}.json").unlink()
    for version in (3, 4):
        assert pairs(read(table, version, "id, name", False)) == store.names(version)
    # As a version that is not kept: told, not guessed.
    with pytest.raises(Exception, match="(?i)version|commit|log"):
        read(table, 2, "id, name", False)


def test_others_cannot_write_and_cannot_sweep_the_folder(store):
    before = sorted(store.table.rglob("*"))
    table = DeltaTable(store.table)
    row = pa.table({"id": ["9999"]})
    with pytest.raises(Exception, match="ukimetHub"):
        write_deltalake(table, row, mode="append", schema_mode="merge")
    with pytest.raises(Exception, match="ukimetHub"):
        table.delete("id = '0001'")
    with pytest.raises(Exception, match="ukimetHub"):
        table.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)
    assert sorted(store.table.rglob("*")) == before


def test_readers_without_deletion_vectors_read_rewritten_files(tmp_path_factory):
    with delta_store(tmp_path_factory.mktemp("delta"), "--delta-deletes", "rewritten") as store:
        for reader in READERS.values():
            check(reader, store, (2, 3))
        for version in VERSIONS:
            found = DeltaTable(store.table, version=version).to_pyarrow_table(columns=["id", "name"])
            assert pairs(found) == store.names(version)


def test_a_reader_without_deletion_vectors_says_so(store):
    with pytest.raises(Exception, match="deletionVectors"):
        DeltaTable(store.table, version=2).to_pyarrow_table()


def test_versions_that_are_not_kept_vanish_and_a_rollback_is_read(tmp_path_factory):
    with delta_store(tmp_path_factory.mktemp("delta")) as store:

        def run(*arguments) -> None:
            done = run_ukimet(*arguments, "--hub", store.hub.url)
            assert done.returncode == 0, done.stderr

        run("tag", f"{DATASET}@v1", "first")
        run("retention", DATASET, "--keep", "1")
        run("gc")
        store.wait_for_files("0.json", "1.json", "4.checkpoint.parquet", "4.json")
        # The newest version has a column that the first has not.
        run("rollback", DATASET, "--to", "v1", "--new-major")
        store.wait_for_files("0.json", "1.json", "4.checkpoint.parquet", "4.json", "5.json")
        for reader in READERS.values():
            check(reader, store, (1, 4, 5))
            with pytest.raises(Exception, match="(?i)version|commit|log"):
                reader(store.table, 3, "id, name", False)
        assert store.names(5) == store.names(1)


def text(value) -> str:
    """A value with its type, times in one zone under one name."""
    if isinstance(value, datetime.datetime) and value.tzinfo:
        value = value.astimezone(datetime.UTC)
    return repr(value)


def test_every_type_is_read_as_the_hub_exports_it(tmp_path, read):
    time = datetime.datetime(2026, 3, 1, 12, 30, 0, 123456)
    columns = {
        "flag": pa.array([True, None]),
        "tiny": pa.array([-5, None], pa.int8()),
        "small": pa.array([250, None], pa.uint8()),
        "medium": pa.array([65_000, None], pa.uint16()),
        "large": pa.array([4_000_000_000, None], pa.uint32()),
        "long": pa.array([-(2**60), None], pa.int64()),
        "share": pa.array([0.1, float("nan")], pa.float32()),
        "price": pa.array([Decimal("12.34"), None], pa.decimal128(10, 2)),
        "day": pa.array([datetime.date(1871, 1, 2), None]),
        "seen": pa.array([time, None], pa.timestamp("us")),
        "sent": pa.array([time, None], pa.timestamp("us", "UTC")),
        "tags": pa.array([["a", None], None], pa.list_(pa.string())),
        "name": pa.array(["Қазақстан", None]),
    }
    parquet.write_table(pa.table(columns), tmp_path / "typed.parquet")
    hub = HubProcess(tmp_path / "data", tmp_path / "hub.log")
    try:
        outcome = push_file(hub.url, tmp_path / "typed.parquet", DATASET)
        assert outcome["status"] == "published", outcome
        store = DeltaStore(hub)
        store.wait_for(1)
        exported = store.pull(1).drop_columns([name for name in store.pull(1).column_names if name not in columns])
        for name in exported.column_names:
            expected = exported[name].to_pylist()
            found = read(store.table, 1, name, False)[name].to_pylist()
            assert sorted(map(text, found)) == sorted(map(text, expected)), name
    finally:
        assert hub.stop() == 0


@pytest.mark.parametrize("deletes", ["vectors", "rewritten"])
def test_an_erased_row_is_in_no_version_that_any_reader_finds(tmp_path_factory, deletes):
    with delta_store(tmp_path_factory.mktemp("delta"), "--delta-deletes", deletes) as store:
        before = {version: store.names(version) for version in VERSIONS}
        done = run_ukimet("erase", DATASET, "--key", "id=0055", "--why", "a test", "--hub", store.hub.url)
        assert done.returncode == 0, done.stderr
        store.wait_for(VERSIONS[-1])
        for version in VERSIONS:
            assert any(key == "0055" for key, _ in before[version])
            assert store.names(version) == [pair for pair in before[version] if pair[0] != "0055"]
        for reader in READERS.values():
            check(reader, store)
