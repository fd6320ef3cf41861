"""SQL through ADBC: what there is to ask of, parameters, partitions, and answers that DuckDB, shapely and PROJ give too."""
import datetime
import json
import random
import time
import uuid

import adbc_driver_manager
import duckdb
import geopandas
import numpy
import pyarrow as pa
import pyproj
import pytest
import shapely
from adbc_driver_flightsql import dbapi
from pyarrow import flight

from hub_process import HubProcess

SEED = 20261122
HOUSES = 20_000
POINTS = 200_000
NAMES = ["Абай көшесі", "абай көшесі", "Сәтбаев көшесі", "ул. Ёлочная", "100%_Park", "O'Brien", None]
GEOMETRY = {
    b"ARROW:extension:name": b"geoarrow.wkb",
    b"ARROW:extension:metadata": json.dumps({"crs": "OGC:CRS84"}).encode(),
}


def put(client, dataset: str, key: str, columns: dict, geometries) -> str:
    """Publishes columns and geometries through `DoPut`."""
    wkb = pa.array([shapely.to_wkb(one, byte_order=1) if one is not None else None for one in geometries], pa.binary())
    plain = pa.table(columns)
    schema = plain.schema.append(pa.field("geometry", pa.binary(), metadata=GEOMETRY))
    table = pa.table([*plain.columns, wkb], schema=schema)
    command = json.dumps({"dataset": dataset, "key": [key]})
    writer, reader = client.do_put(flight.FlightDescriptor.for_command(command), schema)
    with writer:
        writer.write_table(table, max_chunksize=20_000)
        writer.done_writing()
        assert json.loads(reader.read().to_pybytes())["status"] == "published"
    return dataset


@pytest.fixture(scope="module")
def houses(flight_client):
    """Houses of random corners around Almaty, some without a value here and there."""
    chance = random.Random(SEED)
    some = lambda value: None if chance.random() < 0.05 else value
    rows, places = [], []
    for number in range(HOUSES):
        x, y, size = 76 + chance.random(), 43 + chance.random(), chance.uniform(0.0001, 0.01)
        rows.append({
            "code": number,
            "name": chance.choice(NAMES),
            "floors": some(chance.randrange(1, 30)),
            "area": some(round(chance.uniform(10, 5000), 2)),
            "built": some(datetime.date(1950, 1, 1) + datetime.timedelta(days=chance.randrange(27_000))),
        })
        places.append(some(shapely.Polygon([(x, y), (x + size, y + size * chance.random()), (x, y + size)])))
    columns = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    dataset = put(flight_client, f"sql/houses-{uuid.uuid4().hex[:8]}", "code", columns, places)
    return dataset, pa.table(columns), places


@pytest.fixture(scope="module")
def points(flight_client):
    places = numpy.random.default_rng(SEED).uniform([76, 43], [77, 44], (POINTS, 2))
    # Some lie on corners and sides of the zones below.
    places[:2000] = numpy.round(places[:2000] * 20) / 20
    geometries = shapely.points(places)
    dataset = put(flight_client, f"sql/points-{uuid.uuid4().hex[:8]}", "id", {"id": range(POINTS)}, geometries)
    return dataset, geometries


@pytest.fixture(scope="module")
def zones(flight_client):
    """Squares side by side, with a hole each, and circles across them."""
    corner = lambda at: 76 + at / 10
    geometries = []
    for column in range(10):
        for row in range(10):
            west, south = corner(column), 43 + row / 10
            square = shapely.box(west, south, corner(column + 1), 43 + (row + 1) / 10)
            geometries.append(square - shapely.box(west + 0.05, south + 0.05, west + 0.075, south + 0.075))
    geometries += [shapely.Point(76.1 * 1 + at / 7, 43.1 + at / 9).buffer(0.13) for at in range(6)]
    geometries = [shapely.normalize(shapely.make_valid(one)) for one in geometries]
    dataset = f"sql/zones-{uuid.uuid4().hex[:8]}"
    return put(flight_client, dataset, "zone", {"zone": range(len(geometries))}, geometries), geometries


