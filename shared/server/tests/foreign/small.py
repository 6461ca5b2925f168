"""Many small messages of a stock gRPC client, more than the handler reads for a while.

    python small.py ADDRESS

Prints what became of the stream, and of another call on its connection.
"""

import sys

import grpc

SERVICE = "/probe.v1.ProbeService/"

# A number, and to wait 3,000 ms before the next one is read.
PAUSE = bytes([8, 1, 16, 184, 23])
# A number: 7 bytes with its prefix.
SMALL = bytes([8, 1])
# To wait 4,000 ms before the answer.
NEIGHBOUR = bytes([8, 160, 31])


def numbers():
    yield PAUSE
    for _ in range(5000):
        yield SMALL


def outcome(call):
    try:
        call()
        return "OK"
    except grpc.RpcError as error:
        return f"{error.code().name} {error.details()}"


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        neighbour = channel.unary_unary(SERVICE + "Act").future(NEIGHBOUR)
        added = outcome(lambda: channel.stream_unary(SERVICE + "Add")(numbers()))
        print(f"{added}, {outcome(neighbour.result)}")


main()
