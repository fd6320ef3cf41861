"""Rows in an order of their values, over Flight, HTTP and the command line, as Python's own stable sort has them."""
import csv
import datetime
import io
import json
import random
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pyarrow as pa
import pyarrow.parquet
import pytest
import shapely
from pyarrow import flight

from hub_process import HubProcess, ukimet_bin

SEED = 20261123
ROWS = 40_000
WORDS = ["мектеп", "Мектеп", "ә", "ü", "", "z", "Z", "😀", "｡", "10", "9", None]
GEOMETRY = {
    b"ARROW:extension:name": b"geoarrow.wkb",
    b"ARROW:extension:metadata": json.dumps({"crs": "OGC:CRS84"}).encode(),
}
SORTABLE = ["n", "word", "area", "built", "is_open"]


def table() -> pa.Table:
    chance = random.Random(SEED)
    some = lambda value: None if chance.random() < 0.05 else value
    day = datetime.date(2026, 1, 1)
    places = [shapely.to_wkb(shapely.Point(70 + chance.random(), 45 + chance.random()), byte_order=1) for _ in range(ROWS)]
    columns = {
        "n": pa.array(chance.sample(range(10 * ROWS), ROWS)),
        "word": pa.array([chance.choice(WORDS) for _ in range(ROWS)]),
        "area": pa.array([some(chance.choice([0.5, -3.0, 1e300, chance.random()])) for _ in range(ROWS)]),
        "built": pa.array([some(day - datetime.timedelta(chance.randrange(300))) for _ in range(ROWS)]),
        "is_open": pa.array([some(chance.random() < 0.5) for _ in range(ROWS)]),
        # Long, so that there are many messages.
        "text": pa.array([chance.randbytes(60).hex() for _ in range(ROWS)]),
    }
    plain = pa.table(columns)
    schema = plain.schema.append(pa.field("geometry", pa.binary(), metadata=GEOMETRY))
    return pa.table([*plain.columns, pa.array(places)], schema=schema)


def publish(client, dataset: str, rows: pa.Table) -> str:
    writer, reader = client.do_put(command(dataset=dataset, key=["n"]), rows.schema)
    with writer:
        writer.write_table(rows, max_chunksize=10_000)
        writer.done_writing()
        assert json.loads(reader.read().to_pybytes())["status"] == "published"
    return dataset


@pytest.fixture(scope="module")
def houses(flight_client):
    return publish(flight_client, "order/houses", table())


def command(**request) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_command(json.dumps(request).encode())


def pull(client, **request) -> pa.Table:
    endpoints = client.get_flight_info(command(**request)).endpoints
    if "order" in request:
        assert len(endpoints) == 1
    return pa.concat_tables([client.do_get(endpoint.ticket).read_all() for endpoint in endpoints])


def by(*written: str) -> list[dict]:
    return [{"column": name.lstrip("-"), "descending": name.startswith("-")} for name in written]


def ordered(rows: list[dict], *written: str) -> list[dict]:
    """What is documented: missing values last in either direction, texts by code points, equal ones as they were."""
    for name in reversed(written):
        column = name.lstrip("-")
        there = [row for row in rows if row[column] is not None]
        missing = [row for row in rows if row[column] is None]
        # A reversed stable sort would turn equal ones round; Python keeps them.
        rows = sorted(there, key=lambda row: row[column], reverse=name.startswith("-")) + missing
    return rows


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"limit": 1000},
        {"limit": 0},
        {"filter": "area > 0.3", "bbox": [70.2, 45.2, 70.8, 45.9]},
        {"filter": "word = 'ә' OR word IS NULL", "limit": 500},
        {"version": 1, "bbox": [0, 0, 1, 1]},
    ],
    ids=str,
)
def test_rows_come_in_the_order_that_a_stable_sort_gives(flight_client, houses, asked):
    chance = random.Random(SEED)
    columns = SORTABLE + ["text"]
    stored = pull(flight_client, dataset=houses, columns=columns, **{k: v for k, v in asked.items() if k != "limit"}).to_pylist()
    for _ in range(4):
        written = [chance.choice(["", "-"]) + name for name in chance.sample(SORTABLE, chance.randint(1, 3))]
        expected = ordered(stored, *written)[: asked.get("limit", ROWS)]
        came = pull(flight_client, dataset=houses, columns=columns, order=by(*written), **asked)
        assert came.to_pylist() == expected, f"{written}, seed {SEED}"


