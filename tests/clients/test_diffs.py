"""pyarrow.flight reads differences; an outer join of both versions in pandas and in DuckDB says the same."""
import io
import json
import random
import urllib.request
import uuid

import duckdb
import geopandas
import pandas
import pyarrow as pa
import pyproj
import pytest
import shapely
from pyarrow import flight

from hub_process import push_file

VERSIONS = 5
SEED = 20261122


def pull(client, **command) -> pa.Table:
    info = client.get_flight_info(flight.FlightDescriptor.for_command(json.dumps(command).encode()))
    [endpoint] = info.endpoints
    table = client.do_get(endpoint.ticket).read_all()
    assert info.schema.equals(table.schema) and info.total_records in (-1, table.num_rows)
    return table


@pytest.fixture(scope="module")
def history(hub, tmp_path_factory):
    """A dataset with a key whose versions were made at random, and another with the same rows without a key."""
    chance = random.Random(SEED)
    names = {"keyed": f"diffs/keyed-{uuid.uuid4().hex[:8]}", "bare": f"diffs/bare-{uuid.uuid4().hex[:8]}"}
    file = tmp_path_factory.mktemp("diffs") / "rows.csv"
    rows = {n: (chance.randrange(5), round(76 + chance.random(), 4), 43.25) for n in range(300)}
    for version in range(VERSIONS):
        for n in chance.sample(sorted(rows), 20):
            del rows[n]
        for n in chance.sample(sorted(rows), 30):
            value, lon, lat = rows[n]
            rows[n] = chance.choice([(value + 1, lon, lat), (value, lon, lat + 0.001), (value + 1, lon, lat + 0.001)])
        rows |= {300 * (version + 1) + n: (chance.randrange(5), 70.5, 50.5) for n in range(25)}
        lines = [f"A-{n},{value},{lon},{lat}" for n, (value, lon, lat) in rows.items()]
        chance.shuffle(lines)
        # Half of the values are missing: nothing is not zero.
        lines = [line.replace(",0,", ",,") for line in lines]
        file.write_text("\n".join(["kad,value,lon,lat", *lines]))
        assert push_file(hub.url, file, names["keyed"], "--key", "kad")["status"] == "published"
        bare = ["value,lon,lat", *(line.split(",", 1)[1] for line in lines)]
        file.write_text("\n".join(bare))
        assert push_file(hub.url, file, names["bare"])["status"] == "published"
    return names


def rows_of(client, dataset: str, version: int) -> pandas.DataFrame:
    info = client.get_flight_info(flight.FlightDescriptor.for_path(dataset, f"v{version}"))
    return pa.concat_tables([client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints]).to_pandas()


def joined(before: pandas.DataFrame, after: pandas.DataFrame) -> dict[str, tuple]:
    """By key what became of the row and which columns differ, by an outer join in pandas."""
    both = before.merge(after, on="kad", how="outer", suffixes=("_before", "_after"), indicator=True)
    names = {"left_only": "removed", "right_only": "added", "both": "changed"}
    found = {}
    for row in both.to_dict("records"):
        operation = names[row["_merge"]]
        pairs = {name: (row[f"{name}_before"], row[f"{name}_after"]) for name in ["value", "lon", "lat", "geometry"]}
        differ = {name for name, (old, new) in pairs.items() if not (old == new or pandas.isna(old) and pandas.isna(new))}
        if operation != "changed" or differ:
            found[row["kad"]] = (operation, frozenset(differ) if operation == "changed" else None)
    return found


PAIRS = random.Random(SEED + 1).sample([(a, b) for a in range(1, VERSIONS + 1) for b in range(1, VERSIONS + 1)], 9)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_difference_is_what_an_outer_join_finds(flight_client, history, first, second):
    dataset = history["keyed"]
    diff = pull(flight_client, dataset=dataset, version=second, diff_from=first)
    before, after = rows_of(flight_client, dataset, first), rows_of(flight_client, dataset, second)
    told = {
        row["key"]["kad"]: (row["operation"], frozenset(row["changed"]) if row["operation"] == "changed" else None)
        for row in diff.to_pylist()
    }
    assert told == joined(before, after) and len(told) == diff.num_rows, f"seed {SEED}"
    kept = [frame.set_index("kad").to_dict("index") for frame in (before, after)]
    for row in diff.to_pylist():
        for side, rows in zip(("before", "after"), kept):
            expected = rows.get(row["key"]["kad"]) if row[side] else None
            assert (row[side] is None) == (row["key"]["kad"] not in rows)
            if expected:
                assert row[side]["geometry"] == expected["geometry"]
                assert row[side]["value"] == (None if pandas.isna(expected["value"]) else expected["value"])


@pytest.mark.parametrize(("first", "second"), PAIRS[:4])
def test_without_a_key_rows_that_repeat_are_counted(flight_client, history, first, second):
    dataset = history["bare"]
    diff = pull(flight_client, dataset=dataset, version=second, diff_from=first)
    assert "key" not in diff.column_names
    before, after = rows_of(flight_client, dataset, first), rows_of(flight_client, dataset, second)
    count = lambda a, b: duckdb.sql("SELECT count(*) FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM b)").fetchone()[0]
    operations = diff.column("operation").to_pylist()
    assert (operations.count("removed"), operations.count("added")) == (count(before, after), count(after, before))
    assert operations.count("changed") == 0


