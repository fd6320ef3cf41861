"""One hub for all tests, started from the built program and ended by its pid."""
import itertools

import pytest

from grpc_push import Pusher, compile_protos
from hub_process import HubProcess, tail


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    try:
        process = HubProcess(folder / "data", folder / "hub.log")
    except RuntimeError as error:
        pytest.exit(f"no test can run: {error}", returncode=1)
    yield process
    assert process.process.poll() is None, f"the hub ended by itself: {tail(folder / 'hub.log')}"
    assert process.stop() == 0, f"the hub did not end well: {tail(folder / 'hub.log')}"


@pytest.fixture(scope="session")
def protos(tmp_path_factory):
    return compile_protos(tmp_path_factory.mktemp("stubs"))


@pytest.fixture(scope="session")
def pusher(hub, protos):
    client = Pusher(protos, hub.address)
    yield client
    client.close()


@pytest.fixture(scope="session")
def flight_client(hub):
    from pyarrow import flight

    with flight.connect(hub.flight_url) as client:
        yield client


_numbers = itertools.count(1)


@pytest.fixture
def dataset(request):
    """A dataset id of this test alone."""
    return f"clients/{request.node.name.split('[')[0].replace('_', '-')[:50].rstrip('-')}-{next(_numbers)}"
