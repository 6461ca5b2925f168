"""A call with an authority as gRPC's C core sends it over a Unix socket.

    python authority.py ADDRESS

Prints the code of its outcome.
"""

import sys

import grpc


def main():
    options = [("grpc.default_authority", "%2Frun%2Fx.sock")]
    with grpc.insecure_channel(sys.argv[1], options=options) as channel:
        try:
            # Twice: the second time it is sent by its index.
            for _ in range(2):
                channel.unary_unary("/probe.v1.ProbeService/Act")(b"")
            print("OK")
        except grpc.RpcError as error:
            print(error.code().name, error.details())


main()
