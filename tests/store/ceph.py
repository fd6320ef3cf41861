"""A real S3 store for tests: Ceph from Debian, its four daemons as plain processes on loopback ports, ended by pid.

    apt-get install --no-install-recommends ceph-common ceph-mgr ceph-mon ceph-osd radosgw

One monitor, one manager, one OSD on a sparse file, one gateway; nothing is replicated and nobody has to say who they
are between them. It is as small as Ceph gets, and its gateway is the one that large installations have.
"""
import datetime
import hashlib
import hmac
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

PROGRAMS = ["ceph", "ceph-mgr", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"]
START_SECONDS_MAX = 180
STOP_SECONDS_MAX = 20
BLOCK_BYTES = 6 << 30

CONF = """
[global]
fsid = {fsid}
auth cluster required = none
auth service required = none
auth client required = none
mon host = v1:127.0.0.1:{mon_port}
ms bind msgr2 = false
ms bind ipv4 = true
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {dir}/run
admin socket = {dir}/run/$name.$pid.asok
pid file = {dir}/run/$name.pid
log file = {dir}/log/$name.log
mon data = {dir}/mon
mgr data = {dir}/mgr
osd data = {dir}/osd
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block create = true
bluestore block size = {block_bytes}
osd class update on start = false
osd crush update on start = false
mon allow pool size one = true
mon warn on pool no redundancy = false
rgw enable usage log = false
rgw dns name = 127.0.0.1
osd memory target = 939524096
"""


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if not shutil.which(name)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class CephStore:
    """A running Ceph below a directory, with one user."""

    ACCESS_KEY = "ukimettestaccess"
    SECRET_KEY = "ukimet-test-secret-0123456789abcdef"

    def __init__(self, dir: Path):
        self.dir = Path(dir)
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.daemons: dict[str, subprocess.Popen] = {}
        for name in ["run", "log", "mon", "mgr", "osd"]:
            (self.dir / name).mkdir(parents=True)
        fsid, mon_port = str(uuid.uuid4()), free_port()
        self.conf = self.dir / "ceph.conf"
        self.conf.write_text(CONF.format(fsid=fsid, mon_port=mon_port, dir=self.dir, block_bytes=BLOCK_BYTES))
        try:
            self._make_monitor(fsid, mon_port)
            self._start("mon", "ceph-mon", "-f", "-i", "a", "--public-addr", f"v1:127.0.0.1:{mon_port}")
            self._start("mgr", "ceph-mgr", "-f", "-i", "a")
            self._make_osd()
            self._start("osd", "ceph-osd", "-f", "-i", "0")
            self.start_gateway()
            self._run(
                "radosgw-admin", "user", "create", "--uid=test", "--display-name=test",
                f"--access-key={self.ACCESS_KEY}", f"--secret-key={self.SECRET_KEY}",
            )
        except BaseException:
            self.stop()
            raise

    def environment(self) -> dict[str, str]:
        """What a client of the store finds in its environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": self.SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self, name: str) -> None:
        """Makes a bucket: the one request that a hub never sends."""
        now = datetime.datetime.now(datetime.UTC)
        moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        nothing = hashlib.sha256(b"").hexdigest()
        headers = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": nothing, "x-amz-date": moment}
        names = ";".join(headers)
        lines = "".join(f"{key}:{value}\n" for key, value in headers.items())
        request = "\n".join(["PUT", f"/{name}", "", lines, names, nothing])
        scope = f"{day}/us-east-1/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
        key = f"AWS4{self.SECRET_KEY}".encode()
        for part in [*scope.split("/"), text]:
            signature = hmac.new(key, part.encode(), hashlib.sha256)
            key = signature.digest()
        credential = f"Credential={self.ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature.hexdigest()}"
        headers["Authorization"] = f"AWS4-HMAC-SHA256 {credential}"
        put = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT", headers=headers)
        urllib.request.urlopen(put, timeout=60).close()

    def keys(self, bucket: str) -> list[str]:
        """What a bucket holds, as the store itself sees it."""
        listed = self._run("radosgw-admin", "bucket", "list", f"--bucket={bucket}", "--max-entries=1000000")
        return [entry["name"] for entry in json.loads(listed)]

    def stop_gateway(self) -> None:
        """Cuts every connection."""
        self._end(self.daemons.pop("rgw"), signal.SIGKILL)

    def stop(self) -> None:
        for name in ["rgw", "mgr", "osd", "mon"]:
            if daemon := self.daemons.pop(name, None):
                self._end(daemon, signal.SIGTERM)

    def _make_monitor(self, fsid: str, mon_port: int) -> None:
        monmap = self.dir / "monmap"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{mon_port}]", str(monmap))
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(monmap))

    def _make_osd(self) -> None:
        osd_id = str(uuid.uuid4())
        self._run("ceph", "osd", "new", osd_id, tries=30)
        self._run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd_id)
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "host=h", "root=default")

    def start_gateway(self) -> None:
        self._start("rgw", "radosgw", "-f", "-n", "client.rgw.a", "--rgw-frontends", f"beast endpoint=127.0.0.1:{self.port}")
        until = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                urllib.request.urlopen(self.endpoint, timeout=2).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError as error:
                if time.monotonic() > until or self.daemons["rgw"].poll() is not None:
                    raise RuntimeError(f"the gateway does not answer: {error}; see {self.dir / 'log'}") from None
                time.sleep(0.2)

    def _start(self, name: str, program: str, *arguments: str) -> None:
        log = open(self.dir / "log" / f"{name}.out", "ab")
        # A session of its own: an interrupt of the tests reaches it only through stop().
        self.daemons[name] = subprocess.Popen(
            [program, "-c", str(self.conf), *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        log.close()

    def _run(self, program: str, *arguments: str, tries: int = 1) -> str:
        for left in reversed(range(tries)):
            try:
                done = subprocess.run(
                    [program, "-c", str(self.conf), *arguments], capture_output=True, text=True, timeout=START_SECONDS_MAX
                )
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"{program} {arguments[0]} did not end; see {self.dir / 'log'}") from None
            if done.returncode == 0:
                return done.stdout
            if left:
                time.sleep(1)
        raise RuntimeError(f"{program} {' '.join(arguments)} failed: {done.stderr[-2000:]}")

    @staticmethod
    def _end(daemon: subprocess.Popen, how: signal.Signals) -> None:
        if daemon.poll() is None:
            daemon.send_signal(how)
        try:
            daemon.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path, help="a new directory for its files")
    # Being told to end is an error like any other: what was started is ended first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    store = CephStore(parser.parse_args().dir)
    try:
        print(store.endpoint, *(f"{k}={v}" for k, v in store.environment().items()), flush=True)
        signal.pause()
    finally:
        store.stop()
