"""A client that knows of a service only what its reflection tells.

Requests are written and answers are read as plain dicts, through messages that are
built from the descriptors the server hands out: nothing is generated from .proto files.
"""

from functools import cached_property

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2 as details
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status


class Service:
    """One service at one address."""

    def __init__(self, address, name):
        self.name = name
        self.address = address
        self._channel = grpc.insecure_channel(address)
        self._reflection = ProtoReflectionDescriptorDatabase(self._channel)

    @cached_property
    def _service(self):
        return DescriptorPool(self._reflection).FindServiceByName(self.name)

    def offered(self):
        """The names of all services at the address."""
        return set(self._reflection.get_services())

    def call(self, method, token=None, **fields):
        """Calls a method; raises grpc.RpcError where it is refused."""
        descriptor = self._service.FindMethodByName(method)
        request = GetMessageClass(descriptor.input_type)()
        json_format.ParseDict(fields, request)
        invoke = self._channel.unary_unary(
            f"/{self.name}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(descriptor.output_type).FromString,
        )
        metadata = [("authorization", f"Bearer {token}")] if token else None
        answer = invoke(request, timeout=40, metadata=metadata)
        return json_format.MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )


class Refusal:
    """What a refused call says: its code and the details of google.rpc."""

    def __init__(self, error):
        self.code = error.code().name
        self.message = error.details()
        status = rpc_status.from_call(error)
        self._details = status.details if status else []

    def _detail(self, kind):
        for packed in self._details:
            found = kind()
            if packed.Unpack(found):
                return found
        return kind()

    @property
    def reason(self):
        """ErrorInfo, as `domain/REASON`; empty where there is none."""
        info = self._detail(details.ErrorInfo)
        return f"{info.domain}/{info.reason}" if info.reason else ""

    @property
    def metadata(self):
        """The values that go with the reason."""
        return dict(self._detail(details.ErrorInfo).metadata)

    @property
    def fields(self):
        """The fields of BadRequest that are wrong."""
        violations = self._detail(details.BadRequest).field_violations
        return {violation.field for violation in violations if violation.description}

    @property
    def subjects(self):
        """What the violations of PreconditionFailure are about."""
        return {violation.subject for violation in self._detail(details.PreconditionFailure).violations}

    def __str__(self):
        return f"{self.code} {self.reason} {self.message!r}"
