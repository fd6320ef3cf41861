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


# What an author may get wrong, as a change to the adapter, and the requirement that says so.
MISTAKES = {
    "read = lambda o, c, r=adapter.read: (m for m in r(o, c) if m[0] != 'verdicts')": "a_row_that_cannot_be_taken_is_given_back_with_its_verdict",
    "read = lambda o, c, r=adapter.read: (m for m in r(o, c) if m[0] != 'quarantined')": "every_sample_holds_what_its_manifest_says",
    "parse = lambda c, p=adapter.parse: p(c if c.rstrip().endswith(b']') else c[:c.rfind(b'}') + 1] + b']')": "a_cut_sample_never_gives_a_whole_answer_in_silence",
    "BATCH_ROWS_MAX, min = 9, lambda *rows: 9": "batches_of_a_sample_keep_the_limit_that_was_asked",
    "check = lambda options: None": "options_that_cannot_be_met_are_not_passed_over",
    "VERSION, inspect = '1', lambda o, c, i=adapter.inspect: adapter.v1.InspectResponse(format='x')": "inspecting_a_sample_names_the_layers_that_reading_gives",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_kit_finds_a_mistake_of_an_adapter(mistake):
    names, _, values = mistake.partition(" = ")
    targets = ", ".join(f"adapter.{name.strip()}" for name in names.split(","))
    code = f"import sys; sys.path.insert(0, {str(EXAMPLE)!r}); import adapter, wire; {targets} = {values}; wire.serve(adapter, '127.0.0.1:0')"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        kit = str(ukimet_bin().with_name("ukimet-conformance"))
        command = [kit, "adapter", read_ready_line(process), "--samples", str(SAMPLES), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert done.returncode == 1, done.stderr
    assert MISTAKES[mistake] in [f["requirement"] for f in json.loads(done.stdout)["findings"] if f["status"] == "failed"]


def test_a_certificate_is_made_of_a_run_and_its_authority_verifies_it(adapter_url, tmp_path):
    kit = str(ukimet_bin().with_name("ukimet-conformance"))
    run = lambda *arguments: subprocess.run([kit, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    key, file = tmp_path / "authority.key", tmp_path / "egov.json"
    authority = run("keygen", key).stdout.strip()
    assert len(authority) == 64 and key.stat().st_mode & 0o077 == 0
    assert run("keygen", key).returncode == 2, "a key is never overwritten"
    made = run("adapter", adapter_url, "--samples", SAMPLES, "--granted", "--certificate", file, "--key", key)
    assert made.returncode == 0, made.stdout
    verified = run("certificate", "verify", file, "--authority", authority)
    assert verified.returncode == 0 and "egov-python 1.0.0" in verified.stdout
    file.write_text(file.read_text().replace("1.0.0", "1.0.1"))
    refused = run("certificate", "verify", file, "--authority", authority)
    assert refused.returncode == 2 and "changed since it was signed" in refused.stderr
