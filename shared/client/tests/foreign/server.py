"""A stock grpcio server that echoes strings, for the client's tests.

Compresses its answers if it is told "gzip". Prints its port. Drains when a line arrives on its standard input, and prints "drained".
"""

import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2, wrappers_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


def add(text, context):
    """Says what it got, and what came with it."""
    time.sleep(0.002)
    timeout = "deadline" if context.time_remaining() is not None else "no deadline"
    return f"{text.value}, {timeout}"


def get(text, context):
    """Fails with details."""
    info = error_details_pb2.ErrorInfo(reason="NOT_NOW", domain="foreign")
    detail = any_pb2.Any()
    detail.Pack(info)
    code = grpc.StatusCode.FAILED_PRECONDITION.value[0]
    status = status_pb2.Status(code=code, message="not now: \u00e4\u00f6\u00fc", details=[detail])
    context.abort_with_status(rpc_status.to_status(status))


def put(text, context):
    """Is far too slow, and says when nobody waits any more."""
    cancelled = threading.Event()
    context.add_callback(cancelled.set)
    cancelled.wait(30)
    print("cancelled", flush=True)
    return text.value


def find(text, context):
    """Answers the second attempt."""
    metadata = dict(context.invocation_metadata())
    if "grpc-previous-rpc-attempts" not in metadata:
        context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
    return f"attempt after {metadata['grpc-previous-rpc-attempts']}"


def reply(handler):
    return lambda text, context: wrappers_pb2.StringValue(value=handler(text, context))


def each(texts, context):
    """Answers a stream with the messages of a stream."""
    for text in texts:
        if text.value == "fail":
            context.abort(grpc.StatusCode.DATA_LOSS, "lost in the middle")
        yield text


def several(text, context):
    for number in range(5):
        yield wrappers_pb2.StringValue(value=f"{text.value} {number}")


STRINGS = {
    "request_deserializer": wrappers_pb2.StringValue.FromString,
    "response_serializer": wrappers_pb2.StringValue.SerializeToString,
}

METHODS = {
    "Add": grpc.unary_unary_rpc_method_handler(reply(add), **STRINGS),
    "Get": grpc.unary_unary_rpc_method_handler(reply(get), **STRINGS),
    "Put": grpc.unary_unary_rpc_method_handler(reply(put), **STRINGS),
    "Find": grpc.unary_unary_rpc_method_handler(reply(find), **STRINGS),
    "List": grpc.unary_stream_rpc_method_handler(several, **STRINGS),
    "Chat": grpc.stream_stream_rpc_method_handler(each, **STRINGS),
}


def main():
    compression = grpc.Compression.Gzip if sys.argv[1:] == ["gzip"] else None
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), compression=compression)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", METHODS),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.readline()
    server.stop(20).wait()
    print("drained", flush=True)


main()