def test_distances_are_those_along_the_ellipsoid(flight_client, history):
    rows = pull(flight_client, dataset=history["keyed"], version=VERSIONS, diff_from=1).to_pylist()
    moved = [row for row in rows if row["operation"] == "changed" and "geometry" in row["changed"]]
    ellipsoid = pyproj.Geod(ellps="WGS84")
    assert len(moved) > 10
    for row in moved:
        old, new = (shapely.from_wkb(row[side]["geometry"]) for side in ("before", "after"))
        assert row["distance_m"] == pytest.approx(ellipsoid.inv(old.x, old.y, new.x, new.y)[2], abs=1e-3)


def test_columns_box_and_limit_are_obeyed(flight_client, history):
    ask = {"dataset": history["keyed"], "version": 3, "diff_from": 2}
    everything = pull(flight_client, **ask).to_pylist()
    of_values = pull(flight_client, **ask, columns=["kad", "value"]).to_pylist()
    is_said = lambda row: row["operation"] != "changed" or "value" in row["changed"]
    assert [row["key"] for row in of_values] == [row["key"] for row in everything if is_said(row)]
    assert set(of_values[0]["after"] or of_values[0]["before"]) == {"kad", "value"}
    box = shapely.box(70, 50, 71, 51)
    touches = lambda row: any(row[side] and shapely.from_wkb(row[side]["geometry"]).intersects(box) for side in ("before", "after"))
    inside = pull(flight_client, **ask, bbox=[70, 50, 71, 51]).to_pylist()
    assert inside and inside == [row for row in everything if touches(row)]
    assert pull(flight_client, **ask, limit=7).to_pylist() == everything[:7]


def test_geopandas_gets_the_places(flight_client, history):
    frame = geopandas.GeoDataFrame.from_arrow(pull(flight_client, dataset=history["keyed"], version=2, diff_from="previous"))
    assert frame.crs is not None and frame.geometry.notna().all() and set(frame.operation) == {"added", "removed", "changed"}


def test_a_path_means_the_same_as_a_command(flight_client, history):
    dataset = history["keyed"]
    for path, version, first in [((dataset, "v3", "diff"), 3, 2), ((dataset, "v4", "diff", "v1"), 4, 1)]:
        info = flight_client.get_flight_info(flight.FlightDescriptor.for_path(*path))
        expected = {"dataset": dataset, "version": version, "major": 1, "diff_from": first}
        assert json.loads(info.app_metadata) == expected
        told = flight_client.do_get(info.endpoints[0].ticket).read_all()
        assert told.equals(pull(flight_client, dataset=dataset, version=version, diff_from=first))
    same = pull(flight_client, dataset=dataset, version=2, diff_from=2)
    assert same.num_rows == 0 and "before" in same.column_names
    with pytest.raises((pa.ArrowKeyError, flight.FlightError), match="no version before"):
        flight_client.get_flight_info(flight.FlightDescriptor.for_path(dataset, "v1", "diff"))


def test_files_over_http_have_the_same_rows(hub, flight_client, history):
    agency, name = history["keyed"].split("/")
    address = f"{hub.url}/datasets/{agency}/{name}/diff?from=v1&to=v5&format="
    read = lambda form: io.BytesIO(urllib.request.urlopen(address + form, timeout=60).read())
    rows = pull(flight_client, dataset=history["keyed"], version=5, diff_from=1).to_pylist()
    assert pa.ipc.open_file(read("arrow")).read_all().to_pylist() == rows
    places = geopandas.read_parquet(read("parquet"))
    assert len(places) == len(rows) and places.crs is not None
    lines = pandas.read_csv(read("csv"))
    assert lines["key.kad"].to_list() == [row["key"]["kad"] for row in rows]
    assert lines["after.value"].isna().sum() == sum((row["after"] or {"value": None})["value"] is None for row in rows)
    features = json.load(read("json"))["features"]
    assert [feature["properties"]["key"] for feature in features] == [row["key"] for row in rows]


def test_numbers_over_grpc_are_those_of_the_rows(pusher, flight_client, history):
    ask = lambda **fields: pusher.catalog.GetDiff(pusher.protos.catalog.GetDiffRequest(**fields), timeout=30)
    answer = ask(dataset=history["keyed"] + "@v4", **{"from": "v1"}, count=True)
    operations = pull(flight_client, dataset=history["keyed"], version=4, diff_from=1).column("operation").to_pylist()
    counts = answer.counts
    assert [counts.added, counts.removed, counts.changed] == [operations.count(name) for name in ["added", "removed", "changed"]]
    assert (answer.to, list(answer.key)) == (4, ["kad"])
    plain = ask(dataset=history["keyed"])
    assert (getattr(plain, "from"), plain.to) == (4, 5) and not plain.HasField("counts")
