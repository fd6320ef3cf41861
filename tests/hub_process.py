"""A hub as a process of its own: started on a free port, ended by its pid.

Shared by the tests of the clients and by the kill test. The program is `UKIMET_BIN`, by default the one that
`cargo build` leaves in `target/debug`.
"""
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
READY = re.compile(r"^ukimet is ready on (http://\S+) \(data (.*)\)$")
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 40


def ukimet_bin() -> Path:
    path = Path(os.environ.get("UKIMET_BIN", REPO / "target" / "debug" / "ukimet"))
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built: run `cargo build --workspace`, or set UKIMET_BIN")
    return path


class HubProcess:
    """A running `ukimet serve`."""

    def __init__(self, data: Path, log: Path, listen: str = "127.0.0.1:0", options: list[str] | None = None):
        self.data = Path(data)
        self._log = open(log, "ab")
        options = options or ["--disk-reserve", "64MiB"]
        command = [str(ukimet_bin()), "serve", "--data", str(data), "--listen", listen, *options]
        # A session of its own: an interrupt of the tests reaches the hub only through stop().
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self.url = self._read_ready_line(log)

    def _read_ready_line(self, log: Path) -> str:
        timer = threading.Timer(START_SECONDS_MAX, self.process.kill)
        timer.start()
        line = self.process.stdout.readline().decode()
        timer.cancel()
        found = READY.match(line.strip())
        if not found:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"expected the line that says ready, found {line!r}; its log: {tail(log)}")
        return found.group(1)

    @property
    def address(self) -> str:
        """Host and port, as gRPC takes them."""
        return self.url.removeprefix("http://")

    @property
    def flight_url(self) -> str:
        return "grpc://" + self.address

    def stop(self) -> int:
        """Asks the hub to end, and waits for it. Returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the hub did not end within {STOP_SECONDS_MAX} s of SIGTERM") from None
        finally:
            self._close()

    def kill(self) -> None:
        """Ends the hub without a word, as a crash does."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        self.process.stdout.close()
        self._log.close()


def tail(path: Path, characters: int = 2000) -> str:
    return Path(path).read_text(errors="replace")[-characters:]


def run_ukimet(*arguments, timeout: float = 300) -> subprocess.CompletedProcess:
    """Runs one command of the command line and waits for it."""
    command = [str(ukimet_bin()), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)


def push_file(url: str, file: Path, dataset: str, *options, timeout: float = 300) -> dict:
    """Pushes a file by the command line. Returns its JSON outcome, refused or not."""
    done = run_ukimet("push", file, "--dataset", dataset, "--hub", url, "--json", *options, timeout=timeout)
    try:
        outcome = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise AssertionError(f"push {file} gave no JSON: exit {done.returncode}, {done.stdout!r}, {done.stderr!r}") from None
    refused = outcome["status"] == "refused"
    assert (done.returncode != 0) == refused, f"exit code {done.returncode} for status {outcome['status']}"
    return outcome
