"""Whole versions that are asked for again are sent as they went out before: the same bytes, and nothing of them once rows are erased."""
import base64
import json
import os
import random
import re
import urllib.request
from pathlib import Path

import geopandas
import pyarrow as pa
import pytest
import shapely
from pyarrow import flight

from hub_process import HubProcess, push_file, run_ukimet

ROWS = 60_000
DATASET = "kept/points"
SEED = 20261123


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    chance = random.Random(SEED)
    frame = geopandas.GeoDataFrame(
        {
            "code": [f"P-{number:06}" for number in range(ROWS)],
            "use": [chance.choice(["school", "shop", "home"]) for _ in range(ROWS)],
            "note": [f"{chance.random()} {chance.random()}" for _ in range(ROWS)],
        },
        geometry=[shapely.Point(76 + chance.random(), 43 + chance.random()) for _ in range(ROWS)],
        crs="OGC:CRS84",
    )
    path = tmp_path_factory.mktemp("kept") / "points.parquet"
    frame.to_parquet(path)
    return path


@pytest.fixture
def own_hub(file, tmp_path):
    hub = HubProcess(tmp_path / "data", tmp_path / "hub.log")
    assert push_file(hub.url, file, DATASET, "--key", "code")["status"] == "published"
    yield hub
    assert hub.stop() == 0


def kept_exports(hub) -> int:
    text = urllib.request.urlopen(hub.url + "/metrics").read().decode()
    return int(re.search(r"^ukimet_exports_kept_total (\d+)$", text, re.MULTILINE).group(1))


def nameless_bytes(hub) -> int:
    """Bytes of files that the hub has open and nobody can find."""
    found = 0
    for fd in Path(f"/proc/{hub.process.pid}/fd").iterdir():
        try:
            found += os.stat(fd).st_size if os.readlink(fd).endswith(" (deleted)") else 0
        except FileNotFoundError:
            pass  # Closed meanwhile.
    return found


def messages(client, ticket) -> list[bytes]:
    """Each batch as it would be written."""
    return [chunk.data.serialize().to_pybytes() for chunk in client.do_get(ticket)]


@pytest.mark.parametrize("text", ["plain", "dictionary"])
def test_a_flight_is_the_same_the_first_time_the_second_and_from_what_was_kept(own_hub, text):
    with flight.connect(own_hub.flight_url) as client:
        command = json.dumps({"dataset": DATASET, "text": text, "message_bytes": 256 << 10}).encode()
        [endpoint] = client.get_flight_info(flight.FlightDescriptor.for_command(command)).endpoints
        first = messages(client, endpoint.ticket)
        assert len(first) > 5 and kept_exports(own_hub) == 0 and nameless_bytes(own_hub) == 0
        assert messages(client, endpoint.ticket) == first and kept_exports(own_hub) == 0
        assert messages(client, endpoint.ticket) == first and kept_exports(own_hub) == 1
        assert nameless_bytes(own_hub) > sum(map(len, first)) * 0.9
        for batches in [1, len(first) - 1]:
            body = json.dumps({"ticket": base64.b64encode(endpoint.ticket.ticket).decode(), "batches": batches}).encode()
            [answer] = client.do_action(flight.Action("resume", body))
            assert messages(client, flight.Ticket(answer.body.to_pybytes())) == first[batches:]
        assert kept_exports(own_hub) == 3
        # Another question is another stream, and a part of the rows is read each time.
        some = {"dataset": DATASET, "text": text, "filter": "use = 'shop'"}
        for _ in range(3):
            assert client.do_get(flight.Ticket(json.dumps(some).encode())).read_all().num_rows < ROWS / 2
        assert kept_exports(own_hub) == 3


def test_what_is_left_of_a_flight_is_never_kept_for_all_of_it(own_hub):
    with flight.connect(own_hub.flight_url) as client:
        command = json.dumps({"dataset": DATASET, "message_bytes": 256 << 10}).encode()
        [endpoint] = client.get_flight_info(flight.FlightDescriptor.for_command(command)).endpoints
        body = json.dumps({"ticket": base64.b64encode(endpoint.ticket.ticket).decode(), "batches": 2}).encode()
        [answer] = client.do_action(flight.Action("resume", body))
        left = flight.Ticket(answer.body.to_pybytes())
        parts = [messages(client, left) for _ in range(3)]
        wholes = [messages(client, endpoint.ticket) for _ in range(3)]
        assert all(part == wholes[0][2:] for part in parts) and wholes[0] == wholes[1] == wholes[2]
        assert kept_exports(own_hub) == 1


def fetch(url: str, **headers) -> tuple[dict, bytes]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return dict(answer.headers), answer.read()


@pytest.mark.parametrize("ending", ["arrow?text=dictionary", "csv", "parquet"])
def test_a_download_is_the_same_the_first_time_the_second_and_from_what_was_kept(own_hub, ending):
    address = f"{own_hub.url}/datasets/{DATASET}/versions/v1/data.{ending}"
    _, first = fetch(address)
    for _ in range(2):
        headers, body = fetch(address)
        assert body == first and int(headers["content-length"]) == len(first)
    assert kept_exports(own_hub) == 1
    _, part = fetch(address, Range=f"bytes=1000-{len(first) - 1000}")
    assert part == first[1000:-999] and kept_exports(own_hub) == 2


def test_a_range_of_what_nobody_fetched_before_is_counted_once_and_kept(own_hub):
    address = f"{own_hub.url}/datasets/{DATASET}/versions/v1/data.ndjson"
    headers, part = fetch(address, Range="bytes=100-")
    assert kept_exports(own_hub) == 1
    _, whole = fetch(address)
    assert part == whole[100:] and headers["content-range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"


def test_after_an_erasure_no_file_of_the_hub_has_what_was_kept(own_hub):
    address = f"{own_hub.url}/datasets/{DATASET}/versions/v1/data.arrow"
    with flight.connect(own_hub.flight_url) as client:
        command = json.dumps({"dataset": DATASET}).encode()
        for _ in range(3):
            table = client.do_get(flight.Ticket(command)).read_all()
            assert table.num_rows == ROWS and pa.ipc.open_stream(fetch(address)[1]).read_all().num_rows == ROWS
        assert kept_exports(own_hub) == 2 and nameless_bytes(own_hub) > 1_000_000
        done = run_ukimet("erase", DATASET, "--key", "code=P-000007", "--why", "a test", "--hub", own_hub.url)
        assert done.returncode == 0, done.stderr
        assert nameless_bytes(own_hub) == 0
        for _ in range(3):
            table = client.do_get(flight.Ticket(command)).read_all()
            assert table.num_rows == ROWS - 1 and "P-000007" not in table["code"].to_pylist()
            assert pa.ipc.open_stream(fetch(address)[1]).read_all().num_rows == ROWS - 1


def test_a_hub_that_may_keep_nothing_keeps_nothing(file, tmp_path):
    hub = HubProcess(tmp_path / "data", tmp_path / "hub.log", options=["--disk-reserve", "64MiB", "--kept-bytes-max", "0"])
    try:
        assert push_file(hub.url, file, DATASET)["status"] == "published"
        with flight.connect(hub.flight_url) as client:
            tables = [client.do_get(flight.Ticket(json.dumps({"dataset": DATASET}).encode())).read_all() for _ in range(4)]
        assert all(table == tables[0] for table in tables) and kept_exports(hub) == 0 and nameless_bytes(hub) == 0
    finally:
        assert hub.stop() == 0
