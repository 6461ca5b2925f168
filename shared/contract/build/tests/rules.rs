//! A rule that cannot be applied is rejected, not ignored.

mod common;

use common::problems;

/// Returns the problems of a field f of this type with this rule, on line 6.
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
fn an_unsupported_rule_is_named() {
    for (kind, text, name) in [
        ("repeated string", ".repeated.items.required = true", "repeated.items.required"),
        (
            "repeated string",
            ".repeated.items.cel_expression = \"true\"",
            "repeated.items.cel_expression",
        ),
        ("map<string, string>", ".map.keys.cel = {}", "map.keys.cel"),
        ("string", ".cel = {id: \"a\" expression: \"true\"}", "cel"),
        ("string", ".cel_expression = \"true\"", "cel_expression"),
    ] {
        assert_eq!(rule(kind, text), unsupported(name), "{kind} {text}");
    }
}

#[test]
fn expressions_on_a_whole_message_are_not_supported() {
    assert_eq!(
        problems(
            "message M { option (buf.validate.message).cel = {id: \"a\" expression: \"true\"}; }"
        ),
        ["6: t.M: the rule buf.validate message.cel is not supported"]
    );
}

#[test]
fn a_choice_names_existing_fields_once() {
    let choice = |fields: &str| {
        problems(&format!(
            "message M {{ option (buf.validate.message).oneof = {{fields: [{fields}]}};
  string a = 1; string b = 2; }}"
        ))
    };
    assert_eq!(choice("\"a\", \"b\""), Vec::<String>::new());
    assert_eq!(choice(""), ["6: t.M: message.oneof names no fields"]);
    assert_eq!(
        choice("\"a\", \"c\", \"a\""),
        [
            "6: t.M: message.oneof: there is no field \"c\"",
            "6: t.M: message.oneof names \"a\" twice"
        ]
    );
}

#[test]
fn a_rule_that_does_not_exist_is_named_with_its_line() {
    let text =
        common::with_header("message M { string f = 1 [(buf.validate.field).string.minlen = 1]; }");
    let Err(error) = common::compile(&[("t.proto", &text)]) else { panic!("it builds") };
    let error = error.to_string();
    assert!(error.starts_with("t.proto:6:") && error.contains("minlen"), "{error}");
}

#[test]
fn predefined_rules_are_not_supported() {
    // Only proto2 can extend StringRules.
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
            "t.proto:6:33: t.M.f: the rule buf.validate string, predefined is not supported"
        ),
        "{error}"
    );
}

