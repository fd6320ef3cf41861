"""Starts a hub and an adapter from the built programs and asks both every requirement of the conformance classes.

Arguments go on to `ukimet-conformance hub`, e.g. `--class resume` or `--seed 7`. Exits with 0 if everything holds.
"""
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hub_process import REPO, HubProcess, tail, ukimet_bin

SAMPLES = REPO / "adapters" / "gdal" / "samples"
START_SECONDS_MAX = 20
# Every defect twice; a finding in another seed becomes a test of its own.
CORPUS_SEED = 7
CORPUS_FILES_MIN = 90


def conformance(*arguments) -> int:
    return subprocess.run([str(ukimet_bin().with_name("ukimet-conformance")), *map(str, arguments)]).returncode


def ask_hub(folder: Path, arguments: list[str]) -> int:
    hub = HubProcess(folder / "data", folder / "hub.log")
    code = conformance("hub", hub.url, *arguments)
    lost = hub.process.poll() is not None
    if lost or hub.stop() != 0:
        print(f"the hub did not end well; its log: {tail(folder / 'hub.log')}")
        return 1
    if code:
        print(f"the hub's log: {tail(folder / 'hub.log')}")
    return code


def ask_adapter(folder: Path) -> int:
    socket = folder / "adapter.socket"
    (folder / "scratch").mkdir()
    corpus = folder / "corpus"
    if code := conformance("corpus", corpus, "--seed", CORPUS_SEED, "--count", CORPUS_FILES_MIN):
        return code
    command = [str(ukimet_bin().with_name("ukimet-adapter-gdal")), "--listen", f"unix:{socket}", "--scratch", str(folder / "scratch"), "--grant", str(SAMPLES)]
    with open(folder / "adapter.log", "ab") as log:
        adapter = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(socket, adapter, folder / "adapter.log")
            code = conformance("adapter", f"unix:{socket}", "--samples", SAMPLES, "--granted", "--corpus", corpus)
            if adapter.poll() is not None:
                print(f"the adapter ended by itself; its log: {tail(folder / 'adapter.log')}")
                return 1
            return code
        finally:
            adapter.terminate()
            adapter.wait()


def wait_for(socket: Path, adapter: subprocess.Popen, log: Path) -> None:
    begin = time.monotonic()
    while not socket.exists():
        if adapter.poll() is not None or time.monotonic() - begin > START_SECONDS_MAX:
            raise RuntimeError(f"the adapter does not listen; its log: {tail(log)}")
        time.sleep(0.02)


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="ukimet-conformance-") as folder:
        failed = ask_hub(Path(folder), arguments)
        # A run of one class of the hub is about the hub.
        if not arguments:
            failed = ask_adapter(Path(folder)) or failed
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
