"""Kills the hub at random moments during pushes; after each restart nothing acknowledged is missing or half there.

    python tests/kill/kill.py --kills 100

Several pushers push at the same time, each the next version of its own dataset, and push again with the same id until
they hear an outcome. The hub is ended with SIGKILL at a random moment and started again over the same data. Then for
every dataset: versions are dense, every acknowledged one has the rows it was acknowledged with, a version nobody heard
of is the push that was under way, and reading the rows gives as many as the catalog says. `ukimet verify` must be clean
before each restart, when nothing has been repaired yet, and at the end. No adapter process outlives its hub.

Exits with 0 if all of that held. The seed is printed; a run with the same seed draws the same moments.
"""
import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import grpc  # noqa: E402
from pyarrow import flight  # noqa: E402

from grpc_push import Pusher, compile_protos  # noqa: E402
from hub_process import HubProcess, run_ukimet, tail  # noqa: E402

PUSH_SECONDS_MAX = 90
MOMENT_SECONDS_MAX = 1.5
ORPHAN_SECONDS_MAX = 5


def rows_of(number: int, push: int) -> int:
    """Every push has a row count of its own, so that a version cannot pass for another."""
    return 40 + 10 * push + number


def content(number: int, push: int) -> bytes:
    features = [
        {
            "type": "Feature",
            "properties": {"id": i, "push": push},
            "geometry": {"type": "Point", "coordinates": [60 + number + i / 1000, 45 + i / 1000]},
        }
        for i in range(rows_of(number, push))
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


@dataclass
class Ledger:
    """What one pusher has heard from the hub."""

    number: int
    dataset: str
    #: push -> version it was acknowledged as
    acknowledged: dict[int, int] = field(default_factory=dict)
    #: the push that is under way, to be repeated with the same id until it is acknowledged
    push: int = 1
    replays: int = 0
    unexpected: list[str] = field(default_factory=list)

    def push_until(self, ended: threading.Event, protos, address: str) -> None:
        """Pushes version after version until the hub is gone."""
        client = Pusher(protos, address, chunk_bytes=1024)
        try:
            while not ended.is_set():
                self.push_next(client)
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN):
                self.unexpected.append(f"{self.dataset} push {self.push}: {error.code()} {error.details()}")
        finally:
            client.close()

    def push_next(self, client: Pusher) -> None:
        push_id = f"{self.dataset.replace('/', '-')}-{self.number}-{self.push}"
        outcome, _ = client.push(self.dataset, push_id, "rows.geojson", content(self.number, self.push), PUSH_SECONDS_MAX)
        if outcome is None:
            return
        [layer] = outcome.layers
        self.acknowledged[self.push] = layer.version
        self.replays += outcome.replayed
        self.push += 1


def check(hub: HubProcess, protos, ledgers: list[Ledger], read_all: bool) -> tuple[list[str], int]:
    """What is wrong in the catalog, and how many versions nobody has heard of."""
    wrong, unheard = [], 0
    client = Pusher(protos, hub.address)
    reader = flight.connect(hub.flight_url)
    for ledger in ledgers:
        wrong += ledger.unexpected
        found = versions(client, protos, ledger.dataset)
        if sorted(found) != list(range(1, len(found) + 1)):
            wrong.append(f"{ledger.dataset}: versions are not dense: {sorted(found)}")
        for push, version in ledger.acknowledged.items():
            expected = rows_of(ledger.number, push)
            if found.get(version) != expected:
                wrong.append(f"{ledger.dataset} v{version}: acknowledged with {expected} rows, found {found.get(version)}")
        extra = set(found) - set(ledger.acknowledged.values())
        unheard += len(extra)
        if extra and [found[v] for v in extra] != [rows_of(ledger.number, ledger.push)]:
            wrong.append(f"{ledger.dataset}: versions {sorted(extra)} are not the push that was under way")
        for version in sorted(found)[None if read_all else -2 :]:
            rows = rows_read(reader, ledger.dataset, version)
            if rows != found[version]:
                wrong.append(f"{ledger.dataset} v{version}: the catalog says {found[version]} rows, reading gives {rows}")
    client.close()
    reader.close()
    return wrong, unheard