#[test]
fn a_rule_needs_a_value_of_its_type() {
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
fn two_rules_of_one_oneof_are_rejected() {
    for (kind, rules, both) in [
        ("string", [".string.email = true", ".string.uri = true"], "string.email and string.uri"),
        ("int32", [".int32.lte = 5", ".int32.lt = 9"], "int32.lt and int32.lte"),
        ("int32", [".int32 = {lte: 5}", ".int32.lt = 9"], "int32.lt and int32.lte"),
        (
            "google.protobuf.Timestamp",
            [".timestamp.lt_now = true", ".timestamp.lt = {}"],
            "timestamp.lt and timestamp.lt_now",
        ),
        (
            "repeated string",
            [".repeated.items.string.ip = true", ".repeated.items.string.uuid = true"],
            "repeated.items.string.ip and repeated.items.string.uuid",
        ),
        (
            "repeated string",
            [".string.min_len = 1", ".repeated.min_items = 1"],
            "string and repeated",
        ),
    ] {
        let rules = rules.join(", (buf.validate.field)");
        assert_eq!(
            rule(kind, &rules),
            [format!("{both}: a field may have only one of them")],
            "{rules}"
        );
    }
    let more =
        ".int32.gte = 1, (buf.validate.field).int32.lt = 9, (buf.validate.field).required = true";
    assert_eq!(rule("int32", more), Vec::<String>::new());
}

#[test]
fn a_pattern_is_a_regular_expression() {
    assert_eq!(
        rule("string", ".string.pattern = \"a(b\""),
        ["string.pattern is not a regular expression: unclosed group"]
    );
    // Neither RE2 nor Rust's crate supports look-ahead.
    assert_eq!(
        rule("string", ".string.pattern = \"a(?=b)\""),
        [
            "string.pattern is not a regular expression: look-around, including look-ahead and look-behind, is not supported"
        ]
    );
}

#[test]
fn limits_leave_at_least_one_value() {
    for (kind, text) in [
        ("int32", ".int32 = {gte: 5 lte: 5}"),
        ("int32", ".int32 = {gt: 4 lt: 5}"),
        ("int32", ".int32 = {gt: 5 lt: 4}"),
        ("int32", ".int32 = {gt: 5 lt: 4 in: [3, 6]}"),
        ("double", ".double = {gt: 0.5 lt: 0.75}"),
        ("string", ".string = {min_len: 2 max_len: 2}"),
    ] {
        assert_eq!(rule(kind, text), Vec::<String>::new(), "{kind} {text}");
    }
    for (kind, text, problem) in [
        ("int32", ".int32 = {gt: 5 lt: 5}", "int32: no value is within both bounds"),
        ("uint64", ".uint64 = {gt: 5 lte: 5}", "uint64: no value is within both bounds"),
        ("float", ".float = {gte: 1 lt: 1}", "float: no value is within both bounds"),
        (
            "google.protobuf.Duration",
            ".duration = {gt: {seconds: 2} lte: {seconds: 2}}",
            "duration: no value is within both bounds",
        ),
        (
            "google.protobuf.Timestamp",
            ".timestamp = {gt: {seconds: 2} lt: {seconds: 2}}",
            "timestamp: no value is within both bounds",
        ),
        (
            "google.protobuf.Timestamp",
            ".timestamp.within = {seconds: -1}",
            "timestamp.within must not be negative",
        ),
        (
            "int32",
            ".int32 = {gte: 5 const: 4}",
            "int32: a value of const or in is not within the bounds",
        ),
        (
            "sint64",
            ".sint64 = {gt: 5 lt: 4 in: [3, 5]}",
            "sint64: a value of const or in is not within the bounds",
        ),
        (
            "fixed32",
            ".fixed32 = {in: [1, 2] not_in: 2}",
            "fixed32: a value is both required and forbidden",
        ),
        (
            "string",
            ".string = {const: \"a\" not_in: \"a\"}",
            "string: a value is both required and forbidden",
        ),
        ("double", ".double = {in: [1, inf]}", "double.in has a value that is not a finite number"),
        ("string", ".string = {len: 3 max_len: 2}", "string.len is above string.max_len"),
        (
            "string",
            ".string = {min_bytes: 3 max_bytes: 2}",
            "string.min_bytes is above string.max_bytes",
        ),
        (
            "string",
            ".string = {min_len: 3 max_bytes: 2}",
            "string.min_len is above string.max_bytes",
        ),
        (
            "repeated string",
            ".repeated = {min_items: 3 max_items: 2}",
            "repeated.min_items is above repeated.max_items",
        ),
        (
            "map<string, string>",
            ".map = {min_pairs: 3 max_pairs: 2}",
            "map.min_pairs is above map.max_pairs",
        ),
        ("double", ".double = {gte: nan}", "double.gte is not a finite number"),
        ("float", ".float = {lt: inf}", "float.lt is not a finite number"),
        ("string", ".string = {min_len: 3 max_len: 2}", "string.min_len is above string.max_len"),
        ("bytes", ".bytes = {min_len: 3 max_len: 2}", "bytes.min_len is above bytes.max_len"),
    ] {
        assert_eq!(rule(kind, text), [problem], "{kind} {text}");
    }
}

#[test]
fn uniqueness_needs_comparable_items() {
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
fn secrets_are_in_messages_without_nested_types() {
    assert_eq!(
        problems("message M { oneof o { string s = 1 [debug_redact = true]; } }"),
        ["6: t.M: debug_redact is not supported in a message with oneofs or nested types"]
    );
}
