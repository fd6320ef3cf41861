"""Two hubs on one real S3 store, killed and cut off at random; nothing acknowledged may be lost, nothing be there twice.

    python tests/store/nodes.py --kills 20

Starts Ceph (`ceph.py`), tries the contract of the store against it, and starts two hubs on one bucket. Pushers push to
datasets of their own and, all of them, to one dataset that they share; each goes to either hub and repeats a push with
the same id, at the other hub if need be, until it hears an outcome. Meanwhile one hub or the other is ended with SIGKILL
and started again, over its old directory or an empty one, and the store's gateway is killed and started again. At the
end both hubs must show the same: versions without gaps, every acknowledged push as the version that was told, none
twice; a person who is erased through one hub (`erasing.py`) must be nowhere in the bucket nor in a directory; and
`ukimet verify` must be clean, of the bucket, of a backup of it in another, and of what that restores to.

Exits with 0 if all of that held. The seed is printed; a run with the same seed draws the same moments.
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "kill")]

import grpc  # noqa: E402
from deltalake import DeltaTable  # noqa: E402
from deltalake.exceptions import DeltaError  # noqa: E402
from pyarrow import flight  # noqa: E402

from ceph import CephStore, missing_programs  # noqa: E402
from erasing import erase  # noqa: E402
from grpc_push import Pusher, compile_protos  # noqa: E402
from hub_process import REPO, HubProcess, run_ukimet, tail  # noqa: E402
from kill import Ledger, rows_of, rows_read, versions  # noqa: E402

STORE = "s3://catalog/truth"
SHARED = "kill/shared"
MOMENT_SECONDS_MAX = 4.0
CUT_SECONDS = 5.0
BEHIND_SECONDS_MAX = 30
REPEATED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)


@dataclass
class AnyNodeLedger(Ledger):
    """What one pusher has heard, from whichever hub."""

    repeated: int = 0

    def push_until(self, ended: threading.Event, protos, addresses: list[str]) -> None:
        """Pushes version after version, at the other hub whenever one does not answer."""
        at = self.number
        while not ended.is_set():
            client = Pusher(protos, addresses[at % len(addresses)], chunk_bytes=1024)
            try:
                while not ended.is_set():
                    self.push_next(client)
            except grpc.RpcError as error:
                self.repeated += 1
                at += 1
                if error.code() not in REPEATED:
                    self.unexpected.append(f"{self.dataset} push {self.push}: {error.code()} {error.details()}")
                    return
                time.sleep(0.1)
            finally:
                client.close()


class Nodes:
    """Two hubs that keep their ports, whatever becomes of them."""

    def __init__(self, folder: Path, store: CephStore):
        self.folder, self.store, self.starts = folder, store, 0
        self.log = folder / "hubs.log"
        self.ready_s_max = 0.0
        self.hubs = [self._start(folder / f"node-{n}", "127.0.0.1:0") for n in range(2)]
        self.addresses = [hub.address for hub in self.hubs]

    def _start(self, data: Path, listen: str) -> HubProcess:
        begin = time.monotonic()
        options = [
            "--disk-reserve", "64MiB", "--store", STORE, "--store-endpoint", self.store.endpoint, "--store-allow-http",
            "--store-poll", "1s", "--store-request-max", "10s",
        ]  # fmt: skip
        hub = HubProcess(data, self.log, listen=listen, options=options)
        self.ready_s_max = max(self.ready_s_max, time.monotonic() - begin)
        return hub

    def kill(self, number: int, keeps_directory: bool) -> None:
        data = self.hubs[number].data
        self.hubs[number].kill()
        self.starts += 1
        data = data if keeps_directory else self.folder / f"node-{number}-{self.starts}"
        self.hubs[number] = self._start(data, self.addresses[number])

    def end(self) -> None:
        """Ends what still runs."""
        for hub in self.hubs:
            if hub.process.poll() is None:
                hub.kill()

    def stop(self) -> list[str]:
        return [f"hub {n} did not end well when asked to" for n, hub in enumerate(self.hubs) if hub.stop() != 0]


def caught_up(protos, address: str, newest: dict[str, int]) -> list[str]:
    """Waits until a hub shows the versions that others have acknowledged."""
    client = Pusher(protos, address)
    until = time.monotonic() + BEHIND_SECONDS_MAX
    behind = dict(newest)
    while behind and time.monotonic() < until:
        behind = {name: version for name, version in behind.items() if version not in versions(client, protos, name)}
        time.sleep(0.1)
    client.close()
    return [f"{address} does not show {name} v{version}" for name, version in behind.items()]


def check(protos, address: str, ledgers: list[Ledger]) -> list[str]:
    """What is wrong with what one hub shows."""
    wrong = []
    client, reader = Pusher(protos, address), flight.connect(f"grpc://{address}")
    for dataset in sorted({ledger.dataset for ledger in ledgers}):
        found = versions(client, protos, dataset)
        own = [ledger for ledger in ledgers if ledger.dataset == dataset]
        if sorted(found) != list(range(1, len(found) + 1)):
            wrong.append(f"{dataset}: versions are not dense: {sorted(found)}")
        if len(set(found.values())) != len(found):
            wrong.append(f"{dataset}: a push is there twice: {found}")
        for ledger in own:
            for push, version in ledger.acknowledged.items():
                if found.get(version) != rows_of(ledger.number, push):
                    wrong.append(f"{dataset} v{version}: acknowledged as push {push} of {ledger.number}, found {found.get(version)} rows")
        under_way = {rows_of(ledger.number, ledger.push) for ledger in own}
        heard = {version for ledger in own for version in ledger.acknowledged.values()}
        extra = {found[version] for version in set(found) - heard}
        if not extra <= under_way:
            wrong.append(f"{dataset}: versions with {sorted(extra - under_way)} rows are of no push")
        for version in found:
            if rows_read(reader, dataset, version) != found[version]:
                wrong.append(f"{dataset} v{version}: reading does not give {found[version]} rows")
    client.close()
    reader.close()
    return wrong


def delta_behind(protos, address: str, store: CephStore, datasets: set[str]) -> list[str]:
    """Waits until the Delta logs in the bucket, which either hub writes, have every version. A foreign reader says so."""
    options = store.environment() | {"AWS_ENDPOINT_URL": store.endpoint, "AWS_ALLOW_HTTP": "true"}
    client, until = Pusher(protos, address), time.monotonic() + BEHIND_SECONDS_MAX
    expected = sorted(len(versions(client, protos, dataset)) for dataset in datasets)
    client.close()
    while True:
        folders = {key.split("/")[2] for key in store.keys("catalog") if key.startswith("truth/data/")}
        try:
            found = sorted(DeltaTable(f"{STORE}/data/{name}", storage_options=options).version() for name in folders)
        except DeltaError as error:
            found = [str(error)]
        if found == expected:
            return []
        if time.monotonic() > until:
            return [f"the Delta logs have versions {found}, expected {expected}"]
        time.sleep(1)


def command(store: CephStore, *arguments) -> list[str]:
    done = run_ukimet(*arguments, "--store-endpoint", store.endpoint, "--store-allow-http")
    return [] if done.returncode == 0 else [f"{arguments[0]} ended with {done.returncode}: {done.stdout}{done.stderr}"]


def contract(store: CephStore) -> list[str]:
    """The catalog's own test of what it relies on, against this store."""
    environment = {**os.environ, "UKIMET_TEST_STORE": "s3://catalog/contract", "UKIMET_TEST_STORE_ENDPOINT": store.endpoint}
    name = "bucket::tests::a_real_bucket_keeps_the_contract_and_is_fit"
    test = ["cargo", "test", "--locked", "-p", "ukimet-catalog", "--lib", name, "--", "--ignored", "--exact"]
    done = subprocess.run(test, cwd=REPO, env=environment, capture_output=True, text=True)
    passed = done.returncode == 0 and "1 passed" in done.stdout
    return [] if passed else [f"the contract is not kept: {done.stdout[-3000:]}{done.stderr[-2000:]}"]


