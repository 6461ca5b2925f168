//! Lists are measured before they are decoded, and their violations are the same as for shorter
//! lists.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::wrong;
use gantry_contract::{GantryReason, Reason, Validate, codec::ServerCodec, shape::MAX_MEMORY};
use gantry_contract_conformance::{
    CONTRACT,
    conformance::v1::{Branch, Keys, Leaf, Lists, Maps, Others, Tree},
};
use http_body_util::Full;
use prost::{Message, bytes::Bytes};
use tonic::{Code, Status, Streaming, codec::Codec};
use tonic_types::StatusExt;

/// Decodes a message as a server does.
async fn decode<M: Message + Default + Validate + 'static>(message: &[u8]) -> Result<M, Status> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    let decoder = ServerCodec::<(), M>::default().decoder();
    let body = Full::new(Bytes::from(framed));
    let mut requests = Streaming::new_request(decoder, body, None, None);
    requests.message().await.map(Option::unwrap_or_default)
}

/// Returns the violations of a message that is long enough to be measured.
async fn refused<M: Message + Default + Validate + 'static>(message: &M) -> Vec<String> {
    let encoded = message.encode_to_vec();
    assert!(encoded.len() > 1024, "short messages are not measured");
    let status = decode::<M>(&encoded).await.err().unwrap();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect()
}

fn leaf(name: &str) -> Leaf {
    Leaf { name: name.to_owned() }
}

#[tokio::test]
async fn long_lists_are_reported_with_all_other_violations() {
    let lists = Lists {
        items: vec!["long".to_owned(); 1000],
        leaves: vec![leaf(""); 100_000],
        colours: vec![0, 9],
        ..Lists::default()
    };
    let shorter =
        Lists { items: vec!["long".to_owned(); 4], leaves: vec![leaf(""); 3], ..lists.clone() };
    let expected = wrong(&shorter);
    assert!(expected.contains(&"leaves: must have at most 2 items".to_owned()), "{expected:?}");
    assert_eq!(refused(&lists).await, expected);
}

#[tokio::test]
async fn long_maps_are_reported_too() {
    let texts = |count: usize| (0..count).map(|key| (format!("{key:04}"), String::new())).collect();
    let maps = Maps { texts: texts(10_000), ..Maps::default() };
    let shorter = Maps { texts: texts(3), ..Maps::default() };
    assert_eq!(refused(&maps).await, wrong(&shorter));
}

#[tokio::test]
async fn repeated_map_keys_beyond_the_limit_are_rejected() {
    let entry = [0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'1'];
    let status = decode::<Maps>(&entry.repeat(1000)).await.err().unwrap();
    assert!(GantryReason::ValidationFailed.is_given_by(&status), "{status:?}");
}

#[tokio::test]
async fn valid_messages_are_not_cut() {
    let lists = Lists {
        items: vec!["a".to_owned()],
        always: vec![leaf(&"x".repeat(100)); 50],
        ..Lists::default()
    };
    assert_eq!(decode::<Lists>(&lists.encode_to_vec()).await.unwrap(), lists);
    let children = vec![Tree { name: "oak".to_owned(), ..Tree::default() }; 5000];
    let tree = Tree { name: "oak".to_owned(), children, ..Tree::default() };
    assert_eq!(decode::<Tree>(&tree.encode_to_vec()).await.unwrap(), tree);
    let keys = Keys { ignored: (0..500).map(|key| (key, leaf(""))).collect(), ..Keys::default() };
    assert_eq!(decode::<Keys>(&keys.encode_to_vec()).await.unwrap(), keys);
}

#[tokio::test]
async fn lists_without_a_limit_are_bounded_by_memory() {
    async fn too_large<M: Message + Default + Validate + 'static>(bytes: Vec<u8>) {
        let status = decode::<M>(&bytes).await.err().unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(GantryReason::MessageTooLarge.is_given_by(&status));
    }
    let items = MAX_MEMORY / size_of::<Tree>() + 1;
    // Empty children, also in another message; empty texts in a field mask.
    let children = [0x22, 0].repeat(items);
    let mut branch = vec![0x0a];
    prost::encoding::encode_varint(children.len() as u64, &mut branch);
    branch.extend(&children);
    too_large::<Branch>(branch).await;
    too_large::<Tree>(children).await;
    let mut mask = vec![0x22];
    let paths = [0x0a, 0].repeat(MAX_MEMORY / 48 + 1);
    prost::encoding::encode_varint(paths.len() as u64, &mut mask);
    mask.extend(paths);
    too_large::<Others>(mask).await;
}

#[tokio::test]
async fn unknown_fields_are_free_and_nesting_is_limited() {
    // Fields of a newer caller.
    let unknown = [0xf8, 0x07, 1].repeat(1000);
    let valid = Lists { items: vec!["a".to_owned()], ..Lists::default() };
    let bytes = [valid.encode_to_vec(), unknown].concat();
    assert_eq!(decode::<Lists>(&bytes).await.unwrap(), valid);
    let deep = [[0xfb, 0x07].repeat(100_000), [0xfc, 0x07].repeat(100_000)].concat();
    let status = decode::<Lists>(&deep).await.err().unwrap();
    assert!(GantryReason::MalformedMessage.is_given_by(&status), "{status:?}");
}

#[test]
fn each_method_has_the_limit_of_its_request() {
    let limit = |name: &str| {
        CONTRACT.method(&format!("/conformance.v1.Words/{name}")).unwrap().max_request_bytes
    };
    assert_eq!(limit("Echo"), Some(17 * 1024));
    assert_eq!(limit("Clear"), Some(16 * 1024));
    // One of its texts has no maximum length.
    assert_eq!(limit("Put"), None);
}
