"""CQL2 filters over Flight: DuckDB on the columns, shapely and PROJ's geodesics on the places, find the same rows."""
import datetime
import json
import random
import uuid

import duckdb
import geopandas
import pyarrow as pa
import pyproj
import pytest
import shapely
from pyarrow import flight

from hub_process import push_file

SEED = 20261122
ROWS = 20_000
NAMES = ["Абай көшесі", "абай көшесі", "Сәтбаев көшесі", "ул. Ёлочная", "ул. Елочная", "100%_Park", "O'Brien", None]


@pytest.fixture(scope="module")
def buildings(hub, tmp_path_factory):
    """Houses of random corners around Almaty, some without a value here and there."""
    chance = random.Random(SEED)
    some = lambda value: None if chance.random() < 0.05 else value
    rows = []
    for number in range(ROWS):
        x, y, size = 76 + chance.random(), 43 + chance.random(), chance.uniform(0.0001, 0.01)
        rows.append({
            "code": f"B-{number:05}",
            "name": chance.choice(NAMES),
            "floors": some(chance.randrange(1, 30)),
            "area": some(round(chance.uniform(10, 5000), 2)),
            "built": some(datetime.date(1950, 1, 1) + datetime.timedelta(days=chance.randrange(27_000))),
            "geometry": some(shapely.Polygon([(x, y), (x + size, y + size * chance.random()), (x, y + size)])),
        })
    frame = geopandas.GeoDataFrame(rows, crs="OGC:CRS84").astype({"floors": "Int64", "built": "date32[pyarrow]"})
    file = tmp_path_factory.mktemp("filters") / "buildings.gpkg"
    frame.to_file(file, layer="buildings", engine="pyogrio", use_arrow=True)
    dataset = f"filters/buildings-{uuid.uuid4().hex[:8]}"
    assert push_file(hub.url, file, dataset, "--key", "code")["status"] == "published"
    return dataset


def pull(client, **command) -> pa.Table:
    info = client.get_flight_info(flight.FlightDescriptor.for_command(json.dumps(command).encode()))
    return pa.concat_tables([client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints])


def codes(table: pa.Table) -> list:
    return sorted(table.column("code").to_pylist())


@pytest.fixture(scope="module")
def everything(flight_client, buildings) -> pa.Table:
    table = pull(flight_client, dataset=buildings)
    assert table.num_rows == ROWS
    return table


# CQL2 text, and the same condition in DuckDB's SQL.
CONDITIONS = [
    ("floors >= 25", "floors >= 25"),
    ("floors = 7 OR area < 20.5", "floors = 7 OR area < 20.5"),
    ("NOT (floors > 3 AND area > 100)", "NOT (floors > 3 AND area > 100)"),
    ("floors BETWEEN 3 AND 4 AND area BETWEEN 100 AND 110", "floors BETWEEN 3 AND 4 AND area BETWEEN 100 AND 110"),
    ("name IN ('Абай көшесі', 'O''Brien')", "name IN ('Абай көшесі', 'O''Brien')"),
    ("name NOT IN ('Абай көшесі')", "name NOT IN ('Абай көшесі')"),
    ("name LIKE '%көшесі' AND floors IS NULL", "name LIKE '%көшесі' AND floors IS NULL"),
    (r"name LIKE '%\%\_%'", r"name LIKE '%\%\_%' ESCAPE '\'"),
    ("CASEI(name) LIKE CASEI('АБАЙ%')", "lower(name) LIKE 'абай%'"),
    ("ACCENTI(name) = ACCENTI('ул. Ёлочная')", "name IN ('ул. Ёлочная', 'ул. Елочная')"),
    ("name IS NULL OR built IS NULL", "name IS NULL OR built IS NULL"),
    ("built < DATE('1960-02-29')", "built < DATE '1960-02-29'"),
    ("T_DURING(built, INTERVAL('1970-01-01', '1971-01-01'))", "built > DATE '1970-01-01' AND built < DATE '1971-01-01'"),
    ("code > 'B-19990'", "code > 'B-19990'"),
]


@pytest.mark.parametrize("cql, sql", CONDITIONS)
def test_a_condition_on_columns_is_what_duckdb_finds(flight_client, buildings, everything, cql, sql):
    rows = everything
    expected = duckdb.execute(f"SELECT code FROM rows WHERE {sql} ORDER BY code").fetchall()
    assert 0 < len(expected) < ROWS
    found = pull(flight_client, dataset=buildings, filter=cql, columns=["code"])
    assert codes(found) == [code for [code] in expected]


