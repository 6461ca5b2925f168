//! Reflection as clients of both versions see it: answers and errors.

use std::collections::BTreeSet;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use gantry_probe::CONTRACT;
use prost::Message;
use prost_types::FileDescriptorProto;
use tonic::Code;
use tonic_reflection::pb::v1::{
    ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse,
    server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest::{
        self, AllExtensionNumbersOfType, FileByFilename, FileContainingExtension,
        FileContainingSymbol, ListServices,
    },
    server_reflection_response::MessageResponse,
};

use crate::{
    raw::{framed, request, send},
    world::World,
};

const VERSIONS: [&str; 2] = ["v1", "v1alpha"];

/// Sends encoded queries of this version in one stream. The versions are equal on the wire.
async fn query_encoded(
    world: &World,
    version: &str,
    queries: &[Bytes],
) -> Vec<ServerReflectionResponse> {
    let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
    let answer = send(world, request(&path, queries.concat().into())).await;
    assert_eq!(answer.grpc().code(), Code::Ok, "{:?}", answer.grpc());
    let mut answers = Vec::new();
    let mut body = answer.body;
    while body.has_remaining() {
        assert_eq!(body.get_u8(), 0);
        let length = body.get_u32() as usize;
        answers.push(ServerReflectionResponse::decode(body.split_to(length)).unwrap());
    }
    answers
}

async fn query(world: &World, version: &str, queries: Vec<MessageRequest>) -> Vec<MessageResponse> {
    let queries = queries.into_iter().map(|question| ServerReflectionRequest {
        host: "probe".to_owned(),
        message_request: Some(question),
    });
    let queries: Vec<_> = queries.collect();
    let encoded: Vec<_> = queries.iter().map(framed).collect();
    let answers = query_encoded(world, version, &encoded).await;
    assert_eq!(answers.len(), queries.len());
    let answers = answers.into_iter().zip(queries).map(|(answer, question)| {
        assert_eq!((&*answer.valid_host, answer.original_request), ("probe", Some(question)));
        answer.message_response.unwrap()
    });
    answers.collect()
}

fn file(answer: MessageResponse) -> FileDescriptorProto {
    let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
    assert_eq!(files.file_descriptor_proto.len(), 1);
    FileDescriptorProto::decode(&*files.file_descriptor_proto[0]).unwrap()
}

fn refused(answer: &MessageResponse) -> Option<Code> {
    match answer {
        MessageResponse::ErrorResponse(error) => {
            assert!(!error.error_message.is_empty());
            Some(error.error_code.into())
        }
        _ => None,
    }
}

#[tokio::test]
async fn all_served_services_are_listed() {
    let world = World::start().await;
    for version in VERSIONS {
        let answer = query(&world, version, vec![ListServices("*".to_owned())]).await.remove(0);
        let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
        let names: Vec<_> = list.service.iter().map(|service| &*service.name).collect();
        let expected = [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "probe.v1.ProbeService",
        ];
        assert_eq!(names, expected, "{version}");
    }
}

