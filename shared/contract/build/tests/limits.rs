//! Limits of request messages, derived from the rules of their fields.

mod common;

use common::{compile, with_header};

/// Returns the limit in bytes of a method whose request message has the fields `body`.
fn limit(body: &str) -> Option<u32> {
    let text = with_header(&format!(
        "import \"google/protobuf/any.proto\"; import \"google/protobuf/field_mask.proto\";
         import \"google/protobuf/struct.proto\"; import \"google/protobuf/wrappers.proto\";
         message Q {{ {body} }}
         message Name {{ string text = 1 [(buf.validate.field).string.max_bytes = 1000]; }}
         message Tree {{ Tree left = 1; }}
         service S {{
           rpc M(Q) returns (Q) {{
             option idempotency_level = NO_SIDE_EFFECTS;
             option (gantry.contract.v1.policy) = {{timeout: {{seconds: 1}} public: true}};
           }}
         }}"
    ));
    let made = compile(&[("t.proto", &text)]).unwrap_or_else(|error| unreachable!("{error}"));
    let is_unlimited = made.reference.contains("- the request has at most the server's");
    let (_, limit) = made.code.split_once("max_request_bytes: ")?;
    let (limit, _) = limit.split_once(',')?;
    assert_eq!(limit == "None", is_unlimited);
    let bytes = limit.strip_prefix("Some(")?.strip_suffix("u32)")?.parse().ok()?;
    assert!(made.reference.contains(&format!("- the request has at most {} KiB", bytes / 1024)));
    Some(bytes)
}

/// Returns the limit of a request whose longest valid form has `longest` bytes.
fn twice(longest: u32) -> Option<u32> {
    Some((2 * longest + 16 * 1024).next_multiple_of(1024))
}

#[test]
fn bounded_fields_bound_the_request() {
    for (body, longest) in [
        ("", 0),
        ("int32 a = 1; bool b = 2; double c = 3; Q.E e = 4; enum E { E_UNSPECIFIED = 0; }", 60),
        ("string a = 1 [(buf.validate.field).string.max_len = 1000];", 4010),
        ("string a = 1 [(buf.validate.field).string.len = 1000];", 4010),
        ("string a = 1 [(buf.validate.field).string.max_bytes = 1000];", 1010),
        ("string a = 1 [(buf.validate.field).string.len_bytes = 1000];", 1010),
        ("string a = 1 [(buf.validate.field).string.uuid = true];", 46),
        ("string a = 1 [(buf.validate.field).string = {in: [\"a\", \"abc\"]}];", 13),
        ("string a = 1 [(buf.validate.field).string.const = \"abc\"];", 13),
        ("bytes a = 1 [(buf.validate.field).bytes.max_len = 5000];", 5010),
        ("bytes a = 1 [(buf.validate.field).bytes.ip = true];", 26),
        ("google.protobuf.Timestamp at = 1; google.protobuf.Duration long = 2;", 80),
        ("google.protobuf.StringValue a = 1 [(buf.validate.field).string.max_bytes = 9000];", 9020),
        ("Name a = 1; oneof o { Name b = 2; Name c = 3; }", 3060),
        ("repeated Name a = 1 [(buf.validate.field).repeated.max_items = 100];", 102_000),
        ("repeated int64 a = 1 [(buf.validate.field).repeated.max_items = 1000];", 15_000),
        (
            "repeated string a = 1 [(buf.validate.field).repeated = {
               max_items: 10 items: {string: {max_bytes: 1000}}}];",
            10_100,
        ),
        (
            "map<string, Name> a = 1 [(buf.validate.field).map = {
               max_pairs: 10 keys: {string: {max_bytes: 1000}}}];",
            20_350,
        ),
        ("google.protobuf.FieldMask mask = 1 [(buf.validate.field).field_mask.in = \"name\"];", 24),
    ] {
        assert_eq!(limit(body), twice(longest), "{body}");
    }
}

#[test]
fn one_unlimited_field_makes_the_request_unlimited() {
    for body in [
        "string a = 1;",
        "string a = 1 [(buf.validate.field).string.min_len = 1];",
        "string a = 1 [(buf.validate.field).string.email = true];",
        "bytes a = 1;",
        "repeated int32 a = 1;",
        "repeated string a = 1 [(buf.validate.field).repeated.max_items = 1];",
        "repeated string a = 1 [(buf.validate.field).repeated.items.string.max_len = 1];",
        "map<int32, int32> a = 1;",
        "map<string, int32> a = 1 [(buf.validate.field).map.max_pairs = 1];",
        "Tree a = 1;",
        "google.protobuf.Any a = 1;",
        "google.protobuf.Struct a = 1;",
        "google.protobuf.FieldMask a = 1;",
        "google.protobuf.BytesValue a = 1;",
        "string a = 1 [(buf.validate.field).ignore = IGNORE_ALWAYS,
                       (buf.validate.field).string.max_len = 1];",
        "repeated string a = 1 [(buf.validate.field).repeated = {max_items: 1
           items: {ignore: IGNORE_ALWAYS string: {max_len: 1}}}];",
    ] {
        assert_eq!(limit(body), None, "{body}");
    }
}

#[test]
fn a_limit_beyond_4_gib_is_none() {
    assert_eq!(limit("string a = 1 [(buf.validate.field).string.max_len = 4000000000];"), None);
    let most = u64::MAX;
    assert_eq!(limit(&format!("bytes a = 1 [(buf.validate.field).bytes.max_len = {most}];")), None);
}