@pytest.fixture
def sql(hub):
    with dbapi.connect(hub.flight_url, autocommit=True) as connection, connection.cursor() as cursor:

        def ask(statement, parameters=None) -> pa.Table:
            cursor.execute(statement, parameters)
            return cursor.fetch_arrow_table()

        ask.connection, ask.cursor = connection, cursor
        yield ask


def refusal(sql, statement) -> str:
    with pytest.raises(adbc_driver_manager.Error) as refused:
        sql(statement)
    return str(refused.value)


def test_what_there_is_to_ask_of_is_told(sql, houses):
    dataset = houses[0]
    catalogs = sql.connection.adbc_get_objects(depth="columns", table_name_filter=dataset).read_all().to_pylist()
    (schema,) = catalogs[0]["catalog_db_schemas"]
    (table,) = schema["db_schema_tables"]
    assert (catalogs[0]["catalog_name"], schema["db_schema_name"], table["table_name"]) == ("ukimet", "public", dataset)
    assert [column["column_name"] for column in table["table_columns"]] == ["code", "name", "floors", "area", "built", "geometry"]
    some = sql.connection.adbc_get_objects(depth="tables", table_name_filter="sql/%").read_all().to_pylist()
    names = [found["table_name"] for found in some[0]["catalog_db_schemas"][0]["db_schema_tables"]]
    assert dataset in names and all(name.startswith("sql/") for name in names)
    assert sql.connection.adbc_get_table_types() == ["TABLE"]
    assert sql.connection.adbc_get_info()["vendor_name"] == "Ukimet Hub"
    described = sql.connection.adbc_get_table_schema(dataset)
    assert described.field("geometry").metadata[b"ARROW:extension:name"] == b"geoarrow.wkb"


def test_geometries_keep_their_crs_through_a_query(sql, houses):
    dataset, _, places = houses
    table = sql(f'SELECT code, geometry FROM "{dataset}" WHERE code < 100 AND geometry IS NOT NULL')
    frame = geopandas.GeoDataFrame.from_arrow(table).set_index("code")
    assert frame.crs.to_string() == "OGC:CRS84"
    assert all(shapely.equals_exact(shape, places[code]) for code, shape in frame.geometry.items())


def test_every_row_of_a_dataset_comes_and_none_twice(sql, points):
    dataset, _ = points
    assert sorted(sql(f'SELECT id FROM "{dataset}"')["id"].to_pylist()) == list(range(POINTS))
    assert sql(f'SELECT count(*) AS n FROM "{dataset}"')["n"].to_pylist() == [POINTS]


def test_parameters_and_partitions(sql, houses):
    dataset, columns, _ = houses
    statement = f'SELECT code FROM "{dataset}" WHERE floors = $1 AND name = $2'
    for floors, name in [(3, "O'Brien"), (7, "Абай көшесі")]:
        expected = duckdb.execute("SELECT code FROM columns WHERE floors = $1 AND name = $2", [floors, name]).fetchall()
        found = sql(statement, (floors, name))["code"].to_pylist()
        assert sorted(found) == sorted(code for (code,) in expected) and found
    partitions, _ = sql.cursor.adbc_execute_partitions(f'SELECT code FROM "{dataset}" WHERE code < 50')
    rows = []
    for partition in partitions:
        sql.cursor.adbc_read_partition(partition)
        rows += sql.cursor.fetch_arrow_table()["code"].to_pylist()
    assert sorted(rows) == list(range(50))


