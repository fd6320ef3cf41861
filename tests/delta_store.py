"""A hub whose one dataset has four versions, for tests of programs that read its Delta log without the hub.

Version 1 has 300 points, version 2 is a full dump with ten changed names, version 3 changes one row, deletes two and adds
five that lie far away, version 4 has a column more.
"""
import json
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import flight

from hub_process import HubProcess, push_file

DATASET = "delta/points"
VERSIONS = (1, 2, 3, 4)
# Its borders lie between the points, which stand every tenth of a degree.
WINDOW = WEST, SOUTH, EAST, NORTH = (70.05, 43.05, 71.05, 44.05)
IN_WINDOW = f"bbox.xmax >= {WEST} AND bbox.xmin <= {EAST} AND bbox.ymax >= {SOUTH} AND bbox.ymin <= {NORTH}"


def csv_of(rows, *columns) -> str:
    return "\n".join([",".join(("id", "name", *columns, "lon", "lat")), *(",".join(map(str, row)) for row in rows)]) + "\n"


def points(count: int, changed=(), *extra):
    for i in range(count):
        name = f"{'changed' if i in changed else 'point'} {i}"
        yield (f"{i:04}", name, *extra, f"{70 + i % 20 / 10:.1f}", f"{43 + i // 20 / 10:.1f}")


def push_versions(hub: HubProcess, folder: Path) -> None:
    file = folder / "points.csv"
    upsert = [("0007", "moved", "", "70.7", "43.0"), ("0008", "", "1", "", ""), ("0009", "", "1", "", "")]
    upsert += [(f"1{i:03}", "far", "", f"{80 + i / 10:.1f}", "50.0") for i in range(5)]
    pushes = [
        (csv_of(points(300)), ["--key", "id"]),
        (csv_of(points(300, range(50, 60))), []),
        (csv_of(upsert, "gone"), ["--mode", "upsert", "--delete-column", "gone"]),
        (csv_of(points(300, (), "new"), "note"), []),
    ]
    for number, (text, options) in enumerate(pushes, 1):
        file.write_text(text)
        outcome = push_file(hub.url, file, DATASET, *options)
        assert outcome["status"] == "published" and outcome["layers"][0]["version"] == number, outcome


class DeltaStore:
    """A running hub and the folder of its dataset."""

    def __init__(self, hub: HubProcess):
        self.hub = hub
        [self.table] = (Path(hub.data) / "data").iterdir()

    @property
    def log(self) -> Path:
        return self.table / "_delta_log"

    def wait_for(self, version: int, seconds_max: float = 30) -> None:
        """Until the log has the version."""
        begin = time.monotonic()
        while not (self.log / f"{version:020}.json").exists():
            assert time.monotonic() - begin < seconds_max, f"version {version} does not come to the Delta log"
            time.sleep(0.02)

    def wait_for_files(self, *names: str, seconds_max: float = 30) -> None:
        """Until the log has these files and no others; their numbers are written short."""
        expected = sorted(f"{int(number):020}.{ending}" for number, ending in (name.split(".", 1) for name in names))
        begin = time.monotonic()
        while (found := sorted(path.name for path in self.log.iterdir())) != expected:
            assert time.monotonic() - begin < seconds_max, f"the Delta log has {found}"
            time.sleep(0.02)

    def pull(self, version: int, bbox=None) -> pa.Table:
        """The rows of a version as the hub exports them."""
        request = {"dataset": DATASET, "version": version, **({"bbox": list(bbox)} if bbox else {})}
        with flight.connect(self.hub.flight_url) as client:
            descriptor = flight.FlightDescriptor.for_command(json.dumps(request).encode())
            endpoints = client.get_flight_info(descriptor).endpoints
            return pa.concat_tables([client.do_get(endpoint.ticket).read_all() for endpoint in endpoints])

    def names(self, version: int, bbox=None) -> list[tuple]:
        """Ids and names of the rows that the hub exports, sorted."""
        return pairs(self.pull(version, bbox).select(["id", "name"]))


def pairs(table: pa.Table) -> list[tuple]:
    return sorted(tuple(row.values()) for row in table.to_pylist())


@contextmanager
def delta_store(folder: Path, *options: str):
    """A hub with the versions, ended afterwards."""
    hub = HubProcess(folder / "data", folder / "hub.log", options=["--disk-reserve", "64MiB", *options])
    try:
        push_versions(hub, folder)
        store = DeltaStore(hub)
        store.wait_for(VERSIONS[-1])
        yield store
    finally:
        assert hub.stop() == 0
