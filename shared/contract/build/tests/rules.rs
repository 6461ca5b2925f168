//! A rule that cannot be applied is refused, not ignored.

mod common;

use common::problems;

/// The problem of a field f of this type with this rule, on line 6.
fn rule(kind: &str, rule: &str) -> Vec<String> {
    problems(&format!(
        "message M {{ {kind} f = 1 [(buf.validate.field){rule}]; }} enum E {{ E_A = 0; }}"
    ))
    .iter()
    .map(|problem| problem.strip_prefix("6: t.M.f: ").unwrap_or(problem).to_owned())
    .collect()
}

fn unsupported(name: &str) -> [String; 1] {
    [format!("the rule buf.validate {name} is not supported")]
}

#[test]
fn what_is_not_supported_is_named() {
    for (kind, text, name) in [
        ("string", ".string.prefix = \"a\"", "string.prefix"),
        ("string", ".string.ip = true", "string.ip"),
        ("string", ".string.const = \"a\"", "string.const"),
        ("string", ".string.in = \"a\"", "string.in"),
        ("bytes", ".bytes.len = 1", "bytes.len"),
        ("int32", ".int32.const = 1", "int32.const"),
        ("int32", ".int32.in = 1", "int32.in"),
        ("double", ".double.finite = true", "double.finite"),
        ("bool", ".bool.const = true", "bool.const"),
        ("E", ".enum.const = 1", "enum.const"),
        ("repeated string", ".repeated.items.string.prefix = \"a\"", "string.prefix"),
        ("repeated string", ".repeated.items.required = true", "repeated.items.required"),
        ("map<string, string>", ".map.values.string.prefix = \"a\"", "string.prefix"),
        ("google.protobuf.Duration", ".duration.const = {}", "duration.const"),
        ("google.protobuf.Timestamp", ".timestamp.lt_now = true", "timestamp.lt_now"),
        ("string", ".cel = {id: \"a\" expression: \"true\"}", "cel"),
        ("string", ".cel_expression = \"true\"", "cel_expression"),
    ] {
        assert_eq!(rule(kind, text), unsupported(name), "{kind} {text}");
    }
}

#[test]
fn rules_of_a_whole_message_are_not_supported() {
    assert_eq!(
        problems(
            "message M { option (buf.validate.message).cel = {id: \"a\" expression: \"true\"}; }"
        ),
        ["6: t.M: the rule buf.validate message is not supported"]
    );
}

#[test]
fn predefined_rules_are_not_supported() {
    // An extension of StringRules needs proto2.
    let own = "syntax = \"proto2\"; package own; import \"buf/validate/validate.proto\";
               extend buf.validate.StringRules { optional bool nice = 50000; }";
    let text = common::with_header(
        "import \"own.proto\"; message M { string f = 1 [(buf.validate.field).string.(own.nice) = true]; }",
    );
    let Err(error) = common::compile(&[("own.proto", own), ("t.proto", &text)]) else {
        panic!("it builds");
    };
    assert!(
        error.to_string().ends_with(
            "t.proto:6: t.M.f: the rule buf.validate string, predefined is not supported"
        ),
        "{error}"
    );
}