def versions(client: Pusher, protos, dataset: str) -> dict[int, int]:
    """Rows by version, every page."""
    found, before = {}, None
    while True:
        request = protos.catalog.ListVersionsRequest(dataset=dataset, limit=1000)
        if before is not None:
            request.before = before
        try:
            page = client.catalog.ListVersions(request, timeout=30).versions
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return {}
            raise
        found |= {version.number: version.rows for version in page}
        if len(page) < 1000:
            return found
        before = page[-1].number


def rows_read(reader, dataset: str, version: int) -> int:
    descriptor = flight.FlightDescriptor.for_path(f"{dataset}@v{version}")
    endpoints = reader.get_flight_info(descriptor).endpoints
    return sum(reader.do_get(endpoint.ticket).read_all().num_rows for endpoint in endpoints)


def kill_once(hub: HubProcess, protos, ledgers: list[Ledger], moment_s: float) -> None:
    """Lets every pusher push, and kills the hub meanwhile."""
    ended = threading.Event()
    threads = [threading.Thread(target=ledger.push_until, args=(ended, protos, hub.address)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    time.sleep(moment_s)
    hub.kill()
    ended.set()
    for thread in threads:
        thread.join()


def orphans(data: Path) -> list[str]:
    """Processes that outlive their hub: adapters must end with it. They are told by the scratch folder they were given."""
    end = time.monotonic() + ORPHAN_SECONDS_MAX
    while True:
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0") if entry.name.isdigit() else []
            except OSError:  # it has just ended
                continue
            if any(argument.startswith(f"{data}/") for argument in command):
                found[int(entry.name)] = " ".join(command)
        if not found or time.monotonic() > end:
            break
        time.sleep(0.05)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return [f"process {pid} outlived its hub: {command[:200]}" for pid, command in found.items()]


def verify(data: Path) -> list[str]:
    done = run_ukimet("verify", "--data", data)
    return [] if done.returncode == 0 else [f"verify ended with {done.returncode}: {done.stdout}{done.stderr}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--pushers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ukimet-kill-") as folder:
        return run(options, Path(folder))


def run(options: argparse.Namespace, folder: Path) -> int:
    moments = random.Random(options.seed)
    (folder / "stubs").mkdir()
    protos = compile_protos(folder / "stubs")
    ledgers = [Ledger(number, f"kill/pusher-{number}") for number in range(options.pushers)]
    data, log = folder / "data", folder / "hub.log"
    begin, ready_s_max, unheard_sum, wrong = time.monotonic(), 0.0, 0, []
    for kill in range(options.kills + 1):
        start = time.monotonic()
        hub = HubProcess(data, log)
        ready_s_max = max(ready_s_max, time.monotonic() - start)
        last = kill == options.kills
        try:
            found, unheard = check(hub, protos, ledgers, read_all=last)
            wrong, unheard_sum = found, unheard_sum + unheard
            if last or wrong:
                if hub.stop() != 0:
                    wrong.append("the hub did not end well when asked to")
            else:
                kill_once(hub, protos, ledgers, moments.uniform(0, MOMENT_SECONDS_MAX))
        finally:
            if hub.process.poll() is None:
                hub.kill()
        wrong += orphans(data) + verify(data)
        if wrong:
            print(f"after kill {kill}:", *wrong[:20], f"log: {tail(log)}", sep="\n  ")
            break
    acknowledged = sum(len(ledger.acknowledged) for ledger in ledgers)
    if acknowledged == 0:
        wrong.append("no push was acknowledged, so nothing was tested")
    print(
        f"{'FAILED' if wrong else 'ok'}: {kill} kills, {acknowledged} pushes acknowledged, "
        f"{sum(ledger.replays for ledger in ledgers)} of them heard again after a kill, "
        f"{unheard_sum} versions committed but not yet heard of, "
        f"slowest start {ready_s_max:.1f} s, {time.monotonic() - begin:.0f} s in all, seed {options.seed}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
