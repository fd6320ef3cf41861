"""A generated Python client pushes, cuts, resumes and replays; health and reflection answer foreign tools."""
import random

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from hub_process import REPO

FILE = REPO / "demo" / "settlements_east.fgb"
ROWS = 1261


@pytest.fixture(scope="module")
def content():
    return FILE.read_bytes()


def test_a_file_is_pushed_and_described(pusher, dataset, content):
    outcome, resumed = pusher.push(dataset, f"{dataset}#1", FILE.name, content)
    assert resumed == 0 and not outcome.replayed
    [layer] = outcome.layers
    assert (layer.dataset, layer.version, layer.report.rows_taken) == (dataset, 1, ROWS)
    answer = pusher.catalog.GetDataset(pusher.protos.catalog.GetDatasetRequest(dataset=dataset), timeout=10)
    assert (answer.dataset.version.number, answer.dataset.version.rows) == (1, ROWS)


def test_a_push_cut_anywhere_resumes_to_one_version(pusher, dataset, content):
    seed = random.randrange(2**32)
    print("seed", seed)
    ends = sorted(random.Random(seed).randrange(len(content)) for _ in range(12))
    resumes = [pusher.cut(dataset, f"{dataset}#1", FILE.name, content, end) for end in ends]
    assert all(resumed <= end for resumed, end in zip(resumes[1:], ends)), (resumes, ends)
    outcome, resumed = pusher.push(dataset, f"{dataset}#1", FILE.name, content)
    assert resumed <= ends[-1]
    assert [layer.report.rows_taken for layer in outcome.layers] == [ROWS]
    request = pusher.protos.catalog.ListVersionsRequest(dataset=dataset)
    assert [version.number for version in pusher.catalog.ListVersions(request, timeout=10).versions] == [1]


def test_a_push_that_ended_repeats_its_outcome(pusher, dataset, content):
    first, _ = pusher.push(dataset, f"{dataset}#1", FILE.name, content)
    again, _ = pusher.push(dataset, f"{dataset}#1", FILE.name, content)
    assert again.replayed
    again.replayed = False
    assert again == first


def test_another_file_under_the_same_push_id_is_refused(pusher, dataset, content):
    pusher.push(dataset, f"{dataset}#1", FILE.name, content)
    other = (REPO / "demo" / "astana_malls.kml").read_bytes()
    with pytest.raises(grpc.RpcError) as refused:
        pusher.push(dataset, f"{dataset}#1", "astana_malls.kml", other)
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS


def test_titles_and_keywords_are_found_again(pusher, dataset, content):
    data, catalog = pusher.protos.data, pusher.protos.catalog
    metadata = data.DatasetMetadata(
        title={"kk": "Шығыстың ауылдары", "ru": "Сёла востока"}, keywords={"ru": data.Keywords(words=["переписьуникальная"])}
    )
    pusher.push(dataset, f"{dataset}#1", FILE.name, content, metadata=metadata)
    for text in ["ауылдары шығыстың", "села востоке", "переписьуникальная"]:
        found = pusher.catalog.Search(catalog.SearchRequest(text=text), timeout=10)
        assert dataset in [hit.id for hit in found.datasets], text


def test_health_says_serving(pusher):
    stub = health_pb2_grpc.HealthStub(pusher.channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=""), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_describes_every_service(pusher):
    # The Python package speaks the older of the two reflection services, which most tools fall back to.
    services = set(ProtoReflectionDescriptorDatabase(pusher.channel).get_services())
    assert {"ukimet.v1.IngestService", "ukimet.v1.CatalogService"} <= services
