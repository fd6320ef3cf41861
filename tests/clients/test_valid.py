"""Valid time over Flight: pandas and DuckDB, which read whole versions, find the same rows."""
import datetime
import json
import random
import uuid

import duckdb
import pandas
import pyarrow as pa
import pytest
from pyarrow import flight

from hub_process import push_file

SEED = 20261123
FIRST_DAY = datetime.date(2020, 1, 1)
VERSIONS = 3


def day(number: int) -> datetime.date:
    return FIRST_DAY + datetime.timedelta(days=number)


@pytest.fixture(scope="module")
def lives(hub, tmp_path_factory):
    """Three versions of a register whose rows were so for a while: some still are, of some nobody knows since when."""
    chance = random.Random(SEED)
    dataset = f"valid/lives-{uuid.uuid4().hex[:8]}"
    file = tmp_path_factory.mktemp("valid") / "lives.csv"
    for _ in range(VERSIONS):
        lines = []
        for number in range(400):
            since = chance.randrange(1000)
            until = since + chance.randrange(400)
            begin = "" if chance.random() < 0.05 else day(since)
            end = "" if chance.random() < 0.3 else day(until)
            lines.append(f"K-{number},{begin},{end},{76 + chance.random():.4f},{43 + chance.random():.4f}")
        file.write_text("\n".join(["kad,since,until,lon,lat", *lines]))
        flags = ("--key", "kad", "--valid-from", "since", "--valid-to", "until")
        assert push_file(hub.url, file, dataset, *flags)["status"] == "published"
    return dataset


def pull(client, **command) -> pa.Table:
    info = client.get_flight_info(flight.FlightDescriptor.for_command(json.dumps(command).encode()))
    return pa.concat_tables([client.do_get(endpoint.ticket).read_all() for endpoint in info.endpoints])


MOMENTS = random.Random(SEED + 1).sample(range(-10, 1400), 6)


@pytest.mark.parametrize("version", range(1, VERSIONS + 1))
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_moment_is_what_duckdb_and_pandas_find(flight_client, lives, version, moment):
    asked = day(moment)
    found = pull(flight_client, dataset=lives, version=version, valid_at=str(asked), columns=["kad"])
    rows = pull(flight_client, dataset=lives, version=version)
    where = "(since IS NULL OR since <= $day) AND (until IS NULL OR until > $day)"
    expected = duckdb.execute(f"SELECT kad FROM rows WHERE {where} ORDER BY kad", {"day": asked}).fetchall()
    keys = sorted(found.column("kad").to_pylist())
    assert keys == [kad for [kad] in expected], f"seed {SEED}"
    frame = rows.select(["kad", "since", "until"]).to_pandas(date_as_object=False)
    then = pandas.Timestamp(asked)
    is_so = (frame.since.isna() | (frame.since <= then)) & (frame.until.isna() | (frame.until > then))
    assert keys == sorted(frame.kad[is_so])


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interval_in_a_box_is_what_duckdb_finds(flight_client, lives, moment):
    begin, end = day(moment), day(moment + 30)
    box = [76.2, 43.2, 76.7, 43.9]
    found = pull(flight_client, dataset=lives, valid_during=[str(begin), str(end)], bbox=box, columns=["kad"])
    rows = pull(flight_client, dataset=lives)
    query = """
        SELECT kad FROM rows
        WHERE (since IS NULL OR since < $end) AND (until IS NULL OR until > $begin)
          AND (since IS NULL OR until IS NULL OR since < until)
          AND lon BETWEEN 76.2 AND 76.7 AND lat BETWEEN 43.2 AND 43.9
        ORDER BY kad
    """
    expected = duckdb.execute(query, {"begin": begin, "end": end}).fetchall()
    assert sorted(found.column("kad").to_pylist()) == [kad for [kad] in expected], f"seed {SEED}"


def test_a_put_declares_valid_time_and_a_new_major(flight_client):
    dataset = f"valid/put-{uuid.uuid4().hex[:8]}"
    rows = pa.table({"kad": ["a", "b"], "since": [datetime.date(2024, 1, 1), None]})

    def put(table: pa.Table, **command) -> dict:
        descriptor = flight.FlightDescriptor.for_command(json.dumps({"dataset": dataset, **command}).encode())
        writer, reader = flight_client.do_put(descriptor, table.schema)
        writer.write_table(table)
        writer.done_writing()
        answer = reader.read()
        # A refusal is told when the stream is closed.
        writer.close()
        return json.loads(answer.to_pybytes())

    assert put(rows, valid_from="since")["status"] == "published"
    assert pull(flight_client, dataset=dataset, valid_at="2023-12-31").column("kad").to_pylist() == ["b"]
    other = pa.table({"kad": [1, 2], "since": rows.column("since")})
    with pytest.raises(pa.ArrowException, match="column kad: expected type Utf8"):
        put(pa.table({"name": ["x"], "since": rows.column("since").slice(0, 1)}))
    assert put(other, new_major=True, dry_run=True)["layers"][0]["major"] == 2
    put(pa.table({"name": ["x"], "since": rows.column("since").slice(0, 1)}), new_major=True)
    info = flight_client.get_flight_info(flight.FlightDescriptor.for_path(f"{dataset}@1.x"))
    assert info.total_records == 2 and json.loads(info.app_metadata)["major"] == 1