#[test]
fn a_rule_stands_on_a_value_of_its_type() {
    for (kind, text, problem) in [
        ("int32", ".string.min_len = 1", "string rules on a value of type int32"),
        ("string", ".int32.gte = 1", "int32 rules on a value of type string"),
        ("int64", ".int32.gte = 1", "int32 rules on a value of type int64"),
        ("string", ".bool.const = true", "bool rules on a value of type string"),
        ("string", ".enum.defined_only = true", "enum rules on a value of type string"),
        ("E", ".int32.gte = 1", "int32 rules on a value of type t.E"),
        ("string", ".duration.gte = {}", "duration rules on a value of type string"),
        (
            "google.protobuf.Timestamp",
            ".duration.gte = {}",
            "duration rules on a value of type google.protobuf.Timestamp",
        ),
        ("string", ".repeated.min_items = 1", "repeated rules on a value of type string"),
        ("repeated string", ".string.min_len = 1", "string rules on a repeated field"),
        (
            "repeated int32",
            ".repeated.items.string.min_len = 1",
            "string rules on a value of type int32",
        ),
        ("map<string, string>", ".repeated.min_items = 1", "repeated rules on a map field"),
        (
            "map<string, int32>",
            ".map.values.string.min_len = 1",
            "string rules on a value of type int32",
        ),
        (
            "map<int32, string>",
            ".map.keys.string.min_len = 1",
            "string rules on a value of type int32",
        ),
    ] {
        assert_eq!(rule(kind, text), [problem], "{kind} {text}");
    }
}

#[test]
fn a_pattern_is_a_regular_expression() {
    assert_eq!(
        rule("string", ".string.pattern = \"a(b\""),
        ["string.pattern is no regular expression: unclosed group"]
    );
    // Look-ahead is beyond RE2 and beyond us.
    assert_eq!(
        rule("string", ".string.pattern = \"a(?=b)\""),
        [
            "string.pattern is no regular expression: look-around, including look-ahead and look-behind, is not supported"
        ]
    );
}

#[test]
fn something_is_within_the_limits() {
    for (kind, text) in [
        ("int32", ".int32 = {gte: 5 lte: 5}"),
        ("int32", ".int32 = {gt: 4 lt: 5}"),
        ("double", ".double = {gt: 0.5 lt: 0.75}"),
        ("string", ".string = {min_len: 2 max_len: 2}"),
    ] {
        assert_eq!(rule(kind, text), Vec::<String>::new(), "{kind} {text}");
    }
    for (kind, text, problem) in [
        ("int32", ".int32 = {gte: 5 lte: 4}", "no value is within both bounds of int32"),
        ("uint64", ".uint64 = {gt: 5 lte: 5}", "no value is within both bounds of uint64"),
        ("float", ".float = {gte: 1 lt: 1}", "no value is within both bounds of float"),
        (
            "google.protobuf.Duration",
            ".duration = {gte: {seconds: 2} lte: {seconds: 1 nanos: 999999999}}",
            "no value is within both bounds of duration",
        ),
        ("double", ".double = {gte: nan}", "double.gte: no finite number"),
        ("float", ".float = {lt: inf}", "float.lt: no finite number"),
        ("string", ".string = {min_len: 3 max_len: 2}", "string.min_len is above string.max_len"),
        ("bytes", ".bytes = {min_len: 3 max_len: 2}", "bytes.min_len is above bytes.max_len"),
    ] {
        assert_eq!(rule(kind, text), [problem], "{kind} {text}");
    }
}

#[test]
fn uniqueness_needs_something_to_compare_by() {
    for kind in ["repeated M", "repeated double"] {
        assert_eq!(
            rule(kind, ".repeated.unique = true"),
            ["repeated.unique is for strings, bytes, integers, bools and enums"]
        );
    }
}

#[test]
fn a_reason_begins_with_its_enums_name() {
    assert_eq!(
        problems(
            "enum OrderReason {
  option (gantry.contract.v1.reason_domain) = \"\";
  ORDER_REASON_UNSPECIFIED = 0;
  ORDER_REASON_ = 1;
  LATE = 2;
}"
        ),
        [
            "6: t.OrderReason: reason_domain is empty",
            "9: t.ORDER_REASON_: a reason's name begins with ORDER_REASON_",
            "10: t.LATE: a reason's name begins with ORDER_REASON_",
        ]
    );
}

#[test]
fn secrets_stand_in_plain_messages() {
    assert_eq!(
        problems("message M { oneof o { string s = 1 [debug_redact = true]; } }"),
        ["6: t.M: debug_redact is not supported in a message with oneofs or nested types"]
    );
}
