"""The adapter in Python passes the kit, and a hub reads with it what it is there for."""
import json
import os
import struct
import subprocess
import sys
import threading

import grpc
import pytest
from pyarrow import flight

from grpc_push import Pusher
from hub_process import REPO, HubProcess, tail, ukimet_bin

EXAMPLE = REPO / "adapters" / "examples" / "python"
SAMPLES = EXAMPLE / "samples"
SCHOOLS = SAMPLES / "schools.egov"
REFUSED = {9: "places.unreadable", 17: "places.unreadable", 23: "places.unreadable", 30: "json.value"}
START_SECONDS_MAX = 60


def read_ready_line(process: subprocess.Popen) -> str:
    timer = threading.Timer(START_SECONDS_MAX, process.kill)
    timer.start()
    line = process.stdout.readline().decode()
    timer.cancel()
    assert line.startswith("ready http://"), f"expected the line that says ready, found {line!r}"
    return line.removeprefix("ready ").strip()


@pytest.fixture(scope="module")
def adapter_url():
    command = [sys.executable, str(EXAMPLE / "adapter.py"), "--listen", "127.0.0.1:0", "--grant", str(SAMPLES)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment)
    try:
        yield read_ready_line(process)
        assert process.poll() is None, "the adapter ended by itself"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def hub_with_adapter(adapter_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub-python")
    hub = HubProcess(folder / "data", folder / "hub.log", options=["--disk-reserve", "64MiB", "--adapter", adapter_url])
    yield hub
    assert hub.stop() == 0, tail(folder / "hub.log")


@pytest.fixture(scope="module")
def python_pusher(hub_with_adapter, protos):
    client = Pusher(protos, hub_with_adapter.address)
    yield client
    client.close()


def test_the_python_adapter_passes_the_kit(adapter_url):
    kit = str(ukimet_bin().with_name("ukimet-conformance"))
    command = [kit, "adapter", adapter_url, "--samples", str(SAMPLES), "--granted", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    failed = [f for f in json.loads(done.stdout)["findings"] if f["status"] == "failed"]
    assert done.returncode == 0 and not failed, failed
    asked = {f["class"] for f in json.loads(done.stdout)["findings"] if f["status"] == "passed"}
    assert {"sample", "stress", "verdict"} <= asked


def test_rows_that_the_python_adapter_read_come_out_of_the_hub(python_pusher, hub_with_adapter, dataset):
    outcome, _ = python_pusher.push(dataset, f"{dataset}#1", SCHOOLS.name, SCHOOLS.read_bytes())
    [layer] = outcome.layers
    assert (layer.report.rows_taken, layer.report.rows_refused, layer.report.format) == (36, 4, "data.egov.kz API v4")
    with flight.connect(hub_with_adapter.flight_url) as client:
        [endpoint] = client.get_flight_info(flight.FlightDescriptor.for_path(dataset)).endpoints
        found = client.do_get(endpoint.ticket).read_all().to_pylist()
    expected = [row for number, row in enumerate(json.loads(SCHOOLS.read_text())) if number not in REFUSED]
    assert {row["id"] for row in found} == {int(row["id"]) for row in expected}
    for row in found:
        [source] = [source for source in expected if int(source["id"]) == row["id"]]
        assert [row[k] for k in ("code", "name_kz", "name_ru")] == [source[k] for k in ("code", "name_kz", "name_ru")]
        assert row["pupils"] == (source["pupils"] and int(source["pupils"]))
        point = row["geometry"] and struct.unpack("<dd", row["geometry"][5:])
        assert point == ((float(source["lon"]), float(source["lat"])) if source["lon"] else None)


def test_a_media_type_finds_the_python_adapter(python_pusher, dataset):
    content = (SAMPLES / "kato.json").read_bytes()
    media_type = "application/vnd.egov-kz.v4+json"
    outcome, _ = python_pusher.push(dataset, f"{dataset}#1", "kato.json", content, media_type=media_type)
    [layer] = outcome.layers
    assert layer.report.rows_taken == 5
    request = python_pusher.protos.catalog.GetDatasetRequest(dataset=dataset)
    fields = python_pusher.catalog.GetDataset(request, timeout=10).dataset.version.fields
    assert [(field.name, field.source_name) for field in fields] == [("kato", "kato"), ("column_2", "Атауы")]


def test_an_error_of_the_portal_is_refused_in_its_own_words(python_pusher, dataset):
    answer = json.dumps({"error": "apiKey қате"}, ensure_ascii=False).encode()
    with pytest.raises(grpc.RpcError) as refused:
        python_pusher.push(dataset, f"{dataset}#1", "answer.egov", answer)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "apiKey қате" in refused.value.details()
