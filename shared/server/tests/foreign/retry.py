"""One call by a stock gRPC client under a service config.

    python retry.py ADDRESS CONFIG PATH REQUEST

CONFIG is a file with the service config, REQUEST the encoded request in hexadecimal
digits. Sets no deadline and no policy of its own: what the call does is the config's.
Prints the code of the outcome.
"""

import sys

import grpc


def main():
    address, config, path, request = sys.argv[1:]
    with open(config, encoding="utf-8") as file:
        options = [("grpc.service_config", file.read())]
    with grpc.insecure_channel(address, options=options) as channel:
        try:
            channel.unary_unary(path)(bytes.fromhex(request))
            print("OK")
        except grpc.RpcError as error:
            print(error.code().name)


if __name__ == "__main__":
    main()
