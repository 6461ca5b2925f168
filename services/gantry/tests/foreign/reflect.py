"""What a stock client learns of a service by reflection alone.

    python reflect.py ADDRESS SERVICE METHOD

SERVICE is one whose METHOD needs a token. Calls it without one, and reads why that is refused, the
options of the method and the rules of its request with descriptors that the server hands out: nothing is
generated from .proto files. Prints what it found as a JSON object.
"""

import json
import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)


class Server:
    """A server that is known by reflection."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.reflection = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = DescriptorPool(self.reflection)

    def message(self, name):
        return GetMessageClass(self.pool.FindMessageTypeByName(name))

    def option(self, descriptor, kind, extension):
        """An option of a descriptor that is an extension, as a dict."""
        options = self.message(kind).FromString(descriptor.GetOptions().SerializeToString())
        found = options.Extensions[self.pool.FindExtensionByName(extension)]
        return json_format.MessageToDict(found, preserving_proto_field_name=True)

    def refusal(self, path, request):
        """Why a call is refused: the details of its status, as dicts."""
        try:
            self.channel.unary_unary(path)(request)
        except grpc.RpcError as error:
            trailers = dict(error.trailing_metadata())
            status = self.message("google.rpc.Status").FromString(trailers["grpc-status-details-bin"])
            details = []
            for packed in status.details:
                kind = packed.type_url.rpartition("/")[2]
                detail = self.message(kind).FromString(packed.value)
                details.append({"@type": kind} | json_format.MessageToDict(detail))
            return {"code": error.code().name, "details": details}
        return {"code": "OK", "details": []}


def unknown(reflection):
    """Asks for what is not there, and then for what is, in one stream each."""
    try:
        reflection.FindFileContainingSymbol("no.Such")
    except KeyError:
        return True
    return False


def main():
    address, name, method_name = sys.argv[1:]
    server = Server(address)
    method = server.pool.FindServiceByName(name).FindMethodByName(method_name)
    rules = {
        field.name: server.option(field, "google.protobuf.FieldOptions", "buf.validate.field")
        for field in method.input_type.fields
    }
    print(
        json.dumps(
            {
                "services": sorted(server.reflection.get_services()),
                "unknown": unknown(server.reflection),
                "policy": server.option(
                    method, "google.protobuf.MethodOptions", "gantry.contract.v1.policy"
                ),
                "rules": rules,
                "extensions": sorted(
                    server.reflection.FindAllExtensionNumbers("google.protobuf.MethodOptions")
                ),
                "refusal": server.refusal(f"/{name}/{method_name}", b""),
            }
        )
    )


if __name__ == "__main__":
    main()
