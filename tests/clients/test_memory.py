"""What a reader that stops reading costs the hub: so much, however large the dataset is. And what pushes leave behind in its memory."""
import json
import os
import random
import time
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import flight

from hub_process import HubProcess

SEED = 20261123
STREAMS = 4
# Of one stream, in private memory of the hub.
STREAM_BYTES_MAX = 128 << 20
# What two measurements of the same may differ by, a stream.
NOISE_BYTES = 64 << 20
TEXT_BYTES = 4000
# Pushes one after the other, and what the hub may hold more than before them soon after: footers, trees, words.
PUSHES = 6
GIVEN_BACK_SECONDS_MAX = 40
KEPT_BYTES_MAX = 64 << 20
# Sizes in bytes of text.
SMALL = int(os.environ.get("UKIMET_MEMORY_BYTES", 96 << 20))
LARGE = 3 * SMALL


def publish(hub: HubProcess, dataset: str, size_bytes: int) -> None:
    """Rows of one long text each, in which nothing repeats."""
    chance = random.Random(SEED)
    schema = pa.schema([("n", pa.int64()), ("text", pa.string())])
    command = json.dumps({"dataset": dataset, "key": ["n"]})
    with flight.connect(hub.flight_url) as client:
        writer, reader = client.do_put(flight.FlightDescriptor.for_command(command), schema)
        with writer:
            rows = size_bytes // TEXT_BYTES
            for start in range(0, rows, 1000):
                texts = [chance.randbytes(TEXT_BYTES // 2).hex() for _ in range(1000)]
                writer.write_batch(pa.record_batch([pa.array(range(start, start + 1000)), pa.array(texts)], schema=schema))
            writer.done_writing()
            assert json.loads(reader.read().to_pybytes())["status"] == "published"


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="private memory is told by Linux")
def test_a_hub_gives_back_what_pushes_took(tmp_path, capsys):
    hub = HubProcess(tmp_path / "data", tmp_path / "hub.log")
    try:
        before = settled_bytes(hub)
        for number in range(PUSHES):
            publish(hub, f"memory/push-{number}", SMALL)
        most = private_bytes(hub)
        end = time.monotonic() + GIVEN_BACK_SECONDS_MAX
        while private_bytes(hub) - before > KEPT_BYTES_MAX and time.monotonic() < end:
            time.sleep(0.5)
        held = private_bytes(hub)
        with capsys.disabled():
            sizes = [size >> 20 for size in (before, most, held)]
            print("\nthe hub holds {} MiB before {} pushes of {} MiB, {} right after, then {}".format(sizes[0], PUSHES, SMALL >> 20, *sizes[1:]))
        assert held - before <= KEPT_BYTES_MAX
    finally:
        assert hub.stop() == 0


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data directory with a small and a large dataset."""
    folder = tmp_path_factory.mktemp("memory")
    hub = HubProcess(folder / "data", folder / "hub.log")
    publish(hub, "memory/small", SMALL)
    publish(hub, "memory/large", LARGE)
    assert hub.stop() == 0
    return folder


def private_bytes(hub: HubProcess) -> int:
    """Memory that the hub has for itself and that is no file's."""
    for line in Path(f"/proc/{hub.process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) << 10
    raise AssertionError("the kernel tells no private memory")


def settled_bytes(hub: HubProcess) -> int:
    """The hub's private memory once it has not changed for a second."""
    seen = [private_bytes(hub)]
    while len(seen) < 10 or max(seen[-10:]) != min(seen[-10:]):
        assert len(seen) < 600, "the hub's memory never settles"
        time.sleep(0.1)
        seen.append(private_bytes(hub))
    return seen[-1]


def stream_bytes(folder: Path, command: dict) -> float:
    """What a stream costs whose reader took one message and then nothing, in a hub that read nothing before."""
    hub = HubProcess(folder / "data", folder / "hub.log")
    try:
        before = settled_bytes(hub)
        ticket = flight.Ticket(json.dumps(command).encode())
        clients = [flight.connect(hub.flight_url) for _ in range(STREAMS)]
        readers = [client.do_get(ticket) for client in clients]
        for reader in readers:
            assert reader.read_chunk().data.num_rows > 0
        grown = settled_bytes(hub) - before
        for reader, client in zip(readers, clients):
            reader.cancel()
            client.close()
        return grown / STREAMS
    finally:
        assert hub.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="private memory is told by Linux")
@pytest.mark.parametrize("asked", [{}, {"filter": "n >= 0", "message_bytes": 16 << 20}, {"order": [{"column": "n", "descending": True}]}], ids=str)
def test_a_reader_that_stops_costs_the_same_whatever_the_size(data, capsys, asked):
    small, large = (stream_bytes(data, {"dataset": f"memory/{size}", **asked}) for size in ("small", "large"))
    with capsys.disabled():
        print(f"\n{asked}: a stream costs {small / 2**20:.1f} MiB of {SMALL >> 20}, {large / 2**20:.1f} MiB of {LARGE >> 20}")
    assert max(small, large) <= STREAM_BYTES_MAX
    assert abs(large - small) <= NOISE_BYTES