#[tokio::test]
async fn every_kind_of_name_leads_to_its_file() {
    const DESCRIPTOR: &str = "google/protobuf/descriptor.proto";
    const VALIDATE: &str = "buf/validate/validate.proto";
    let names = [
        ("probe.v1.ProbeService", "probe/v1/probe.proto"),
        ("probe.v1.ProbeService.Act", "probe/v1/probe.proto"),
        ("probe.v1.ActRequest", "probe/v1/probe.proto"),
        (".probe.v1.ActRequest", "probe/v1/probe.proto"),
        ("probe.v1.ActRequest.word", "probe/v1/probe.proto"),
        // A oneof, an enum, its values in both notations, an extension.
        ("buf.validate.FieldRules.type", VALIDATE),
        ("buf.validate.Ignore", VALIDATE),
        ("buf.validate.IGNORE_ALWAYS", VALIDATE),
        ("buf.validate.Ignore.IGNORE_ALWAYS", VALIDATE),
        ("buf.validate.field", VALIDATE),
        ("gantry.contract.v1.policy", "gantry/contract/v1/options.proto"),
        // Nested within a message.
        ("google.protobuf.DescriptorProto.ExtensionRange", DESCRIPTOR),
        ("google.protobuf.DescriptorProto.ExtensionRange.start", DESCRIPTOR),
        ("google.protobuf.FieldDescriptorProto.Type", DESCRIPTOR),
        ("google.protobuf.FieldDescriptorProto.TYPE_INT32", DESCRIPTOR),
        // The details of refusals.
        ("google.rpc.ErrorInfo", "google/rpc/error_details.proto"),
        ("google.rpc.ErrorInfo.MetadataEntry", "google/rpc/error_details.proto"),
        ("google.rpc.BadRequest.FieldViolation", "google/rpc/error_details.proto"),
        ("google.rpc.Status", "google/rpc/status.proto"),
        ("google.protobuf.Any", "google/protobuf/any.proto"),
        // Provided by every server.
        ("grpc.health.v1.Health.List", "grpc/health/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"),
        ("grpc.reflection.v1alpha.ErrorResponse", "grpc/reflection/v1alpha/reflection.proto"),
    ];
    let world = World::start().await;
    for version in VERSIONS {
        let queries = names.map(|(name, _)| FileContainingSymbol(name.to_owned()));
        let answers = query(&world, version, queries.to_vec()).await;
        for ((name, expected), answer) in names.into_iter().zip(answers) {
            assert_eq!(file(answer).name(), expected, "{name}");
        }
    }
}

#[tokio::test]
async fn a_query_without_a_result_does_not_end_the_stream() {
    let symbol = |name: &str| FileContainingSymbol(name.to_owned());
    let extension = |message: &str, number| {
        let containing_type = message.to_owned();
        FileContainingExtension(ExtensionRequest { containing_type, extension_number: number })
    };
    let queries = vec![
        symbol(""),
        symbol("."),
        symbol("probe"),
        symbol("probe.v1"),
        symbol("probe.v1.Probe"),
        symbol("probe.v1.ProbeService/Act"),
        symbol("probe.v1.ActRequest."),
        symbol("..probe.v1.ActRequest"),
        symbol("\u{202e}\0"),
        FileByFilename(String::new()),
        FileByFilename("/etc/passwd".to_owned()),
        FileByFilename("probe/v1/../v1/probe.proto".to_owned()),
        extension("google.protobuf.FieldOptions", 1),
        extension("google.protobuf.FieldOptions", i32::MIN),
        extension("probe.v1.ActRequest", 1159),
        extension("no.Such", 1159),
        AllExtensionNumbersOfType("no.Such".to_owned()),
        AllExtensionNumbersOfType("probe.v1.ProbeService".to_owned()),
        AllExtensionNumbersOfType(String::new()),
    ];
    let world = World::start().await;
    for version in VERSIONS {
        let last = symbol("probe.v1.ProbeService");
        let mut answers = query(&world, version, [queries.clone(), vec![last]].concat()).await;
        assert_eq!(file(answers.pop().unwrap()).name(), "probe/v1/probe.proto");
        for (answer, question) in answers.iter().zip(&queries) {
            assert_eq!(refused(answer), Some(Code::NotFound), "{question:?}");
        }
    }
}

