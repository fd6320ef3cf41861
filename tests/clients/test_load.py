"""Thirty-two writers push while eight readers export: every export is its version, to the last byte.

The catalog's root hash says which version was meant, the receipt's hashes what the hub gave out, and the writer of the version
what it must be. `UKIMET_LOAD_ROWS` and `UKIMET_LOAD_PUSHES` (of each writer) make it larger.
"""
import hashlib
import json
import os
import random
import struct
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
import shapely
from pyarrow import flight

from grpc_push import Pusher
from hub_process import HubProcess

SEED = 20261123
WRITERS, READERS = 32, 8
ROWS = int(os.environ.get("UKIMET_LOAD_ROWS", 150))
PUSHES = int(os.environ.get("UKIMET_LOAD_PUSHES", 2))
# Half of the writers have a dataset each; the others share these.
SHARED = 4
EXPORTS_MIN = 40
PAUSE_SECONDS = 0.1
GEOMETRY = {
    b"ARROW:extension:name": b"geoarrow.wkb",
    b"ARROW:extension:metadata": json.dumps({"crs": "OGC:CRS84"}).encode(),
}
SCHEMA = pa.schema([("n", pa.int64()), ("word", pa.string()), pa.field("geometry", pa.binary(), metadata=GEOMETRY)])


def rows_of(writer: int, push: int) -> list[tuple]:
    """What a push brings: other rows than any other push."""
    chance = random.Random(f"{SEED} {writer} {push}")
    count = ROWS + chance.randrange(ROWS)
    place = lambda: shapely.Point(round(70 + chance.random(), 6), round(45 + chance.random(), 6))
    return [(n, f"{writer}/{push} {chance.choice('әіңғүұқөһ')} {chance.random()}", place()) for n in range(count)]


def rows_hash(rows: list[tuple]) -> str:
    """Over number, word and WKB of rows in the order of their numbers."""
    hasher = hashlib.sha256()
    for n, word, wkb in sorted(rows):
        hasher.update(struct.pack("<qII", n, len(word.encode()), len(wkb)) + word.encode() + wkb)
    return hasher.hexdigest()


def column_hash(kind: str, values: list) -> str:
    """The documented hash of a column of a receipt."""
    hasher = hashlib.sha256()
    for value in values:
        raw = value.encode() if isinstance(value, str) else value
        hasher.update(b"\1" + (struct.pack("<q", value) if kind.startswith("Int") else struct.pack("<Q", len(raw)) + raw))
    return hasher.hexdigest()


def put(client, dataset: str, push_id: str, rows: list[tuple]) -> int:
    """Publishes through `DoPut`; answers with the version."""
    columns = [[row[0] for row in rows], [row[1] for row in rows], [shapely.to_wkb(row[2], byte_order=1) for row in rows]]
    table = pa.table(dict(zip(SCHEMA.names, columns)), schema=SCHEMA)
    command = json.dumps({"dataset": dataset, "push_id": push_id, "key": ["n"]})
    writer, reader = client.do_put(flight.FlightDescriptor.for_command(command), SCHEMA)
    with writer:
        writer.write_table(table, max_chunksize=100)
        writer.done_writing()
        outcome = json.loads(reader.read().to_pybytes())
    [layer] = outcome["layers"]
    return layer["version"]


def push(pusher, dataset: str, push_id: str, rows: list[tuple]) -> int:
    """Publishes a GeoJSON file through gRPC; answers with the version."""
    features = [
        {"type": "Feature", "properties": {"n": n, "word": word}, "geometry": shapely.geometry.mapping(place)}
        for n, word, place in rows
    ]
    content = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False).encode()
    outcome, _ = pusher.push(dataset, push_id, "rows.geojson", content, key=["n"])
    [layer] = outcome.layers
    return layer.version


