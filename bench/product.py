"""This hub's side of the benchmark kit: what the kit calls, done the way a client would, over the wire.

Data goes in by `ukimet push` (gRPC) and Flight DoPut, and comes out by Flight. The server is the release build named by
UKIMET_BIN. What the hub does not do yet raises NotImplementedError: the kit reports it as an error line.
"""
import functools
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from benchlib import SRC_EPSG, WORK, Timer, case, du, f_cad, measure

RUN = WORK / "run"
STATE = RUN / "product.json"
PID = RUN / "product.pid"
READY = re.compile(r"^ukimet is ready on http://(\S+) ")
STOP_SECONDS_MAX = 60
# What is pushed for comparing versions: the key that the peers are told too, without the number that a GeoPackage gives each row of a
# file, which the peers never see: where one row is gone, all behind it have another.
HISTORY_MAPPING = RUN / "history.toml"


def _bin() -> str:
    return os.environ.get("UKIMET_BIN", "")


def available() -> bool:
    return os.access(_bin(), os.X_OK)


def version() -> str:
    return subprocess.run([_bin(), "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _read_state() -> dict:
    return json.loads(STATE.read_text())


def _write_state(state: dict) -> None:
    STATE.write_text(json.dumps(state))


def start(workdir) -> None:
    """A server over an empty catalog: a benchmark of a run before must not be found again as unchanged."""
    data = Path(workdir) / "out" / f"ukimet-{time.time_ns()}"
    log = open(RUN / "product.log", "ab")
    command = [_bin(), "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    line = server.stdout.readline().decode()
    found = READY.match(line)
    if not found:
        server.kill()
        server.wait()
        raise RuntimeError(f"expected the line that says ready, found {line!r}; see {RUN / 'product.log'}")
    PID.write_text(str(server.pid))
    _write_state({"address": found.group(1), "data": str(data), "datasets": {}})


def stop() -> None:
    pid = int(PID.read_text())
    try:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS_MAX
        while time.monotonic() < end and os.waitpid(pid, os.WNOHANG) == (0, 0):
            time.sleep(0.05)
    except (ProcessLookupError, ChildProcessError):
        pass
    PID.unlink(missing_ok=True)


def _fresh(dataset: str) -> str:
    """A dataset of this round alone; remembered under the kit's name for the cases that read it."""
    state = _read_state()
    name = f"bench/{dataset.replace('_', '-')}-{time.time_ns()}"
    state["datasets"][dataset] = name
    _write_state(state)
    return name


def _dataset(dataset: str) -> str:
    return _read_state()["datasets"][dataset]


def _ukimet(*arguments) -> dict:
    done = subprocess.run([_bin(), *map(str, arguments), "--json"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ukimet {arguments[0]} exited {done.returncode}: {done.stderr[-600:]}{done.stdout[-600:]}")
    return json.loads(done.stdout)


def _hub() -> str:
    return "http://" + _read_state()["address"]


def _grpc() -> str:
    return "grpc://" + _read_state()["address"]


def _push(path, name: str, source_crs, *flags) -> dict:
    # Only a format that cannot say its CRS needs to be told; a declared one would override the file's own.
    declared = ["--crs", f"EPSG:{source_crs}"] if source_crs and Path(path).suffix == ".csv" else []
    [layer] = _ukimet("push", path, "--dataset", name, "--hub", _hub(), *declared, *flags)["layers"]
    return layer


def _stored(name: str, number: int) -> int:
    return _ukimet("describe", f"{name}@v{number}", "--hub", _hub())["dataset"]["version"]["size_bytes"]


def ingest(path, dataset, source_crs=None, repair=True) -> dict:
    """Repair is not a choice: an invalid geometry is repaired and said so, or its row refused."""
    name = _fresh(dataset)
    flags = []
    if dataset == "hist":
        HISTORY_MAPPING.write_text('drop = ["fid"]\n')
        flags = ["--key", "parcel_id", "--mapping", HISTORY_MAPPING]
    layer = _push(path, name, source_crs, *flags)
    return {"rows": layer["rows_taken"], "version": f"v{layer['version']}", "bytes_stored": _stored(name, layer["version"])}


def _points(longitude, latitude):
    """Points as geoarrow.wkb, 21 bytes each."""
    import numpy as np
    import pyarrow as pa

    points = np.empty(len(longitude), dtype=[("order", "u1"), ("kind", "<u4"), ("x", "<f8"), ("y", "<f8")])
    points["order"], points["kind"], points["x"], points["y"] = 1, 1, longitude, latitude
    offsets = pa.py_buffer(np.arange(0, 21 * (len(points) + 1), 21, dtype=np.int32))
    return pa.Array.from_buffers(pa.binary(), len(points), [None, offsets, pa.py_buffer(points.tobytes())])


def ingest_stream(reader, dataset) -> dict:
    import pyarrow as pa
    from pyarrow import flight

    name = _fresh(dataset)
    metadata = {"ARROW:extension:name": "geoarrow.wkb", "ARROW:extension:metadata": '{"crs":"OGC:CRS84","crs_type":"authority_code"}'}
    schema = reader.schema.append(pa.field("geometry", pa.binary(), metadata=metadata))
    rows = 0
    writer, answers = _flight().do_put(flight.FlightDescriptor.for_path(name), schema)
    for batch in reader:
        places = _points(batch.column("lon").to_numpy(), batch.column("lat").to_numpy())
        writer.write_batch(pa.record_batch([*batch.columns, places], schema=schema))
        rows += batch.num_rows
    writer.done_writing()
    while answers.read() is not None:
        pass
    writer.close()
    return {"rows": rows, "version": "v1", "bytes_stored": _stored(name, 1)}


@functools.cache
def _flight():
    """One connection a process, as the peers have it: the kit runs each case in a process of its own."""
    from pyarrow import flight

    return flight.connect(_grpc())


def _command(request: dict) -> bytes:
    """Of a client that takes dictionaries and large messages, which pyarrow does."""
    return json.dumps({**request, "text": "dictionary", "message_bytes": 16 << 20}).encode()


def _pull(request: dict):
    """All of it: the hub says in which parts it comes."""
    import pyarrow as pa
    from pyarrow import flight

    info = _flight().get_flight_info(flight.FlightDescriptor.for_command(_command(request)))
    return pa.concat_tables([_flight().do_get(endpoint.ticket).read_all() for endpoint in info.endpoints])


def _pull_at_once(request: dict):
    """By one call: a command is taken in place of a ticket."""
    from pyarrow import flight

    return _flight().do_get(flight.Ticket(_command(request))).read_all()


def export_all(dataset, version=None):
    request = {"dataset": _dataset(dataset)}
    return _pull(request if version is None else {**request, "version": int(str(version).lstrip("v"))})


def export_bbox(dataset, bbox, predicate=None):
    request = {"dataset": _dataset(dataset), "bbox": [float(side) for side in bbox]}
    return _pull_at_once({**request, "filter": predicate} if predicate else request)


def search_load(catalog_parquet) -> dict:
    raise NotImplementedError("catalogue entries without data")


def search(terms=None, prefix=None, fuzzy=None, bbox=None, facets=(), limit=20) -> dict:
    raise NotImplementedError("prefixes, typing errors and facets")


def commit_version(path, dataset) -> dict:
    """Bytes are those of rows and indexes, as the peers'; the bytes as sent, which no peer keeps, lie beside them."""
    name, data = _dataset(dataset), Path(_read_state()["data"]) / "data"
    base = du(data)
    layer = _push(path, name, None)
    changed = layer["rows_added"] + layer["rows_removed"] + layer.get("rows_changed", 0)
    return {"version": f"v{layer['version']}", "bytes_base": base, "bytes_added": du(data) - base, "changed": changed}


def diff(dataset, v1, v2):
    """The kit asks for the newest version and the one before."""
    import pyarrow as pa

    name = _dataset(dataset)
    newest = int(_ukimet("describe", name, "--hub", _hub())["dataset"]["version"]["number"])
    before, after = (newest + 1 + v if isinstance(v, int) and v < 0 else int(str(v).lstrip("v")) for v in (v1, v2))
    rows = _pull({"dataset": name, "version": after, "diff_from": before})
    ids = pa.chunked_array([chunk.field("parcel_id") for chunk in rows["key"].chunks])
    return pa.table({"parcel_id": ids, "change": rows["operation"]})


def _push_zones(zones_parquet) -> str:
    """The zones as a dataset, which they are for the other systems beforehand: one query names both."""
    name = _fresh("zones")
    _push(zones_parquet, name, None)
    return name


def count_in_zones(points_dataset, zones_parquet) -> dict:
    """The push of the zones is in the time, as their reading is in that of the peers."""
    from adbc_driver_flightsql import dbapi

    points, zones = _dataset(points_dataset), _push_zones(zones_parquet)
    query = f"""SELECT zones.zone_id, count(*) AS points FROM "{zones}" zones
        JOIN "{points}" points ON ST_Intersects(zones.geometry, points.geometry) GROUP BY zones.zone_id"""
    with dbapi.connect(_grpc(), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        counts = cursor.fetch_arrow_table()
    return dict(zip(counts["zone_id"].to_pylist(), counts["points"].to_pylist()))


def _get_stream(dataset):
    """A whole version as an Arrow stream over plain HTTP."""
    import urllib.request

    import pyarrow as pa

    with urllib.request.urlopen(f"{_hub()}/datasets/{_dataset(dataset)}/versions/newest/data.arrow?text=dictionary") as answer:
        return pa.ipc.open_stream(answer).read_all()


def _hot(way: str, pull):
    """As the kit warms what it measures as a limit: asked for twice before, so the hub has kept what it sent.

    These cases are the first that the kit knows, so the parcels may not be there yet.
    """

    @case("W2", f"product-{way}", servers=["product"], tag="product")
    def _():
        if "cad" not in _read_state()["datasets"]:
            ingest(f_cad("gpkg"), "cad", source_crs=SRC_EPSG)
        for _ in range(2):
            pull("cad")
        with Timer() as timer:
            table = pull("cad")
        return measure(timer, table.num_rows, table.nbytes, note="asked for twice before", version=version())


if available():
    _hot("hot", export_all)
    _hot("http", _get_stream)