def conditions(chance):
    """Conditions on every kind of column, some of which are pushed into the scan."""
    literal = {
        "code": lambda: str(chance.randrange(HOUSES)),
        "floors": lambda: str(chance.randrange(0, 31)),
        "area": lambda: f"{chance.uniform(0, 5000):.2f}",
        "built": lambda: f"DATE '{datetime.date(1950, 1, 1) + datetime.timedelta(days=chance.randrange(27_000))}'",
        "name": lambda: "'" + (chance.choice(NAMES[:-1])).replace("'", "''") + "'",
    }

    def one():
        column = chance.choice(list(literal))
        value = literal[column]
        return chance.choice([
            lambda: f"{column} {chance.choice(['=', '<>', '<', '<=', '>', '>='])} {value()}",
            lambda: f"{column} IS {chance.choice(['', 'NOT '])}NULL",
            lambda: f"{column} {chance.choice(['', 'NOT '])}BETWEEN {value()} AND {value()}",
            lambda: f"{column} {chance.choice(['', 'NOT '])}IN ({value()}, {value()}, {value()})",
            lambda: f"name {chance.choice(['', 'NOT '])}LIKE '{chance.choice(['%көшесі', 'ул.%', '%а%', '_бай%', 'O%'])}'",
            lambda: f"floors {chance.choice(['<', '='])} code",
        ])()

    def nested(depth):
        if depth == 0 or chance.random() < 0.3:
            return one()
        joined = f"({nested(depth - 1)} {chance.choice(['AND', 'OR'])} {nested(depth - 1)})"
        return joined if chance.random() < 0.7 else f"NOT {joined}"

    return [nested(2) for _ in range(80)]


def test_conditions_take_the_rows_that_duckdb_takes(sql, houses):
    dataset, columns, _ = houses
    for condition in conditions(random.Random(SEED)):
        expected = duckdb.execute(f"SELECT code FROM columns WHERE {condition}").fetchall()
        found = sql(f'SELECT code FROM "{dataset}" WHERE {condition}')["code"].to_pylist()
        assert sorted(found) == sorted(code for (code,) in expected), condition


def test_conditions_on_places_take_the_rows_that_shapely_takes(sql, houses):
    dataset, _, places = houses
    there = [code for code, place in enumerate(places) if place is not None]
    shapes = numpy.array([places[code] for code in there])
    area = shapely.Point(76.5, 43.5).buffer(0.02)
    for function, asked in [
        ("ST_Intersects", shapely.intersects), ("ST_Within", shapely.within), ("ST_Contains", shapely.contains),
        ("ST_Overlaps", shapely.overlaps), ("ST_Disjoint", shapely.disjoint), ("ST_Touches", shapely.touches),
        ("ST_Covers", shapely.covers), ("ST_CoveredBy", shapely.covered_by), ("ST_Equals", shapely.equals),
    ]:
        constant = f"ST_GeomFromText('{shapely.to_wkt(area, rounding_precision=17)}')"
        expected = [there[at] for at in numpy.flatnonzero(asked(shapes, shapely.from_wkt(shapely.to_wkt(area, rounding_precision=17))))]
        found = sql(f'SELECT code FROM "{dataset}" WHERE {function}(geometry, {constant})')["code"].to_pylist()
        assert sorted(found) == expected, function
    turned = sql(f'SELECT code FROM "{dataset}" WHERE ST_Contains({constant}, geometry)')["code"].to_pylist()
    assert sorted(turned) == [there[at] for at in numpy.flatnonzero(shapely.within(shapes, area))]


def test_measures_are_those_of_the_ellipsoid(sql, houses):
    dataset, _, places = houses
    geod = pyproj.Geod(ellps="WGS84")
    table = sql(
        f'SELECT code, ST_Area(geometry) AS area, ST_Distance(ST_Centroid(geometry), ST_Point(76.5, 43.5)) AS away, '
        f'ST_NPoints(geometry) AS corners, ST_GeometryType(geometry) AS kind FROM "{dataset}" '
        "WHERE code < 300 AND geometry IS NOT NULL"
    )
    for row in table.to_pylist():
        place = places[row["code"]]
        assert row["area"] == pytest.approx(abs(geod.geometry_area_perimeter(place)[0]), rel=1e-6, abs=0.01)
        away = geod.inv(place.centroid.x, place.centroid.y, 76.5, 43.5)[2]
        assert row["away"] == pytest.approx(away, abs=0.01)
        assert (row["corners"], row["kind"]) == (4, "ST_Polygon")
    line = shapely.LineString([(76, 43), (76.5, 43.2), (77, 43)])
    (length,) = sql(f"SELECT ST_Length(ST_GeomFromText('{line.wkt}')) AS m")["m"].to_pylist()
    assert length == pytest.approx(geod.geometry_length(line), abs=0.01)