class Load:
    """What was published so far, what was exported, and whether writers are still at it."""

    def __init__(self, folder):
        self.hub = HubProcess(folder / "data", folder / "hub.log")
        self.lock = threading.Lock()
        # By dataset and version: the hash of the rows that were pushed.
        self.published: dict[tuple[str, int], str] = {}
        # Dataset, version, rows' hash, root hash of the receipt.
        self.exports: list[tuple[str, int, str, str]] = []
        self.writing = threading.Event()
        self.writing.set()

    def write(self, number: int, protos) -> None:
        """Every second writer has a dataset of its own; every other pair uses gRPC."""
        run = uuid.uuid4().hex[:8]
        dataset = f"load/own-{number}" if number % 2 else f"load/shared-{number // 2 % SHARED}"
        is_flight = number // 2 % 2 == 0 if number % 2 else number // 8 % 2 == 0
        client = flight.connect(self.hub.flight_url) if is_flight else Pusher(protos, self.hub.address)
        try:
            for count in range(PUSHES):
                rows = rows_of(number, count)
                version = (put if is_flight else push)(client, dataset, f"{run}-{number}-{count}", rows)
                expected = rows_hash([(n, word, shapely.to_wkb(place, byte_order=1)) for n, word, place in rows])
                with self.lock:
                    assert (dataset, version) not in self.published, "a version is of one push"
                    self.published[dataset, version] = expected
        finally:
            client.close()

    def read(self, number: int) -> None:
        """Exports the newest or a pinned version of one dataset after another until nobody writes any more. The pauses leave
        processor time for writers where there is little."""
        chance = random.Random(f"{SEED} reader {number}")
        with flight.connect(self.hub.flight_url) as client:
            while self.writing.is_set():
                time.sleep(PAUSE_SECONDS)
                with self.lock:
                    known = sorted(self.published)
                if not known:
                    continue
                dataset, version = chance.choice(known)
                path = [dataset] if chance.random() < 0.5 else [dataset, f"v{version}"]
                export = self.export(client, path)
                assert len(path) == 1 or export[1] == version
                with self.lock:
                    self.exports.append(export)

    def export(self, client, path: list[str]) -> tuple[str, int, str, str]:
        """Pulls what a path means and compares it with the receipts of its tickets."""
        info = client.get_flight_info(flight.FlightDescriptor.for_path(*path))
        version = json.loads(info.app_metadata)["version"]
        rows, roots = [], set()
        for endpoint in info.endpoints:
            table = client.do_get(endpoint.ticket).read_all()
            [answer] = client.do_action(flight.Action("receipt", endpoint.ticket.ticket))
            receipt = json.loads(answer.body.to_pybytes())["receipt"]
            assert (receipt["dataset"], receipt["version"], receipt["rows"]) == (path[0], version, table.num_rows)
            columns = [table[name].to_pylist() for name in SCHEMA.names]
            hashes = {column["name"]: column["sha256"] for column in receipt["columns"]}
            kinds = {column["name"]: column["type"] for column in receipt["columns"]}
            assert hashes == {name: column_hash(kinds[name], values) for name, values in zip(SCHEMA.names, columns)}
            roots.add(receipt["version_hash"])
            rows += zip(*columns)
        assert len(rows) == info.total_records
        [root] = roots
        return path[0], version, rows_hash(rows), root


@pytest.fixture
def load(tmp_path):
    load = Load(tmp_path)
    yield load
    assert load.hub.stop() == 0


def root_hashes(pusher, datasets) -> dict[tuple[str, int], str]:
    """What the catalog says of every version."""
    found = {}
    for dataset in datasets:
        request = pusher.protos.catalog.ListVersionsRequest(dataset=dataset, limit=1000)
        for version in pusher.catalog.ListVersions(request, timeout=30).versions:
            found[dataset, version.number] = version.root_hash.hex()
    return found


def test_every_export_beside_writers_has_the_hash_of_its_version(load, protos, capsys):
    began = time.monotonic()
    with ThreadPoolExecutor(WRITERS + READERS) as threads:
        readers = [threads.submit(load.read, number) for number in range(READERS)]
        writers = [threads.submit(load.write, number, protos) for number in range(WRITERS)]
        try:
            for writer in writers:
                writer.result()
        finally:
            load.writing.clear()
        for reader in readers:
            reader.result()
    assert len(load.published) == WRITERS * PUSHES
    pusher = Pusher(protos, load.hub.address)
    roots = root_hashes(pusher, {dataset for dataset, _ in load.published})
    pusher.close()
    assert roots.keys() == load.published.keys(), "versions are the pushes and nothing else"
    assert len(set(roots.values())) == len(roots), "other rows, another hash"
    for dataset, version, rows, root in load.exports:
        assert rows == load.published[dataset, version], f"{dataset}@v{version}"
        assert root == roots[dataset, version], f"{dataset}@v{version}"
    seen = {export[:2] for export in load.exports}
    with capsys.disabled():
        took = time.monotonic() - began
        print(f"\n{len(load.exports)} exports of {len(seen)} of {len(roots)} versions compared, {took:.0f} s, seed {SEED}")
    assert len(load.exports) >= EXPORTS_MIN and any("shared" in dataset for dataset, _ in seen)