#[tokio::test]
async fn a_malformed_query_does_not_end_the_stream() {
    let frame = |message: &[u8]| {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        Bytes::from([&[0], &length[..], message].concat())
    };
    let good = ServerReflectionRequest {
        message_request: Some(ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let queries = [
        // No query; a query of a later version; a truncated one; text that is not UTF-8; bytes that
        // are not a message.
        frame(b""),
        frame(b"\x0a\x01h"),
        frame(b"\x42\x01x"),
        frame(b"\x22\x05ab"),
        frame(b"\x22\x02\xff\xfe"),
        frame(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        framed(&good),
    ];
    let world = World::start().await;
    for version in VERSIONS {
        let answers = query_encoded(&world, version, &queries).await;
        let codes: Vec<_> =
            answers.iter().map(|it| refused(it.message_response.as_ref().unwrap())).collect();
        let bad = [Some(Code::InvalidArgument); 6];
        assert_eq!(codes, [&bad[..], &[None]].concat(), "{version}");
    }
}

#[tokio::test]
async fn extensions_are_found_by_the_message_and_the_number() {
    let world = World::start().await;
    for version in VERSIONS {
        for (message, number, expected) in [
            ("google.protobuf.FieldOptions", 1159, "buf/validate/validate.proto"),
            (".google.protobuf.FieldOptions", 1159, "buf/validate/validate.proto"),
            ("google.protobuf.MethodOptions", 50_601, "gantry/contract/v1/options.proto"),
        ] {
            let extension =
                ExtensionRequest { containing_type: message.to_owned(), extension_number: number };
            let queries = vec![
                FileContainingExtension(extension),
                AllExtensionNumbersOfType(message.to_owned()),
            ];
            let mut answers = query(&world, version, queries).await;
            let numbers = answers.pop().unwrap();
            let MessageResponse::AllExtensionNumbersResponse(numbers) = numbers else {
                panic!("{numbers:?}");
            };
            assert_eq!(numbers.base_type_name, message);
            assert!(numbers.extension_number.contains(&number), "{numbers:?}");
            assert_eq!(file(answers.pop().unwrap()).name(), expected);
        }
        let none = AllExtensionNumbersOfType("probe.v1.ActRequest".to_owned());
        let MessageResponse::AllExtensionNumbersResponse(numbers) =
            query(&world, version, vec![none]).await.remove(0)
        else {
            panic!("a message without extensions");
        };
        assert!(numbers.extension_number.is_empty());
    }
}

#[tokio::test]
async fn files_are_served_unchanged_with_their_imports() {
    let world = World::start().await;
    let mut wanted = vec![
        "probe/v1/probe.proto".to_owned(),
        "google/rpc/error_details.proto".to_owned(),
        "google/rpc/status.proto".to_owned(),
        "grpc/health/v1/health.proto".to_owned(),
        "grpc/reflection/v1/reflection.proto".to_owned(),
        "grpc/reflection/v1alpha/reflection.proto".to_owned(),
    ];
    let mut seen = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        let answer = query(&world, "v1", vec![FileByFilename(name.clone())]).await.remove(0);
        if name == "probe/v1/probe.proto" {
            let MessageResponse::FileDescriptorResponse(files) = &answer else {
                panic!("{answer:?}")
            };
            // Decoding them would lose the options, which are extensions.
            let served = &*files.file_descriptor_proto[0];
            let mut compiled = CONTRACT.descriptor_set.windows(served.len());
            assert!(compiled.any(|compiled| compiled == served));
        }
        let file = file(answer);
        assert_eq!(file.name(), name);
        wanted.extend(file.dependency.into_iter().filter(|import| seen.insert(import.clone())));
    }
    assert!(seen.contains("google/protobuf/descriptor.proto"), "{seen:?}");
}

#[tokio::test]
async fn a_foreign_client_sends_several_queries_in_one_stream() {
    let world = World::start().await;
    let mut client = ServerReflectionClient::new(world.channel().await);
    let (queries, asked) = tokio::sync::mpsc::channel(1);
    let asked = tokio_stream::wrappers::ReceiverStream::new(asked);
    let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
    for name in ["probe.v1.ActRequest", "no.Such", "probe.v1.ActResponse"] {
        let message_request = Some(FileContainingSymbol(name.to_owned()));
        let question = ServerReflectionRequest { host: String::new(), message_request };
        queries.send(question).await.unwrap();
        let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
        assert_eq!(refused(&answer), (name == "no.Such").then_some(Code::NotFound));
    }
    drop(queries);
    assert!(answers.next().await.is_none());
}
