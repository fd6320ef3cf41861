"""A million rows in by `DoPut` and out through ADBC: as many, and the same to the last bit.

`UKIMET_BULK_ROWS` makes it more or fewer.
"""
import hashlib
import json
import os

import numpy
import pyarrow as pa
import pytest
import shapely
from adbc_driver_flightsql import dbapi
from pyarrow import flight

SEED = 20261123
ROWS = int(os.environ.get("UKIMET_BULK_ROWS", 1_000_000))
DATASET = "bulk/points"
GEOMETRY = {
    b"ARROW:extension:name": b"geoarrow.wkb",
    b"ARROW:extension:metadata": json.dumps({"crs": "OGC:CRS84"}).encode(),
}


@pytest.fixture(scope="module")
def points(flight_client) -> pa.Table:
    """Numbered points with a value, published."""
    chance = numpy.random.default_rng(SEED)
    places = chance.uniform([50, 41], [87, 55], (ROWS, 2))
    columns = [numpy.arange(ROWS), chance.uniform(-1e9, 1e9, ROWS), shapely.to_wkb(shapely.points(places), byte_order=1)]
    schema = pa.schema([("id", pa.int64()), ("value", pa.float64()), pa.field("geometry", pa.binary(), metadata=GEOMETRY)])
    table = pa.table([pa.array(column, kind) for column, kind in zip(columns, schema.types)], schema=schema)
    command = json.dumps({"dataset": DATASET, "key": ["id"]})
    writer, reader = flight_client.do_put(flight.FlightDescriptor.for_command(command), schema)
    with writer:
        writer.write_table(table, max_chunksize=30_000)
        writer.done_writing()
        assert json.loads(reader.read().to_pybytes())["status"] == "published"
    return table


def rows_hash(table: pa.Table) -> str:
    """Over numbers, values and WKB of the rows, in the order of their numbers."""
    table = table.sort_by("id")
    hasher = hashlib.sha256()
    for name in ["id", "value"]:
        hasher.update(table[name].to_numpy().tobytes())
    for geometry in table["geometry"].to_pylist():
        hasher.update(geometry)
    return hasher.hexdigest()


def test_adbc_pulls_a_million_rows_and_they_are_those_that_were_put(hub, points):
    with dbapi.connect(hub.flight_url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f'SELECT id, value, geometry FROM "{DATASET}"')
        came = cursor.fetch_arrow_table()
        assert came.num_rows == ROWS
        assert rows_hash(came) == rows_hash(points)
        cursor.execute(f'SELECT count(*) AS n, sum(id) AS ids, min(value) AS low FROM "{DATASET}" WHERE value > 0')
        [counted] = cursor.fetch_arrow_table().to_pylist()
    values = points["value"].to_numpy()
    ids = points["id"].to_numpy()[values > 0]
    assert counted == {"n": len(ids), "ids": int(ids.sum()), "low": values[values > 0].min()}
