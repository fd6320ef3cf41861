"""The way in as a foreign client sees it: stubs generated from proto/ at run time, nothing of ours inside."""
import hashlib
import importlib
import queue
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import grpc

from hub_process import REPO

FILES = ["data", "ingest", "catalog", "adapter"]


def compile_protos(out: Path) -> SimpleNamespace:
    """Generates and imports the messages and stubs of ukimet.v1."""
    import grpc_tools
    from grpc_tools import protoc

    well_known = Path(grpc_tools.__file__).parent / "_proto"
    files = [f"ukimet/v1/{name}.proto" for name in FILES]
    command = ["protoc", f"-I{REPO / 'proto'}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    if protoc.main([*command, *files]) != 0:
        raise RuntimeError("the protos do not compile with grpcio-tools")
    sys.path.insert(0, str(out))
    module = lambda name: importlib.import_module(f"ukimet.v1.{name}")
    protos = {name: module(f"{name}_pb2") for name in FILES}
    return SimpleNamespace(**protos, ingest_rpc=module("ingest_pb2_grpc"), catalog_rpc=module("catalog_pb2_grpc"))


class Pusher:
    """Pushes files over one channel."""

    def __init__(self, protos: SimpleNamespace, address: str, chunk_bytes: int = 64 << 10):
        self.protos = protos
        self.channel = grpc.insecure_channel(address)
        self.ingest = protos.ingest_rpc.IngestServiceStub(self.channel)
        self.catalog = protos.catalog_rpc.CatalogServiceStub(self.channel)
        self.chunk_bytes = chunk_bytes

    def close(self) -> None:
        self.channel.close()

    def header(self, dataset: str, push_id: str, file_name: str, content: bytes, **fields):
        header = self.protos.ingest.PushHeader(
            push_id=push_id, dataset=dataset, file_name=file_name, size_bytes=len(content), **fields
        )
        return self.protos.ingest.PushRequest(header=header)

    def chunks(self, content: bytes, start: int, end: int):
        for at in range(start, end, self.chunk_bytes):
            data = content[at : min(at + self.chunk_bytes, end)]
            yield self.protos.ingest.PushRequest(chunk=self.protos.ingest.PushChunk(offset=at, data=data))

    def finish(self, content: bytes):
        finish = self.protos.ingest.PushFinish(sha256=hashlib.sha256(content).digest(), size_bytes=len(content))
        return self.protos.ingest.PushRequest(finish=finish)

    def push(self, dataset: str, push_id: str, file_name: str, content: bytes, timeout: float = 120, **fields):
        """Pushes a whole file, going on where the hub says. Returns (outcome, offset of the resume)."""
        requests: queue.Queue = queue.Queue()
        requests.put(self.header(dataset, push_id, file_name, content, **fields))
        responses = self.ingest.Push(iter(requests.get, None), timeout=timeout)
        outcome, resumed = None, None
        try:
            for response in responses:
                kind = response.WhichOneof("message")
                if kind == "resume":
                    resumed = response.resume.offset
                    for chunk in self.chunks(content, resumed, len(content)):
                        requests.put(chunk)
                    requests.put(self.finish(content))
                    requests.put(None)
                elif kind == "outcome":
                    outcome = response.outcome
        finally:
            requests.put(None)
        return outcome, resumed

    def cut(self, dataset: str, push_id: str, file_name: str, content: bytes, end: int, timeout: float = 60) -> int:
        """Sends the bytes up to `end`, then cancels the call. Returns where the hub resumed."""
        requests: queue.Queue = queue.Queue()
        requests.put(self.header(dataset, push_id, file_name, content))
        responses = self.ingest.Push(iter(requests.get, None), timeout=timeout)
        resumed = next(responses).resume.offset
        for chunk in self.chunks(content, resumed, max(end, resumed)):
            requests.put(chunk)
        while not requests.empty():
            time.sleep(0.001)
        responses.cancel()
        requests.put(None)
        return resumed