AREA = shapely.Polygon([(76.2, 43.2), (76.6, 43.25), (76.5, 43.7), (76.3, 43.5)])
RELATIONS = {
    "S_INTERSECTS": shapely.intersects,
    "S_WITHIN": shapely.within,
    "S_DISJOINT": shapely.disjoint,
    "S_CROSSES": shapely.crosses,
    "S_OVERLAPS": shapely.overlaps,
}


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("other", [AREA, shapely.LineString([(76.0, 43.0), (76.9, 43.9)])], ids=["area", "line"])
def test_a_relation_to_a_place_is_what_shapely_finds(flight_client, buildings, everything, relation, other):
    places = shapely.from_wkb(everything.column("geometry").to_pylist())
    relates = RELATIONS[relation](places, other)
    expected = [code for code, is_so in zip(everything.column("code").to_pylist(), relates) if is_so]
    found = pull(flight_client, dataset=buildings, filter=f"{relation}(geometry, {other.wkt})", columns=["code"])
    assert codes(found) == sorted(expected)
    as_json = {"op": relation.lower(), "args": [{"property": "geometry"}, shapely.geometry.mapping(other)]}
    assert pull(flight_client, dataset=buildings, filter=as_json, columns=["code"]).equals(found)


@pytest.mark.parametrize("metres", [0, 150, 5_000, 40_000])
def test_nearness_is_measured_along_the_ellipsoid(flight_client, buildings, everything, metres):
    """The nearest place of a house is looked for on an azimuthal equidistant map around the point, which PROJ draws."""
    place = (76.51234, 43.49876)
    found = pull(flight_client, dataset=buildings, filter=f"S_DWITHIN(geometry, POINT({place[0]} {place[1]}), {metres})", columns=["code"])
    flat = pyproj.Transformer.from_crs("OGC:CRS84", f"+proj=aeqd +lon_0={place[0]} +lat_0={place[1]}", always_xy=True)
    houses = [None if wkb is None else shapely.from_wkb(wkb) for wkb in everything.column("geometry").to_pylist()]
    # Straight in degrees: short pieces, each bent by less than a millimetre.
    drawn = [house and shapely.transform(shapely.segmentize(house, 0.0005), flat.transform, interleaved=False) for house in houses]
    away = {code: house.distance(shapely.Point(0, 0)) for code, house in zip(everything.column("code").to_pylist(), drawn) if house}
    surely = sorted(code for code, distance in away.items() if distance <= metres - 0.01)
    perhaps = {code for code, distance in away.items() if distance <= metres + 0.01}
    assert set(surely) <= set(codes(found)) <= perhaps
    assert metres < 5_000 or len(surely) > 30


def test_nearness_to_a_road_is_measured_along_the_ellipsoid(flight_client, buildings, everything):
    """On a map around the middle of a short road, ways of some kilometres are true to a centimetre."""
    road, metres = shapely.LineString([(76.48, 43.49), (76.53, 43.52)]), 2_000
    found = pull(flight_client, dataset=buildings, filter=f"S_DWITHIN(geometry, {road.wkt}, {metres})", columns=["code"])
    flat = pyproj.Transformer.from_crs("OGC:CRS84", "+proj=aeqd +lon_0=76.505 +lat_0=43.505", always_xy=True)
    draw = lambda shape: shapely.transform(shapely.segmentize(shape, 0.0005), flat.transform, interleaved=False)
    road = draw(road)
    rows = zip(everything.column("code").to_pylist(), everything.column("geometry").to_pylist())
    away = {code: draw(shapely.from_wkb(wkb)).distance(road) for code, wkb in rows if wkb}
    surely = {code for code, distance in away.items() if distance <= metres - 0.05}
    assert len(surely) > 30
    assert surely <= set(codes(found)) <= {code for code, distance in away.items() if distance <= metres + 0.05}


def test_filters_go_with_boxes_versions_limits_and_differences(hub, flight_client, buildings, everything):
    box = [76.2, 43.2, 76.7, 43.7]
    command = dict(dataset=buildings, bbox=box, filter="floors > 10")
    found = pull(flight_client, **command)
    window = shapely.box(*box)
    rows = zip(everything.column("code").to_pylist(), everything.column("floors").to_pylist(), everything.column("geometry").to_pylist())
    expected = sorted(code for code, floors, wkb in rows if floors and floors > 10 and wkb and shapely.intersects(shapely.from_wkb(wkb), window))
    assert codes(found) == expected
    few = pull(flight_client, **command, limit=5)
    assert few.equals(found.slice(0, 5).combine_chunks())
    assert pull(flight_client, dataset=buildings, version=1, diff_from=1, filter="floors > 10").num_rows == 0


@pytest.mark.parametrize(
    "cql, part",
    [
        ("floors >=", "character 10"),
        ("stories > 5", 'names column "stories"'),
        ("floors = 'many'", "type Int"),
        ("(" * 200 + "floors = 1" + ")" * 200, "filter-depth-max"),
        (" OR ".join(["floors = 1"] * 2000), "filter-terms-max"),
    ],
)
def test_a_filter_that_is_none_is_refused_before_anything_is_read(flight_client, buildings, cql, part):
    with pytest.raises(pa.ArrowInvalid if "max" not in part else pa.ArrowException, match=part):
        flight_client.get_flight_info(flight.FlightDescriptor.for_command(json.dumps({"dataset": buildings, "filter": cql}).encode()))
