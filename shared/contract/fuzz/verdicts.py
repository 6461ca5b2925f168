"""Validates messages with protovalidate.

The first line of standard input is a FileDescriptorSet in hexadecimal digits. Each further line is
the name of a message and its bytes in hexadecimal digits. Answers each with a line of JSON: a list
of violations, a text if protovalidate fails, or null if the bytes cannot be decoded.
"""

import json
import sys

import protovalidate
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass


def step(element):
    """Yields the name of the field and its subscript."""
    yield {"field": element.field_name}
    oneof = element.subscript
    if oneof is None:
        return
    kind, value = oneof.field, oneof.value
    if kind == "index":
        yield {"index": value}
    elif kind == "string_key":
        yield {"text": value}
    else:
        yield {"key": str(value).lower()}


def violation(found):
    proto = found.proto
    elements = proto.field.elements if proto.field else []
    rules = proto.rule.elements if proto.rule else []
    return {
        "path": [part for element in elements for part in step(element)],
        "rule": ".".join(element.field_name for element in rules) or proto.rule_id,
    }


def verdict(kind, data):
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return None
    try:
        return [violation(found) for found in protovalidate.collect_violations(message)]
    # TypeError: a proto2 text that is not UTF-8.
    except (protovalidate.CompilationError, protovalidate.EvaluationError, TypeError) as error:
        return str(error)


def main():
    pool = DescriptorPool()
    lines = iter(sys.stdin)
    for file in descriptor_pb2.FileDescriptorSet.FromString(bytes.fromhex(next(lines))).file:
        pool.Add(file)
    kinds = {}
    for line in lines:
        name, _, data = line.partition(" ")
        if name not in kinds:
            kinds[name] = GetMessageClass(pool.FindMessageTypeByName(name))
        print(json.dumps(verdict(kinds[name], bytes.fromhex(data.strip()))))


if __name__ == "__main__":
    main()
