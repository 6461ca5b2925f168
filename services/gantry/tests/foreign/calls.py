"""Calls by a stock gRPC client under a service config.

    python calls.py CONFIG

CONFIG is a file with the service config. Each line of standard input is a call: address,
path, token (or -) and the encoded request in hexadecimal digits. Sets no deadline and no
policy of its own: what a call does is the config's. Answers each line with the code of the
outcome, the seconds that the call took, and the encoded answer.
"""

import sys
import time

import grpc


def call(options, address, path, token, request=""):
    metadata = None if token == "-" else [("authorization", f"Bearer {token}")]
    with grpc.insecure_channel(address, options=options) as channel:
        invoke, started = channel.unary_unary(path), time.monotonic()
        try:
            code, answer = "OK", invoke(bytes.fromhex(request), metadata=metadata).hex()
        except grpc.RpcError as error:
            code, answer = error.code().name, ""
        print(code, time.monotonic() - started, answer)


def main():
    (config,) = sys.argv[1:]
    with open(config, encoding="utf-8") as file:
        options = [("grpc.service_config", file.read())]
    for line in sys.stdin:
        call(options, *line.split())


if __name__ == "__main__":
    main()
