//! Contracts of other teams: unusual names, other syntaxes, deep messages.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;

use common::{nothing, wrong};
use gantry_contract::Validate;
use gantry_contract_conformance::{
    CONTRACT,
    conformance::v1::Tree,
    conformance::v1::Word as TheirWord,
    strange::r#type::v1::{
        Foreign, Keywords, Old, Option as Odd, Word, keywords::Type, match_client::MatchClient,
        match_server, match_server::MatchServer, old, option,
    },
};
use prost::Message;
use tonic::{Request, Response, Status};

#[test]
fn rust_keywords_and_prelude_names_can_be_used() {
    let long = || "long".to_owned();
    let odd = Odd {
        some: long(),
        none: Some(long()),
        vec: vec![Odd::default(), Odd::default()],
        r#box: BTreeMap::from([("a".into(), Odd { some: long(), ..Odd::default() })]),
        result: option::Result::Err.into(),
    };
    assert_eq!(
        wrong(&odd),
        [
            "Some: must have at most 1 character",
            "None: must have at most 1 character",
            "Vec: must have at most 1 item",
            "Box[\"a\"].Some: must have at most 1 character",
        ]
    );
    let keywords = Keywords {
        crate_: long(),
        super_: long(),
        r#async: long(),
        http_server2_go: long(),
        leading: long(),
        value: long(),
        path: long(),
        out: long(),
        at: long(),
        aliased: 1,
        r#type: Some(Type::Fn(long())),
    };
    let fields: Vec<_> = keywords.check().unwrap_err().iter().map(|v| v.field.clone()).collect();
    assert_eq!(
        fields,
        [
            "crate",
            "super",
            "async",
            "HTTPServer2Go",
            "_leading",
            "value",
            "path",
            "out",
            "at",
            "fn",
            "aliased",
        ]
    );
    for aliased in [0, -1] {
        assert_eq!(wrong(&Keywords { aliased, ..Keywords::default() }), nothing());
    }
}

#[test]
fn packages_may_share_names_and_import_each_other() {
    let word =
        Word { word: Some(TheirWord { text: "longer".into() }), text: String::new(), old: None };
    assert_eq!(
        wrong(&word),
        ["word.text: must have at most 5 characters", "text: must have at least 1 character"]
    );
    assert!(CONTRACT.method("/strange.type.v1.Match/Type").is_some());
}

#[test]
fn proto2_distinguishes_absent_from_empty() {
    // A default value of an absent field is not validated.
    assert_eq!(wrong(&Old::default()), ["id: is required"]);
    assert_eq!(wrong(&Old { id: Some(String::new()), ..Old::default() }), nothing());
    let old = Old {
        id: Some("long".into()),
        count: Some(0),
        packed: vec![1, 2],
        kind: Some(3),
        part: Some(old::Part { name: Some(String::new()) }),
    };
    assert_eq!(
        wrong(&old),
        [
            "id: must have at most 1 character",
            "count: must be at least 5",
            "packed: must have at most 1 item",
            "part.name: must have at least 1 character",
        ]
    );
}

#[test]
#[expect(deprecated, reason = "the test is about deprecated declarations")]
fn deprecated_declarations_have_rules_too() {
    use gantry_contract::Reason as _;
    use gantry_contract_conformance::strange::r#type::v1::{Gone, Hushed, gone};

    let gone = Gone { text: "long".into(), why: 7, one: Some(gone::One::Other("long".into())) };
    assert_eq!(
        wrong(&gone),
        [
            "text: must have at most 1 character",
            "other: must have at most 1 character",
            "why: must be a value that the contract defines",
        ]
    );
    // A reason in a message is a reason too.
    assert_eq!((gone::Why::Old.reason(), gone::Why::Old.domain()), ("OLD", "strange"));
    let hushed = Hushed { secret: "hush".into() };
    assert_eq!(format!("{hushed:?}"), "Hushed { secret: [redacted] }");
}

/// A server that returns its request.
struct Echo;

#[tonic::async_trait]
impl match_server::Match for Echo {
    type spellStream = tokio_stream::Iter<std::vec::IntoIter<Result<bool, Status>>>;

    async fn r#type(&self, request: Request<Word>) -> Result<Response<Word>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn count(&self, request: Request<i64>) -> Result<Response<Vec<u8>>, Status> {
        Ok(Response::new(request.into_inner().to_be_bytes().into()))
    }

    async fn spell(&self, request: Request<String>) -> Result<Response<Self::spellStream>, Status> {
        Ok(Response::new(tokio_stream::iter(vec![Ok(request.into_inner() == "spell")])))
    }
}

#[tokio::test]
async fn methods_may_use_googles_wrappers() {
    let mut client = MatchClient::new(MatchServer::new(Echo));
    #[expect(deprecated, reason = "a deprecated method can still be called")]
    let counted = client.count(7).await.unwrap();
    assert_eq!(counted.into_inner(), 7_i64.to_be_bytes());
    let mut spelt = client.spell("spell".to_owned()).await.unwrap().into_inner();
    assert!(spelt.message().await.unwrap().unwrap());
}

#[test]
fn rules_apply_to_fields_of_foreign_types() {
    let foreign = Foreign {
        text: Some("long".into()),
        bytes: vec![b"a".to_vec(), b"long".to_vec()],
        ..Foreign::default()
    };
    assert_eq!(
        wrong(&foreign),
        [
            "any: is required",
            "text: must have at most 1 character",
            "bytes[1]: must have at most 1 byte",
        ]
    );
}

/// Encodes a tree with this number of levels.
fn deep(levels: usize) -> Vec<u8> {
    (1..levels).fold(Vec::new(), |inner, _| {
        let mut outer = vec![(2 << 3) | 2];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend(inner);
        outer
    })
}

#[test]
fn a_recursive_message_is_validated_at_every_level() {
    // The innermost level and all others have no name.
    let tree = Tree::decode(&*deep(100)).unwrap();
    assert_eq!(tree.check().unwrap_err().len(), 100);
    for levels in [102, 1_000, 10_000] {
        let refused = Tree::decode(&*deep(levels)).unwrap_err().to_string();
        assert!(refused.contains("recursion limit"), "{refused}");
    }
}
