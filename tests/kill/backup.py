"""Kills backups and restores at random moments beside a hub that takes pushes; nothing acknowledged is missing after.

    python tests/kill/backup.py --kills 30

Several pushers push to a hub without a pause. Meanwhile `ukimet backup` is started again and again and ended with
SIGKILL at a random moment. After each kill the backup either verifies as it is or is told to be unfinished; run again
to its end it verifies, and holds every version that was acknowledged before that run began. Then `ukimet restore` is
killed in the same way and run again, the last time to its end: a hub over the restored catalog has every acknowledged
version with its rows, and reading the rows gives as many as the catalog says.

Exits with 0 if all of that held. The seed is printed; a run with the same seed draws the same moments.
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pyarrow import flight  # noqa: E402

from grpc_push import Pusher, compile_protos  # noqa: E402
from hub_process import HubProcess, run_ukimet, ukimet_bin  # noqa: E402
from kill import Ledger, rows_of, rows_read, versions  # noqa: E402

UNFINISHED = "unfinished copy"


def run_and_kill(arguments: list, moment_s: float) -> bool:
    """Starts a command and kills it by its pid after a moment. Whether it had come to its end before."""
    process = subprocess.Popen(
        [str(ukimet_bin()), *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        _, text = process.communicate(timeout=moment_s)
        if process.returncode != 0:
            raise AssertionError(f"{arguments[0]} ended with {process.returncode}: {text.decode()}")
        return True
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False


def run_json(*arguments) -> dict:
    """What a command that must end well prints, and how many seconds it took as `took_s`."""
    begin = time.monotonic()
    done = run_ukimet(*arguments, "--json")
    if done.returncode != 0:
        raise AssertionError(f"{arguments[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout) | {"took_s": time.monotonic() - begin}


def check_honest(folder: Path) -> None:
    """What a kill left is nothing, a whole store, or says that it is unfinished."""
    done = run_ukimet("verify", folder)
    is_nothing = "there is no" in done.stderr
    assert done.returncode == 0 or is_nothing or UNFINISHED in done.stdout, f"{done.stdout}{done.stderr}"


def check_restored(data: Path, protos, log: Path, acknowledged: list[tuple[Ledger, dict]]) -> None:
    """A hub over the copy has every version that had been acknowledged, with its rows."""
    hub = HubProcess(data, log)
    try:
        client, reader = Pusher(protos, hub.address), flight.connect(hub.flight_url)
        for ledger, pushes in acknowledged:
            found = versions(client, protos, ledger.dataset)
            for push, version in pushes.items():
                assert found.get(version) == rows_of(ledger.number, push), f"{ledger.dataset} v{version}: {found.get(version)}"
            for version, rows in found.items():
                assert rows_read(reader, ledger.dataset, version) == rows, f"{ledger.dataset} v{version}"
        client.close()
        reader.close()
    finally:
        assert hub.stop() == 0, "the hub did not end well when asked to"


def run(options: argparse.Namespace, folder: Path) -> str:
    moments = random.Random(options.seed)
    (folder / "stubs").mkdir()
    protos = compile_protos(folder / "stubs")
    data, to, log = folder / "data", folder / "backup", folder / "hub.log"
    ledgers = [Ledger(number, f"kill/pusher-{number}") for number in range(options.pushers)]
    hub, ended = HubProcess(data, log), threading.Event()
    threads = [threading.Thread(target=ledger.push_until, args=(ended, protos, hub.address)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    cut, snapshots, acknowledged, took_s = 0, [], [], 0.1
    try:
        while not all(ledger.acknowledged or ledger.unexpected for ledger in ledgers):
            time.sleep(0.01)
        for _ in range(options.kills):
            cut += not run_and_kill(["backup", "--data", data, "--to", to], moments.uniform(0, took_s))
            check_honest(to)
            acknowledged = [(ledger, dict(ledger.acknowledged)) for ledger in ledgers]
            done = run_json("backup", "--data", data, "--to", to)
            snapshots.append(done["snapshot"])
            took_s = done["took_s"]
            assert run_json("verify", to)["clean"]
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        hub.kill()
    assert not any(ledger.unexpected for ledger in ledgers), [ledger.unexpected for ledger in ledgers]
    assert snapshots == sorted(snapshots) and sum(len(pushes) for _, pushes in acknowledged), "no push was acknowledged"
    restored, cut_restores, is_through = folder / "restored", 0, True
    took_s = run_json("restore", "--from", to, "--data", restored)["took_s"]
    for number in range(options.kills):
        if is_through:
            restored = folder / f"restored-{number}"
        is_through = run_and_kill(["restore", "--from", to, "--data", restored], moments.uniform(0, took_s))
        cut_restores += not is_through
        check_honest(restored)
    if not is_through:
        run_json("restore", "--from", to, "--data", restored)
    check_restored(restored, protos, log, acknowledged)
    if cut + cut_restores == 0:
        raise AssertionError("nothing was killed before its end, so nothing was tested")
    pushes = sum(len(pushes) for _, pushes in acknowledged)
    return f"{cut} backups and {cut_restores} restores killed, {pushes} acknowledged pushes in the copy of snapshot {snapshots[-1]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--pushers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ukimet-kill-backup-") as folder:
        try:
            told, code = f"ok: {run(options, Path(folder))}", 0
        except AssertionError as wrong:
            told, code = f"FAILED: {wrong}", 1
    print(f"{told}, {time.monotonic() - begin:.0f} s in all, seed {options.seed}")
    return code


if __name__ == "__main__":
    sys.exit(main())