def test_geometries_are_made_and_written(sql, houses):
    dataset, _, places = houses
    (row,) = sql(
        "SELECT ST_AsText(ST_Point(76.9, 43.2)) AS t, ST_AsGeoJSON(ST_MakeEnvelope(1, 2, 3, 4)) AS j, "
        "ST_AsBinary(ST_GeomFromWKB(ST_AsBinary(ST_Point(1, 2)))) AS b, ST_X(ST_Point(1, 2)) AS x, ST_Y(ST_Point(1, 2)) AS y, "
        "ST_IsEmpty(ST_GeomFromText('POLYGON EMPTY')) AS e, ST_X(ST_GeomFromText('LINESTRING(1 2, 3 4)')) AS none, "
        "ST_AsText(ST_Envelope(ST_GeomFromText('LINESTRING(1 2, 3 4)'))) AS box, "
        "ST_AsText(ST_Simplify(ST_GeomFromText('LINESTRING(0 0, 1 0.001, 2 0)'), 0.1)) AS simple"
    ).to_pylist()
    assert shapely.from_wkt(row["t"]) == shapely.Point(76.9, 43.2)
    assert shapely.equals(shapely.from_geojson(row["j"]), shapely.box(1, 2, 3, 4))
    assert shapely.from_wkb(row["b"]) == shapely.Point(1, 2)
    assert (row["x"], row["y"], row["e"], row["none"]) == (1, 2, True, None)
    assert shapely.equals(shapely.from_wkt(row["box"]), shapely.box(1, 2, 3, 4))
    assert shapely.equals(shapely.from_wkt(row["simple"]), shapely.LineString([(0, 0), (2, 0)]))
    hull, extent = (
        shapely.from_wkb(sql(f'SELECT {made} AS g FROM "{dataset}" WHERE {rows}')["g"].to_pylist()[0])
        for made, rows in [("ST_ConvexHull(geometry)", "code = 7"), ("ST_Extent(geometry)", "true")]
    )
    assert shapely.equals_exact(hull, places[7].convex_hull, normalize=True)
    assert extent.bounds == tuple(shapely.total_bounds([place for place in places if place is not None]))
    assert "WKT" in refusal(sql, "SELECT ST_GeomFromText('POINT(1')")
    nested = "GEOMETRYCOLLECTION(" * 200 + ")" * 200
    assert "parentheses inside each other" in refusal(sql, f"SELECT ST_GeomFromText('{nested}')")


@pytest.mark.parametrize("function,predicate", [
    ("ST_Intersects", "intersects"), ("ST_Within", "within"), ("ST_CoveredBy", "covered_by"), ("ST_Touches", "touches"),
])
def test_points_in_zones_are_those_of_shapely_borders_too(sql, points, zones, function, predicate):
    dataset, geometries = points
    found = sql(
        f'SELECT p.id, z.zone FROM "{dataset}" p JOIN "{zones[0]}" z ON {function}(p.geometry, z.geometry)'
    )
    pairs = set(zip(found["id"].to_pylist(), found["zone"].to_pylist()))
    at, zone = shapely.STRtree(zones[1]).query(geometries, predicate=predicate)
    assert pairs == set(zip(at.tolist(), zone.tolist())) and len(pairs) == found.num_rows