def disturb(draw: random.Random, kills: int, nodes: Nodes, store: CephStore, protos, ledgers: list[Ledger]) -> int:
    """Lets every pusher push while hubs are killed and the store is cut off; how often it was."""
    ended, cuts = threading.Event(), 0
    threads = [threading.Thread(target=ledger.push_until, args=(ended, protos, nodes.addresses)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    try:
        for kill in range(kills):
            time.sleep(draw.uniform(0, MOMENT_SECONDS_MAX))
            nodes.kill(draw.randrange(2), keeps_directory=draw.random() < 0.8)
            if kill % 5 == 4:
                time.sleep(draw.uniform(0, 1))
                store.stop_gateway()
                time.sleep(CUT_SECONDS)
                store.start_gateway()
                cuts += 1
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    return cuts


def look(nodes: Nodes, store: CephStore, protos, ledgers: list[Ledger]) -> list[str]:
    """What is wrong with what both hubs and the Delta logs show."""
    wrong, newest = [], {}
    for ledger in ledgers:
        newest[ledger.dataset] = max([newest.get(ledger.dataset, 0), *ledger.acknowledged.values()])
        wrong += ledger.unexpected
    for address in nodes.addresses:
        wrong += caught_up(protos, address, {name: version for name, version in newest.items() if version})
        wrong += check(protos, address, ledgers)
    return wrong + delta_behind(protos, nodes.addresses[0], store, set(newest))


def run(options: argparse.Namespace, folder: Path, store: CephStore) -> int:
    store.make_bucket("catalog")
    store.make_bucket("copies")
    wrong = [] if options.no_contract else contract(store)
    (folder / "stubs").mkdir()
    protos = compile_protos(folder / "stubs")
    begin = time.monotonic()
    nodes = Nodes(folder, store)
    ledgers = [AnyNodeLedger(n, f"kill/pusher-{n}") for n in range(options.pushers)]
    ledgers += [AnyNodeLedger(n, SHARED) for n in range(options.pushers)]
    try:
        cuts = disturb(random.Random(options.seed), options.kills, nodes, store, protos, ledgers)
        wrong += look(nodes, store, protos, ledgers)
        wrong += erase(folder, store, "catalog", nodes.addresses, [hub.data for hub in nodes.hubs])
        wrong += nodes.stop()
    finally:
        nodes.end()
    pushed_s = time.monotonic() - begin
    wrong += command(store, "verify", STORE, "--deep")
    wrong += command(store, "backup", "--data", STORE, "--to", "s3://copies/backup")
    wrong += command(store, "verify", "s3://copies/backup")
    wrong += command(store, "restore", "--from", "s3://copies/backup", "--data", str(folder / "restored"))
    if store.SECRET_KEY in nodes.log.read_text(errors="replace"):
        wrong.append("the secret key is in the log")
    acknowledged = sum(len(ledger.acknowledged) for ledger in ledgers)
    if acknowledged == 0:
        wrong.append("no push was acknowledged, so nothing was tested")
    if wrong:
        print(*wrong[:20], f"log: {tail(nodes.log, 6000)}", sep="\n  ")
    print(
        f"{'FAILED' if wrong else 'ok'}: two hubs, {options.kills} kills, {cuts} cuts of the store, "
        f"{acknowledged} pushes acknowledged, {sum(len(l.acknowledged) for l in ledgers if l.dataset == SHARED)} of them to one dataset, "
        f"{sum(ledger.repeated for ledger in ledgers)} repeated, {sum(ledger.replays for ledger in ledgers)} of these had been committed, "
        f"slowest start {nodes.ready_s_max:.1f} s, {pushed_s:.0f} s in all, seed {options.seed}"
    )
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pushers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--no-contract", action="store_true", help="leave the catalog's own test out")
    options = parser.parse_args()
    if missing := missing_programs():
        print(f"missing: {', '.join(missing)}; apt-get install --no-install-recommends ceph-common ceph-mgr ceph-mon ceph-osd radosgw")
        return 2
    print(f"seed {options.seed}", flush=True)
    # Being told to end is an error like any other: what was started is ended first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="ukimet-store-") as folder:
        store = CephStore(Path(folder) / "ceph")
        os.environ |= store.environment()
        try:
            return run(options, Path(folder), store)
        finally:
            store.stop()


if __name__ == "__main__":
    sys.exit(main())
