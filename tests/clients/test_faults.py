"""A fault between a hub and an adapter fails its own push, leaves no version, and other pushes go on."""
import json
import subprocess
import time

import grpc
import pytest
from pyarrow import flight

from grpc_push import Pusher
from hub_process import REPO, HubProcess, tail, ukimet_bin
from test_python_adapter import adapter_url, read_ready_line  # noqa: F401: a fixture

ROWS = 20_000
FAULTS = ["cut", "duplicate", "reorder", "stall", "corrupt"]


@pytest.fixture(scope="module")
def content():
    rows = [{"id": str(i), "name": f"Мектеп № {i}", "lon": f"{76 + i / 20_000:.5f}", "lat": f"{43 + i / 20_000:.5f}"} for i in range(ROWS)]
    return json.dumps(rows, ensure_ascii=False).encode()


def proxied(fault: str, to: str) -> tuple[subprocess.Popen, str]:
    kit = str(ukimet_bin().with_name("ukimet-conformance"))
    command = [kit, "proxy", "--listen", "127.0.0.1:0", "--to", to.removeprefix("http://"), "--fault", fault, "--seed", "7"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    return process, read_ready_line(process)


@pytest.fixture(params=["none", "slow", *FAULTS])
def faulty(request, adapter_url, protos, tmp_path):  # noqa: F811
    """The fault, a client and the hub whose adapter is behind it."""
    proxy, url = proxied(request.param, adapter_url)
    options = ["--disk-reserve", "64MiB", "--adapter", url, "--adapter-time-max", "8s" if request.param == "stall" else "2min"]
    hub = HubProcess(tmp_path / "data", tmp_path / "hub.log", options=options)
    client = Pusher(protos, hub.address)
    try:
        yield request.param, client, hub
        assert hub.process.poll() is None, tail(tmp_path / "hub.log")
    finally:
        client.close()
        hub.stop()
        proxy.kill()
        proxy.wait()
        proxy.stdout.close()


def rows_of(hub: HubProcess, dataset: str) -> int:
    with flight.connect(hub.flight_url) as client:
        endpoints = client.get_flight_info(flight.FlightDescriptor.for_path(dataset)).endpoints
        return sum(client.do_get(endpoint.ticket).read_all().num_rows for endpoint in endpoints)


def test_a_fault_fails_its_push_alone_and_leaves_no_version(faulty, content):
    fault, client, hub = faulty
    if fault in ("none", "slow"):
        outcome, _ = client.push("faults/whole", "whole", "whole.egov", content)
        assert outcome.layers[0].report.rows_taken == rows_of(hub, "faults/whole") == ROWS
        return
    with pytest.raises(grpc.RpcError) as refused:
        client.push("faults/broken", "broken", "broken.egov", content, timeout=60)
    assert refused.value.code() not in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN), refused.value
    assert refused.value.details()
    with pytest.raises(grpc.RpcError) as nothing:
        client.catalog.GetDataset(client.protos.catalog.GetDatasetRequest(dataset="faults/broken"), timeout=10)
    assert nothing.value.code() == grpc.StatusCode.NOT_FOUND
    other, begin = REPO / "demo" / "settlements_east.fgb", time.time()
    outcome, _ = client.push("faults/other", "other", other.name, other.read_bytes())
    assert outcome.layers[0].report.rows_taken == rows_of(hub, "faults/other") == 1261
    found = client.catalog.GetDataset(client.protos.catalog.GetDatasetRequest(dataset="faults/other"), timeout=10)
    # The time of a version is the hub's own: nothing that is read can skew it.
    assert begin - 1 <= found.dataset.version.committed.ToNanoseconds() / 1e9 <= time.time() + 1
