"""The wire of an adapter in Python, for a format of one layer a file: stubs from proto/, assets as they come in, errors as gRPC codes, serving.

Nothing here knows a format: a module with `describe()`, `inspect(options, content)` and `read(options, content)` does.
"""
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import grpc_tools

sys.path += [str(Path(__file__).resolve().parents[3] / "proto"), str(Path(grpc_tools.__file__).parent / "_proto")]
data = grpc.protos("ukimet/v1/data.proto")
v1, rpc = grpc.protos_and_services("ukimet/v1/adapter.proto")

CODES = grpc.StatusCode
ASSET_BYTES_MAX, MESSAGE_BYTES_MAX, JOBS_MAX, CALLS_MAX = 256 << 20, 64 << 20, 4, 64


class Refusal(Exception):
    """What was expected and what was found, and the gRPC code that says so."""

    def __init__(self, sentence, code=CODES.INVALID_ARGUMENT):
        super().__init__(sentence)
        self.code = code


def file_layer(options):
    """The name of the only layer of a file that names none."""
    return Path(options.file_name).stem or "records"


def receive(requests, granted):
    """The options and the bytes of an asset: without a finish there is none."""
    options, content, end = None, bytearray(), None
    for message in requests:
        kind = message.WhichOneof("message")
        if (kind == "options") != (options is None) or end is not None:
            raise Refusal(f"an asset is options, data, finish; found {kind} out of order")
        if kind == "options":
            options = message.options
            if options.HasField("layer") and options.all_layers:
                raise Refusal("one layer or all layers can be asked for, found both")
            if options.HasField("layer") and options.layer != file_layer(options):
                raise Refusal(f"the layer is {file_layer(options)!r:.80}, found {options.layer!r:.80}", CODES.NOT_FOUND)
            if options.HasField("path"):
                return options, read_granted(options.path, granted)
        elif kind == "finish":
            end = message.finish
        else:
            content += message.data
        if len(content) > ASSET_BYTES_MAX:
            raise Refusal(f"an asset has at most {ASSET_BYTES_MAX} bytes", CODES.RESOURCE_EXHAUSTED)
    if end is None:
        raise Refusal(f"the stream ended without a finish after {len(content)} bytes", CODES.ABORTED)
    if end != len(content):
        raise Refusal(f"the asset has {end} bytes, received {len(content)}", CODES.DATA_LOSS)
    return options, bytes(content)


def read_granted(path, granted):
    file = Path(path).resolve()
    if granted is None or not file.is_relative_to(granted) or not file.is_file():
        raise Refusal("a path is a file below the folder that was granted, found another")
    if file.stat().st_size > ASSET_BYTES_MAX:
        raise Refusal(f"an asset has at most {ASSET_BYTES_MAX} bytes", CODES.RESOURCE_EXHAUSTED)
    return file.read_bytes()


class Service(rpc.AdapterServiceServicer):
    """A format's module as ukimet.v1.AdapterService."""

    def __init__(self, module, granted):
        self.module, self.granted = module, granted and Path(granted).resolve()

    def Describe(self, request, context):
        return self.module.describe()

    def Inspect(self, requests, context):
        try:
            return self.module.inspect(*receive(requests, self.granted))
        except Refusal as refusal:
            context.abort(refusal.code, str(refusal)[:1000])

    def Read(self, requests, context):
        try:
            for kind, message in self.module.read(*receive(requests, self.granted)):
                if not context.is_active():
                    return
                yield v1.ReadResponse(**{kind: message})
        except Refusal as refusal:
            context.abort(refusal.code, str(refusal)[:1000])


def serve(module, listen, grant=None):
    """Prints "ready http://HOST:PORT", then answers until the process is ended."""
    limits = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.max_send_message_length", MESSAGE_BYTES_MAX)]
    server = grpc.server(ThreadPoolExecutor(JOBS_MAX), maximum_concurrent_rpcs=CALLS_MAX, options=limits)
    rpc.add_AdapterServiceServicer_to_server(Service(module, grant), server)
    port = server.add_insecure_port(listen)
    server.start()
    print(f"ready http://{listen.rpartition(':')[0]}:{port}", flush=True)
    server.wait_for_termination()
