"""Rows erased from a bucket through one hub: nothing of them may be left in the bucket or in the directories of the hubs."""
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import flight, fs

from ceph import CephStore
from hub_process import push_file, run_ukimet

DATASET = "kill/people"
#: Random enough to be found wherever it is.
MARKER = "q7XvW2-ztR9"
ERASE_SECONDS_MAX = 600


def people(folder: Path, rows: int) -> Path:
    """A file of people, the person to be erased among them."""
    names = [f"name {i}" for i in range(rows)] + [MARKER]
    feature = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [76.5, 43.9]}}
    features = [feature | {"properties": {"id": i, "name": name}} for i, name in enumerate(names)]
    file = folder / "people.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return file


def holds(data: bytes, name: str) -> bool:
    """Whether bytes, or what they unpack to, hold the person."""
    marker = MARKER.encode()
    if marker in data:
        return True
    if name.endswith(".parquet"):
        return MARKER in str(pq.read_table(pa.BufferReader(data)).drop_columns(["geometry"]).to_pylist())
    if "raw/" in name or "raw+" in name or name.endswith(".zst"):
        return marker in pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    return False


def held(store: CephStore, bucket: str, directories: list[Path]) -> list[str]:
    """The objects of the bucket and the files of the hubs that hold the person."""
    address = store.endpoint.removeprefix("http://")
    client = fs.S3FileSystem(
        access_key=store.ACCESS_KEY, secret_key=store.SECRET_KEY, endpoint_override=address, scheme="http", region="us-east-1"
    )
    objects = {key: client.open_input_stream(f"{bucket}/{key}").read() for key in store.keys(bucket)}
    files = {str(path): path.read_bytes() for directory in directories for path in directory.rglob("*") if path.is_file()}
    return [name for name, data in (objects | files).items() if holds(data, name)]


def rows_read(address: str, version: int) -> int:
    reader = flight.connect(f"grpc://{address}")
    info = reader.get_flight_info(flight.FlightDescriptor.for_path(DATASET, f"v{version}"))
    rows = sum(reader.do_get(endpoint.ticket).read_all().num_rows for endpoint in info.endpoints)
    reader.close()
    return rows


def erase(folder: Path, store: CephStore, bucket: str, addresses: list[str], directories: list[Path]) -> list[str]:
    """Publishes people through one hub, reads them through all, erases one of them; what is wrong after it."""
    for number in (1, 2):
        push_file(f"http://{addresses[0]}", people(folder, 10 * number), DATASET, "--push-id", f"people-{number}")
    wrong = []
    for address in reversed(addresses):
        # A push through another hub follows the log first.
        push_file(f"http://{address}", people(folder, 20), DATASET, "--push-id", "people-2")
        wrong += [f"{address} does not show all people"] if rows_read(address, 1) != 11 else []
    wrong += [] if len(held(store, bucket, directories)) > 3 else ["the search does not find what is there"]
    done = run_ukimet(
        "erase", DATASET, "--key", f"name={MARKER}", "--why", "a test", "--json", "--hub", f"http://{addresses[0]}",
        timeout=ERASE_SECONDS_MAX,
    )  # fmt: skip
    if done.returncode != 0:
        return [*wrong, f"erase ended with {done.returncode}: {done.stdout}{done.stderr}"]
    left = json.loads(done.stdout)["left"]
    # Hubs that were started anew with an empty directory are waited for until somebody says that they are gone.
    present = {(directory / "node").read_text() for directory in directories}
    if left["objects"] or left["keeps_deleted"] or present & set(left["nodes"]) or left["finished"] != (not left["nodes"]):
        wrong.append(f"the erasure left {left}")
    for address in addresses:
        wrong += [f"{address} shows the erased person"] if rows_read(address, 1) != 10 else []
    return wrong + [f"{name} holds the erased person" for name in held(store, bucket, directories)]
