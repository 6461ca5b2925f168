"""Calls of all four kinds by a stock gRPC client.

    python kinds.py ADDRESS [gzip]

Compresses its messages if told to. Prints what became of each: the answers, or the code of the outcome.
"""

import queue
import sys

import grpc

SERVICE = "/probe.v1.ProbeService/"


def message(number):
    """Any of the messages whose first field is a number below 16,384."""
    return bytes([8, number]) if number < 128 else bytes([8, number & 127 | 128, number >> 7])


def number(encoded):
    return encoded[1]


def repeated(channel, numbers):
    """What is said back: each number before the next one is said."""
    say, answers = queue.Queue(), []
    heard = channel.stream_stream(SERVICE + "Repeat")(iter(say.get, None))
    for said in numbers:
        say.put(message(said))
        answers.append(number(next(heard)))
    say.put(None)
    assert next(heard, None) is None, "the answers end with the questions"
    return answers


def given_up(channel):
    say = queue.Queue()
    heard = channel.stream_stream(SERVICE + "Repeat")(iter(say.get, None))
    say.put(message(1))
    next(heard)
    heard.cancel()
    say.put(None)
    return heard.code().name


def refused(channel):
    try:
        channel.stream_unary(SERVICE + "Add")(map(message, [1, 1000]))
        return "OK"
    except grpc.RpcError as error:
        return error.code().name


def main():
    compression = grpc.Compression.Gzip if sys.argv[2:] == ["gzip"] else None
    with grpc.insecure_channel(sys.argv[1], compression=compression) as channel:
        # 10,000 zeros as ballast; 10,000 bytes of ballast in the answer.
        ballast = b"\x1a\x90\x4e" + bytes(10000) + b"\x30\x90\x4e"
        answer = channel.unary_unary(SERVICE + "Act")(ballast)
        assert len(answer) > 10000, "the answer's ballast is there"
        counted = channel.unary_stream(SERVICE + "Count")(message(3))
        counted = [number(answer) for answer in counted]
        added = channel.stream_unary(SERVICE + "Add")(map(message, range(1, 11)))
        print("unary", counted, number(added), repeated(channel, [1, 2, 3]), sep=", ", end=", ")
        print(refused(channel), given_up(channel), sep=", ")


if __name__ == "__main__":
    main()
