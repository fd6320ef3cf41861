"""Flights that break off and go on: what came before and what comes after are the bytes of one that never broke."""
import base64
import json
import random
import uuid

import geopandas
import pyarrow as pa
import pytest
import shapely
from pyarrow import flight

from hub_process import push_file

SEED = 20261122
ROWS = 60_000


@pytest.fixture(scope="module")
def readings(flight_client):
    """Rows of many messages: texts that hardly repeat."""
    chance = random.Random(SEED)
    table = pa.table({
        "n": pa.array(range(ROWS)),
        "word": pa.array([chance.randbytes(60).hex() for _ in range(ROWS)]),
    })
    dataset = f"resume/readings-{uuid.uuid4().hex[:8]}"
    descriptor = flight.FlightDescriptor.for_command(json.dumps({"dataset": dataset}).encode())
    writer, reader = flight_client.do_put(descriptor, table.schema)
    writer.write_table(table, max_chunksize=10_000)
    writer.done_writing()
    assert json.loads(reader.read().to_pybytes())["status"] == "published"
    writer.close()
    return dataset


def tickets(client, **command) -> list[flight.Ticket]:
    info = client.get_flight_info(flight.FlightDescriptor.for_command(json.dumps(command).encode()))
    return [endpoint.ticket for endpoint in info.endpoints]


def batches(client, ticket: flight.Ticket) -> list[pa.RecordBatch]:
    return [chunk.data for chunk in client.do_get(ticket)]


def resumed(client, ticket: flight.Ticket, count: int) -> flight.Ticket:
    body = json.dumps({"ticket": base64.b64encode(ticket.ticket).decode(), "batches": count}).encode()
    [answer] = client.do_action(flight.Action("resume", body))
    return flight.Ticket(answer.body.to_pybytes())


def as_bytes(parts: list[pa.RecordBatch]) -> list[bytes]:
    return [part.serialize().to_pybytes() for part in parts]


@pytest.mark.parametrize("asked", [{}, {"filter": "n < 50000 AND word < 'c'"}, {"columns": ["word"], "limit": 44_000}, {"order": [{"column": "word"}], "filter": "n < 50000"}], ids=str)
def test_a_flight_that_broke_off_goes_on_with_the_same_bytes(flight_client, readings, asked):
    chance = random.Random(SEED)
    for ticket in tickets(flight_client, dataset=readings, **asked):
        whole = as_bytes(batches(flight_client, ticket))
        assert len(whole) >= 2
        for _ in range(8):
            there, came, rest = [], 0, ticket
            while came < len(whole):
                # Some batches are read, then the client goes away in the middle of the stream.
                count = chance.randint(1, len(whole) - came)
                reader = flight_client.do_get(rest)
                there += as_bytes([reader.read_chunk().data for _ in range(count)])
                reader.cancel()
                came += count
                rest = resumed(flight_client, ticket, came)
            assert there == whole, f"seed {SEED}"
        assert batches(flight_client, resumed(flight_client, ticket, len(whole))) == []


def test_what_was_resumed_is_resumed_from_where_it_was(flight_client, readings):
    [ticket, *_] = tickets(flight_client, dataset=readings)
    whole = as_bytes(batches(flight_client, ticket))
    twice = resumed(flight_client, resumed(flight_client, ticket, 1), 1)
    assert as_bytes(batches(flight_client, twice)) == whole[2:]


def test_more_batches_than_there_are_is_an_error_and_not_an_end(flight_client, readings):
    [ticket, *_] = tickets(flight_client, dataset=readings)
    count = len(batches(flight_client, ticket))
    with pytest.raises(pa.ArrowInvalid, match=f"has {count} batches, asked to go on behind {count + 1}"):
        batches(flight_client, resumed(flight_client, ticket, count + 1))


def test_tickets_that_were_cut_or_changed_are_told(flight_client, readings):
    [ticket, *_] = tickets(flight_client, dataset=readings)
    chance = random.Random(SEED)
    for _ in range(100):
        changed = bytearray(ticket.ticket)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        for wrong in (bytes(changed), ticket.ticket[: chance.randrange(len(changed))]):
            with pytest.raises(pa.ArrowInvalid):
                batches(flight_client, flight.Ticket(wrong))
    with pytest.raises(pa.ArrowInvalid, match="changed on its way"):
        batches(flight_client, flight.Ticket(ticket.ticket.replace(b"readings", b"reading5")))


def test_a_row_larger_than_clients_take_by_default_arrives(hub, flight_client, tmp_path):
    """Sixty thousand little squares are one geometry of more than 5 MB."""
    squares = [shapely.box(76 + i % 400 / 400, 43 + i // 400 / 400, 76 + (i % 400 + 0.5) / 400, 43 + (i // 400 + 0.5) / 400) for i in range(60_000)]
    frame = geopandas.GeoDataFrame({"n": [1, 2]}, geometry=[shapely.MultiPolygon(squares), squares[0]], crs="OGC:CRS84")
    file = tmp_path / "squares.gpkg"
    frame.to_file(file, engine="pyogrio")
    dataset = f"resume/squares-{uuid.uuid4().hex[:8]}"
    assert push_file(hub.url, file, dataset)["status"] == "published"
    rows = [row for ticket in tickets(flight_client, dataset=dataset) for batch in batches(flight_client, ticket) for row in batch.to_pylist()]
    largest = max(rows, key=lambda row: len(row["geometry"]))
    assert len(largest["geometry"]) > 5 << 20
    assert shapely.equals(shapely.normalize(shapely.from_wkb(largest["geometry"])), shapely.normalize(frame.geometry[0]))
