//! Errors for unsupported features and mistakes in contracts of other teams.

mod common;

use common::{compile, problems, with_header};

/// Returns the error of a single file, or an empty text.
fn refused(text: &str) -> String {
    compile(&[("t.proto", text)]).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn editions_are_not_read_yet() {
    let text = "edition = \"2023\"; package t; message M { string a = 1; }";
    assert!(refused(text).ends_with("but found 'edition'"), "{}", refused(text));
}

#[test]
fn a_required_field_of_proto2_is_rejected() {
    assert_eq!(
        refused("syntax = \"proto2\"; package t;\nmessage M { required string f = 1; }"),
        "the contract has 1 problem(s):\n  t.proto:2:13: t.M.f: `required` is not checked: \
         use optional and (buf.validate.field).required"
    );
}

#[test]
fn a_method_cannot_have_a_name_of_generated_clients() {
    assert_eq!(
        problems(
            "message Q {} service S {
  rpc New(Q) returns (Q) { option idempotency_level = NO_SIDE_EFFECTS;
    option (gantry.contract.v1.policy) = {timeout: {seconds: 1} public: true}; } }"
        ),
        ["7: t.S.New: generated clients have a method `new` of their own"]
    );
}

#[test]
fn methods_with_the_same_rust_name_are_reported() {
    let method = |name: &str| {
        format!(
            "rpc {name}(Q) returns (Q) {{ option idempotency_level = NO_SIDE_EFFECTS;
    option (gantry.contract.v1.policy) = {{timeout: {{seconds: 1}} public: true}}; }}"
        )
    };
    let (one, two) = (method("GetIt"), method("get_it"));
    assert_eq!(
        problems(&format!("message Q {{}} service S {{\n{one}\n{two} }}")),
        ["9: t.S.get_it: a second method `get_it` in generated code"]
    );
}

#[test]
fn a_rule_on_an_extension_is_rejected() {
    let text = "syntax = \"proto2\"; package t; import \"buf/validate/validate.proto\";
message M { extensions 100 to 199; }
extend M { optional string x = 100 [(buf.validate.field).string.min_len = 3]; }
message N { extend M { optional string y = 101 [(buf.validate.field).required = true]; } }";
    assert_eq!(
        refused(text),
        "the contract has 2 problem(s):\n  \
         t.proto:3:12: t.x: the rules of an extension are not supported\n  \
         t.proto:4:24: t.N.y: the rules of an extension are not supported"
    );
}

#[test]
fn an_unknown_or_mistyped_option_is_named_with_its_place() {
    let field = |rule: &str| format!("message M {{ string f = 1 [(buf.validate.{rule}]; }}");
    let method = |policy: &str| {
        format!(
            "message M {{}} service S {{ rpc M(M) returns (M) {{
  option idempotency_level = NO_SIDE_EFFECTS;
  option (gantry.contract.v1.policy) = {{ {policy} }}; }} }}"
        )
    };
    for (text, expected) in [
        (
            field("field).string.min_len = \"a\""),
            "6:27: expected a value of type 'uint64' for option '(buf.validate.field).string.min_len', but found '\"a\"'",
        ),
        (
            field("field).string.min_len = -1"),
            "6:27: expected a value of type 'uint64' for option '(buf.validate.field).string.min_len', but found '-1'",
        ),
        (
            field("field).string.pattern = 1"),
            "6:27: expected a value of type 'string' for option '(buf.validate.field).string.pattern', but found '1'",
        ),
        (
            field("field).string.min_length = 1"),
            "6:27: option field '(buf.validate.field).string.min_length' is not defined",
        ),
        (
            field("field).strings.min_len = 1"),
            "6:27: option field '(buf.validate.field).strings' is not defined",
        ),
        (
            field("feld).string.min_len = 1"),
            "6:27: 'buf.validate.feld' resolves to 'buf.validate.feld', which is not defined",
        ),
        (
            field("field).int32.gte = 5000000000"),
            "6:27: expected a value of type 'int32' for option '(buf.validate.field).int32.gte', but found '5000000000'",
        ),
        (field("field).string = {min_len: 1"), " expected ',' or ']', but reached end of file"),
        (
            method("timout: {seconds: 1}"),
            "field 'timout' not found for message 'gantry.contract.v1.MethodPolicy'",
        ),
        (method("timeout: 1"), "expected '{' or '<', but found '1'"),
        (
            method("public: true permission: \"a\" timeout: {seconds: 1}"),
            "a value is already set for oneof 'access'",
        ),
    ] {
        let error = refused(&with_header(&text));
        assert!(error.starts_with("t.proto:") && error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn all_undefined_names_are_reported() {
    let text = with_header("message M {\n  A a = 1;\n  B b = 2;\n  string c = 2;\n}");
    assert_eq!(
        refused(&text),
        "t.proto:7:3: name 'A' is not defined\nt.proto:8:3: name 'B' is not defined\n\
         t.proto:9:14: field number '2' is already used"
    );
}