def test_joins_of_faces_and_near_places_are_those_of_a_look_at_every_pair(sql, zones, houses):
    dataset, faces = zones
    plan = sql(f'EXPLAIN SELECT 1 FROM "{dataset}" a JOIN "{dataset}" b ON ST_Overlaps(a.geometry, b.geometry)')
    assert "SpatialJoin" in plan["plan"].to_pylist()[-1]
    for function, more in [("ST_Overlaps", ""), ("ST_Touches", ""), ("ST_Contains", ""), ("ST_DWithin", ", 2000")]:
        on = f"{function}(a.geometry, b.geometry{more})"
        ask = f'SELECT a.zone AS one, b.zone AS other FROM "{dataset}" a JOIN "{dataset}" b ON '
        # Any other condition around it is not joined by the index.
        joined, looked = (
            sorted(zip(*(table[name].to_pylist() for name in ("one", "other"))))
            for table in (sql(ask + f"{on} AND a.zone <= b.zone"), sql(ask + f"coalesce({on}, false) AND a.zone <= b.zone"))
        )
        assert joined == looked and (joined or function == "ST_Contains"), function
    index, other = shapely.STRtree(faces).query(numpy.array(faces), predicate="overlaps")
    (count,) = sql(f'SELECT count(*) AS n FROM "{dataset}" a, "{dataset}" b WHERE ST_Overlaps(a.geometry, b.geometry)')["n"].to_pylist()
    assert count == len(index)
    (near,) = sql(
        f'SELECT count(*) AS n FROM "{houses[0]}" h, "{dataset}" z WHERE ST_DWithin(h.geometry, z.geometry, 100) AND z.zone >= 100'
    )["n"].to_pylist()
    (inside,) = sql(
        f'SELECT count(*) AS n FROM "{houses[0]}" h, "{dataset}" z WHERE ST_Intersects(h.geometry, z.geometry) AND z.zone >= 100'
    )["n"].to_pylist()
    assert near > inside > 0


def test_explain_analyze_shows_what_was_not_read(sql, houses):
    text = sql(
        f'EXPLAIN ANALYZE SELECT code FROM "{houses[0]}" WHERE ST_Intersects(geometry, ST_MakeEnvelope(76.5, 43.5, 76.51, 43.51))'
    )["plan"].to_pylist()[0]
    for shown in ("rows_pruned=", "pages_read=", "pages_pruned=", "bytes_read=", "bytes_pruned="):
        assert shown in text, text
    assert "rows_pruned=0" not in text and "FilterExec" not in text, text


def test_what_writes_reads_files_or_never_ends_is_refused_at_a_bounded_cost(sql, points):
    begin = time.monotonic()
    for statement in [
        "CREATE TABLE t AS SELECT 1", "COPY (SELECT 1) TO '/tmp/x.csv'", f'DELETE FROM "{points[0]}"', "SET a = 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    ]:
        assert "read through SQL, not written" in refusal(sql, statement)
    assert "a table is a dataset" in refusal(sql, "SELECT * FROM '/etc/passwd'")
    assert "bytes" in refusal(sql, "SELECT " + "(" * 10_000 + "1" + ")" * 10_000)
    assert "inside each other" in refusal(sql, "SELECT " + "(" * 3_000 + "1" + ")" * 3_000)
    assert "operators" in refusal(sql, "SELECT " + " OR ".join(["a"] * 1_500))
    assert "operators" in refusal(sql, "SELECT " + "NOT " * 1_500 + "true")
    assert time.monotonic() - begin < 20


def test_an_endless_query_ends_and_others_are_answered_meanwhile(tmp_path):
    hub = HubProcess(tmp_path / "data", tmp_path / "hub.log", options=["--sql-time-max", "5s"])
    try:
        with flight.connect(hub.flight_url) as client:
            dataset = put(client, "sql/many", "id", {"id": range(50_000)}, shapely.points(numpy.full((50_000, 2), 43)))
        endless = f'SELECT count(*) FROM "{dataset}" a, "{dataset}" b WHERE a.id + b.id < 0'
        with dbapi.connect(hub.flight_url, autocommit=True) as connection:
            with connection.cursor() as busy, connection.cursor() as other:
                partitions, _ = busy.adbc_execute_partitions(endless)
                busy.adbc_read_partition(partitions[0])
                begin = time.monotonic()
                other.execute("SELECT 1 AS n")
                assert other.fetch_arrow_table()["n"].to_pylist() == [1]
                assert time.monotonic() - begin < 4, "a query waits for another"
                with pytest.raises(adbc_driver_manager.Error, match="longer than 5 s"):
                    busy.fetch_arrow_table()
    finally:
        assert hub.stop() == 0