def test_all_columns_come_with_their_rows(flight_client, houses):
    info = flight_client.get_flight_info(command(dataset=houses, order=by("word", "-n")))
    came = flight_client.do_get(info.endpoints[0].ticket).read_all()
    assert info.total_records == came.num_rows == ROWS and info.schema.equals(came.schema)
    plain = pa.table({name: came[name] for name in came.column_names})
    expected = table()
    assert plain.sort_by("n").to_pydict() == pa.table({name: expected[name] for name in plain.column_names}).sort_by("n").to_pydict()


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"order": by("geometry")}, 'column "geometry" holds Binary'),
        ({"order": by("height")}, 'there is no column "height"'),
        ({"order": by("n", "-n")}, 'names column "n" twice'),
        ({"order": []}, "names at least one column"),
        ({"order": "n"}, "invalid type"),
        ({"order": [{"column": "n", "nulls": "first"}]}, "unknown field `nulls`"),
        ({"order": by("n"), "text": "dictionary"}, "order gives text as plain"),
        ({"order": by("n"), "diff_from": 1}, "without diff_from"),
        ({"order": by("n"), "table": "verdicts"}, "read whole"),
    ],
    ids=str,
)
def test_an_order_that_cannot_be_had_is_refused(flight_client, houses, request_, said):
    with pytest.raises(pa.ArrowInvalid, match=said):
        flight_client.get_flight_info(command(dataset=houses, **request_))


def test_an_order_above_its_memory_is_refused_and_its_first_rows_are_not(tmp_path):
    options = ["--disk-reserve", "64MiB", "--order-bytes-max", "2MiB", "--endpoint-rows", "10000"]
    hub = HubProcess(tmp_path / "data", tmp_path / "hub.log", options=options)
    with flight.connect(hub.flight_url) as client:
        publish(client, "order/houses", table())
        with pytest.raises(pa.ArrowInvalid, match="resource exhausted.*order-bytes-max .2097152 bytes.*limit or a filter.*SQL"):
            pull(client, dataset="order/houses", order=by("text"))
        texts, numbers = (sorted(table()[name].to_pylist()) for name in ("text", "n"))
        assert pull(client, dataset="order/houses", order=by("-text"), limit=9)["text"].to_pylist() == texts[:-10:-1]
        few = pull(client, dataset="order/houses", order=by("text"), filter=f"text <= '{texts[999]}'")
        assert few["text"].to_pylist() == texts[:1000]
        # Numbers fit, and come in one piece.
        assert len(client.get_flight_info(command(dataset="order/houses")).endpoints) > 1
        assert pull(client, dataset="order/houses", order=by("-n"))["n"].to_pylist() == numbers[::-1]
    assert hub.stop() == 0


def download(hub, dataset: str, ending: str, **parameters) -> bytes:
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"{hub.url}/datasets/{dataset}/versions/v1/data.{ending}?{query}") as answer:
        return answer.read()


def test_downloads_have_the_order_too(hub, flight_client, houses):
    expected = pull(flight_client, dataset=houses, columns=["n", "word"], order=by("-word", "n"), filter="n < 9000")
    asked = {"columns": "n,word", "order": "-word,n", "filter": "n < 9000"}
    parquet = pyarrow.parquet.read_table(io.BytesIO(download(hub, houses, "parquet", **asked)))
    assert parquet["n"].to_pylist() == expected["n"].to_pylist()
    lines = list(csv.DictReader(io.StringIO(download(hub, houses, "csv", **asked).decode())))
    assert [int(line["n"]) for line in lines] == expected["n"].to_pylist()
    assert download(hub, houses, "csv", **asked) == download(hub, houses, "csv", **asked)
    for ending, order, said in [("fgb", "n", "order of its index"), ("csv", "geometry", "holds Binary"), ("csv", "n,,word", "without a name")]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            download(hub, houses, ending, order=order)
        assert refused.value.code == 400 and said in refused.value.read().decode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        download(hub, houses, "arrow", order="n", text="dictionary")
    assert "order gives text as plain" in refused.value.read().decode()


def test_the_command_line_orders_and_its_receipt_is_of_that_order(hub, flight_client, houses, tmp_path):
    file, receipt = tmp_path / "x.parquet", tmp_path / "receipt.json"
    arguments = ["export", houses, "--order", "-built,word", "--limit", "700", "-o", file, "--receipt", receipt, "--hub", hub.url]
    done = subprocess.run([str(ukimet_bin()), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = pull(flight_client, dataset=houses, order=by("-built", "word"), limit=700)
    assert pyarrow.parquet.read_table(file)["n"].to_pylist() == expected["n"].to_pylist()
    bound = json.loads(json.loads(receipt.read_text())["receipt"]["request"])
    assert bound["order"] == [{"column": "built", "descending": True}, {"column": "word"}] and bound["limit"] == 700
    arguments[arguments.index(file)] = tmp_path / "x.fgb"
    refused = subprocess.run([str(ukimet_bin()), *map(str, arguments)], capture_output=True, text=True)
    assert refused.returncode != 0 and "order of its index" in refused.stderr
