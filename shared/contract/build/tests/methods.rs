//! A contract with an incomplete method does not build.

mod common;

use common::{compile, problems, with_header};
use gantry_contract_build::Error;

/// Access policy of the methods in these tests, on one line.
const ACCESS: &str = r#"option (gantry.contract.v1.access) = {permissions: ["a:read"]};"#;

/// Returns the problems of a service S with the method M on line 9, which has these options.
fn method(options: &str) -> Vec<String> {
    problems(&format!(
        "{ACCESS}
message Q {{ string id = 1; }}
service S {{
  rpc M(Q) returns (Q) {{ {options} }}
}}"
    ))
}

fn policy(policy: &str) -> Vec<String> {
    method(&format!(
        "option idempotency_level = NO_SIDE_EFFECTS; option (gantry.contract.v1.policy) = {{ {policy} }};"
    ))
}

fn retry(level: &str, retry: &str) -> Vec<String> {
    method(&format!(
        "option idempotency_level = {level}; \
         option (gantry.contract.v1.policy) = {{ timeout: {{seconds: 1}} public: true retry: {{ {retry} }} }};"
    ))
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_complete_method_builds() {
    assert_eq!(policy("timeout: {seconds: 1} permission: \"a:read\""), none());
    assert_eq!(policy("timeout: {nanos: 1} public: true"), none());
}

#[test]
fn a_method_without_options_has_three_problems() {
    assert_eq!(
        method(""),
        [
            "9: t.S.M: no timeout: (gantry.contract.v1.policy).timeout is required",
            "9: t.S.M: no access: (gantry.contract.v1.policy) needs a permission or public: true",
            "9: t.S.M: no idempotency_level: NO_SIDE_EFFECTS, IDEMPOTENT, or IDEMPOTENCY_UNKNOWN for neither",
        ]
    );
}

#[test]
fn a_timeout_is_above_zero() {
    for timeout in ["{}", "{seconds: -1}", "{nanos: -1}", "{seconds: 1, nanos: 1000000000}"] {
        assert_eq!(
            policy(&format!("timeout: {timeout} public: true")),
            ["9: t.S.M: timeout must be longer than 0"],
            "{timeout}"
        );
    }
}

#[test]
fn public_is_true_or_absent() {
    assert_eq!(
        policy("timeout: {seconds: 1} public: false"),
        ["9: t.S.M: public: false has no effect: name a permission, or set public: true"]
    );
}

#[test]
fn a_method_cannot_be_public_and_have_a_permission() {
    for both in [
        "option (gantry.contract.v1.policy) = {timeout: {seconds: 1} permission: \"a:read\"};
         option (gantry.contract.v1.policy).public = true;",
        "option (gantry.contract.v1.policy).public = true;
         option (gantry.contract.v1.policy).timeout.seconds = 1;
         option (gantry.contract.v1.policy).permission = \"a:read\";",
    ] {
        let both = method(&format!("option idempotency_level = NO_SIDE_EFFECTS; {both}"));
        assert_eq!(both, ["9: t.S.M: public and permission: a method may have only one of them"]);
    }
}

#[test]
fn a_permission_is_one_of_the_access_policys() {
    assert_eq!(
        policy("timeout: {seconds: 1} permission: \"a:raed\""),
        ["9: t.S.M: permission \"a:raed\" is not in the access policy"]
    );
    assert_eq!(
        problems(
            "message Q {} service S { rpc M(Q) returns (Q) {
               option idempotency_level = NO_SIDE_EFFECTS;
               option (gantry.contract.v1.policy) = {timeout: {seconds: 1} permission: \"a\"}; } }"
        ),
        [
            "6: t.S.M: permission \"a\": the contract has no access policy (gantry.contract.v1.access)"
        ]
    );
}

#[test]
fn roles_name_declared_permissions_and_names_are_unique() {
    assert_eq!(
        problems(
            r#"option (gantry.contract.v1.access) = {
                permissions: ["a", "b", "a", ""]
                roles: [{name: "r" permissions: ["a", "c"] own: ["d"]}, {name: "r"}, {}]
            };"#
        ),
        [
            "6: access policy: permission \"a\" twice",
            "6: access policy: a permission without a name",
            "6: access policy: role \"r\" names the permission \"c\", which is not declared",
            "6: access policy: role \"r\" names the permission \"d\", which is not declared",
            "6: access policy: role \"r\" twice",
            "6: access policy: a role without a name",
        ]
    );
}

#[test]
fn a_contract_has_one_access_policy() {
    let one = with_header(ACCESS);
    let two = one.replace("package t", "package u");
    let Err(Error::Contract(problems)) = compile(&[("a.proto", &one), ("b.proto", &two)]) else {
        panic!("it builds");
    };
    assert_eq!(problems, ["  b.proto:6:1: a second access policy; the first is in a.proto"]);
}

fn rated(rates: &str, class: &str) -> Vec<String> {
    problems(&format!(
        "option (gantry.contract.v1.rates) = {{ {rates} }};
service S {{ rpc M(Q) returns (Q) {{
  option idempotency_level = NO_SIDE_EFFECTS;
  option (gantry.contract.v1.policy) = {{timeout: {{seconds: 1}} public: true {class}}}; }} }}
message Q {{}}"
    ))
}

#[test]
fn a_rate_class_is_one_of_the_rate_policys() {
    let rates = "classes: {name: \"few\" per_second: 0.1 burst: 1}";
    assert_eq!(rated(rates, "rate_class: \"few\""), none());
    assert_eq!(
        rated(rates, "rate_class: \"fwe\""),
        [
            "7: t.S.M: rate class \"fwe\" is not in the rate policy",
            "6: rate class \"few\": no method names it",
        ]
    );
    assert_eq!(
        problems(
            "service S { rpc M(Q) returns (Q) {
  option idempotency_level = NO_SIDE_EFFECTS;
  option (gantry.contract.v1.policy) = {timeout: {seconds: 1} public: true rate_class: \"x\"}; } }
message Q {}"
        ),
        ["6: t.S.M: rate class \"x\": the contract has no rate policy (gantry.contract.v1.rates)"]
    );
}

#[test]
fn a_rate_class_has_a_name_and_positive_numbers() {
    let used = "rate_class: \"a\"";
    assert_eq!(
        rated(
            "classes: [{name: \"a\" per_second: 1 burst: 1}, {name: \"a\"}, {burst: 1 per_second: inf}]",
            used
        ),
        [
            "6: rate class \"a\": declared twice",
            "6: rate class \"a\": per_second must be above 0",
            "6: rate class \"a\": burst must be at least 1",
            "6: rate class \"\": it has no name",
            "6: rate class \"\": per_second must be above 0",
            "6: rate class \"a\": no method names it",
            "6: rate class \"\": no method names it",
        ]
    );
}

const WRITE: &str = "service S { rpc M(Q) returns (Q) {
  option idempotency_level = IDEMPOTENT;
  option (gantry.contract.v1.policy) = {timeout: {seconds: 1} public: true CLASS}; } }
message Q { string request_id = 1 [(buf.validate.field).string.uuid = true]; }";

/// Returns the lines of the reference with the method's class and with the classes.
fn classes_of_a_write(rates: &str, class: &str) -> Vec<String> {
    let text = with_header(&format!("{rates} {}", WRITE.replace("CLASS", class)));
    let made = compile(&[("a.proto", &text)]).unwrap_or_else(|error| unreachable!("{error}"));
    let lines = |line: &&str| line.contains("rate class `") || line.ends_with(" |");
    made.reference.lines().filter(lines).map(str::to_owned).collect()
}

#[test]
fn a_write_without_a_class_has_the_class_writes() {
    let lines = classes_of_a_write("", "");
    assert!(lines.contains(&"- rate class `writes`".to_owned()), "{lines:?}");
    assert!(lines.contains(&"| `writes` | 50 | 250 |".to_owned()), "{lines:?}");
}

#[test]
fn a_contract_can_change_the_limit_of_writes() {
    let rates = "option (gantry.contract.v1.rates) = \
                 {classes: {name: \"writes\" per_second: 1 burst: 2}};";
    let lines = classes_of_a_write(rates, "");
    assert!(lines.contains(&"- rate class `writes`".to_owned()), "{lines:?}");
    assert!(lines.contains(&"| `writes` | 1 | 2 |".to_owned()), "{lines:?}");
}

#[test]
fn a_write_that_names_a_class_has_that_one() {
    let rates = "option (gantry.contract.v1.rates) = \
                 {classes: {name: \"few\" per_second: 1 burst: 2}};";
    let lines = classes_of_a_write(rates, "rate_class: \"few\"");
    assert!(lines.contains(&"- rate class `few`".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("writes")), "{lines:?}");
}

#[test]
fn a_contract_has_one_rate_policy() {
    let one = "option (gantry.contract.v1.rates) = {};";
    let (one, two) = (with_header(one), with_header(one).replace("package t", "package u"));
    let Err(Error::Contract(problems)) = compile(&[("a.proto", &one), ("b.proto", &two)]) else {
        panic!("it builds");
    };
    assert_eq!(problems, ["  b.proto:6:1: a second rate policy; the first is in a.proto"]);
}

#[test]
fn an_unknown_idempotency_is_a_declaration_too() {
    let unknown = "option idempotency_level = IDEMPOTENCY_UNKNOWN; \
                   option (gantry.contract.v1.policy) = { timeout: {seconds: 1} public: true };";
    assert_eq!(method(unknown), none());
}

#[test]
fn an_idempotent_method_has_a_request_id() {
    let with_field = |field: &str| {
        problems(&format!(
            "message Q {{ {field} }}
service S {{ rpc M(Q) returns (Q) {{
  option idempotency_level = IDEMPOTENT;
  option (gantry.contract.v1.policy) = {{timeout: {{seconds: 1}} public: true}}; }} }}"
        ))
    };
    let rule = "(buf.validate.field).string.uuid = true";
    assert_eq!(with_field(&format!("string request_id = 1 [{rule}];")), none());
    assert_eq!(
        with_field(&format!(
            "optional string request_id = 1 [{rule}, (buf.validate.field).required = true];"
        )),
        none()
    );
    for bad in [
        "",
        "string request_id = 1;",
        "int64 request_id = 1;",
        "string request_id = 1 [(buf.validate.field).string.uuid = false];",
        "repeated string request_id = 1 [(buf.validate.field).repeated.items.string.uuid = true];",
        &format!("string requestid = 1 [{rule}];"),
        &format!("optional string request_id = 1 [{rule}];"),
        &format!(
            "string request_id = 1 [{rule}, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];"
        ),
    ] {
        assert_eq!(
            with_field(bad),
            ["7: t.S.M: IDEMPOTENT, but t.Q has no `string request_id` with the rule string.uuid \
                 (required where it is optional, and not ignored)"],
            "{bad}"
        );
    }
}

#[test]
fn only_repeatable_methods_can_be_retried() {
    assert_eq!(retry("NO_SIDE_EFFECTS", "max_attempts: 5"), none());
    assert_eq!(retry("IDEMPOTENCY_UNKNOWN", "max_attempts: 1"), none());
    for attempts in ["max_attempts: 2", ""] {
        assert_eq!(
            retry("IDEMPOTENCY_UNKNOWN", attempts),
            [
                "9: t.S.M: retry: a method that is not idempotent must not be retried: max_attempts must be 1"
            ]
        );
    }
}

#[test]
fn a_stream_of_requests_is_not_retried() {
    assert_eq!(
        problems(
            "message Q {} service S { rpc M(stream Q) returns (Q) {
               option idempotency_level = NO_SIDE_EFFECTS;
               option (gantry.contract.v1.policy) =
                 {timeout: {seconds: 1} public: true retry: {max_attempts: 2}}; } }"
        ),
        ["6: t.S.M: retry: a stream of requests cannot be retried: max_attempts must be 1"]
    );
}

#[test]
fn attempts_and_backoff_have_limits() {
    let read = |text: &str| retry("NO_SIDE_EFFECTS", text);
    for attempts in [0, 6] {
        assert_eq!(
            read(&format!("max_attempts: {attempts}")),
            ["9: t.S.M: retry: max_attempts must be 1 to 5"]
        );
    }
    assert_eq!(
        read("initial_backoff: {}"),
        ["9: t.S.M: retry: initial_backoff must be longer than 0"]
    );
    assert_eq!(
        read("initial_backoff: {seconds: 2} max_backoff: {seconds: 1}"),
        ["9: t.S.M: retry: max_backoff must not be shorter than initial_backoff"]
    );
    // The default of max_backoff grows with initial_backoff.
    assert_eq!(read("initial_backoff: {seconds: 5}"), none());
    for multiplier in ["0.5", "-1", "nan", "inf"] {
        assert_eq!(
            read(&format!("backoff_multiplier: {multiplier}")),
            ["9: t.S.M: retry: backoff_multiplier must be at least 1"]
        );
    }
}

/// Returns the problems of a hedged method with a timeout of one second.
fn hedging(level: &str, hedging: &str) -> Vec<String> {
    method(&format!(
        "option idempotency_level = {level}; \
         option (gantry.contract.v1.policy) = {{ timeout: {{seconds: 1}} public: true hedging: {{ {hedging} }} }};"
    ))
}

#[test]
fn a_hedged_method_needs_a_delay() {
    let read = |text: &str| hedging("NO_SIDE_EFFECTS", text);
    for good in ["delay: {}", "delay: {nanos: 20000000}", "max_attempts: 5 delay: {nanos: 1}"] {
        assert_eq!(read(good), none(), "{good}");
    }
    assert_eq!(read("max_attempts: 2"), ["9: t.S.M: hedging: delay is required"]);
    for delay in ["{seconds: -1}", "{nanos: -1}", "{nanos: 1000000000}"] {
        assert_eq!(
            read(&format!("delay: {delay}")),
            ["9: t.S.M: hedging: delay must be at least 0"],
            "{delay}"
        );
    }
    assert_eq!(
        read("delay: {seconds: 1}"),
        ["9: t.S.M: hedging: delay must be shorter than the timeout"]
    );
    for attempts in [0, 1, 6] {
        assert_eq!(
            read(&format!("max_attempts: {attempts} delay: {{}}")),
            ["9: t.S.M: hedging: max_attempts must be 2 to 5"]
        );
    }
}

#[test]
fn only_repeatable_methods_can_be_hedged() {
    assert_eq!(
        hedging("IDEMPOTENCY_UNKNOWN", "delay: {}"),
        ["9: t.S.M: hedging: a method that is not idempotent must not be hedged"]
    );
    let stream = |kinds: &str| {
        problems(&format!(
            "message Q {{}} service S {{ rpc M{kinds} {{
               option idempotency_level = NO_SIDE_EFFECTS;
               option (gantry.contract.v1.policy) =
                 {{timeout: {{seconds: 1}} public: true hedging: {{delay: {{}}}}}}; }} }}"
        ))
    };
    assert_eq!(stream("(Q) returns (stream Q)"), none());
    for kinds in ["(stream Q) returns (Q)", "(stream Q) returns (stream Q)"] {
        assert_eq!(
            stream(kinds),
            ["6: t.S.M: hedging: a stream of requests cannot be hedged"],
            "{kinds}"
        );
    }
}

#[test]
fn a_method_cannot_be_retried_and_hedged() {
    for both in [
        "option (gantry.contract.v1.policy) = {
            timeout: {seconds: 1} public: true retry: {} hedging: {delay: {}} };",
        "option (gantry.contract.v1.policy) = { timeout: {seconds: 1} public: true };
         option (gantry.contract.v1.policy).retry = {};
         option (gantry.contract.v1.policy).hedging = {delay: {}};",
        "option (gantry.contract.v1.policy) = { timeout: {seconds: 1} public: true };
         option (gantry.contract.v1.policy).hedging.max_attempts = 2;
         option (gantry.contract.v1.policy).retry.max_attempts = 2;",
    ] {
        let both = method(&format!("option idempotency_level = NO_SIDE_EFFECTS; {both}"));
        assert_eq!(both, ["9: t.S.M: retry and hedging: a method may have only one of them"]);
    }
}

#[test]
fn all_problems_of_all_files_are_reported() {
    let one = with_header("message A { string a = 1 [(buf.validate.field).int32.gte = 1]; }");
    let two = one.replace("package t", "package u");
    let Err(error) = compile(&[("a.proto", &one), ("b/b.proto", &two)]) else {
        panic!("it builds");
    };
    let expected = "the contract has 2 problem(s):\n  \
                    a.proto:6:13: t.A.a: int32 rules on a value of type string\n  \
                    b/b.proto:6:13: u.A.a: int32 rules on a value of type string";
    assert_eq!(error.to_string(), expected);
    // The text that `fn main() -> Result<(), Error>` prints.
    assert_eq!(format!("{error:?}"), expected);
}

#[test]
fn a_file_needs_a_package() {
    let Err(error) = compile(&[("a.proto", "syntax = \"proto3\"; message A {}")]) else {
        panic!("it builds");
    };
    assert!(
        error
            .to_string()
            .ends_with("a.proto: no package: generated modules take their names from it")
    );
}

#[test]
fn an_invalid_file_is_named_with_its_line() {
    let Err(error) =
        compile(&[("a.proto", "syntax = \"proto3\";\npackage t;\nmessage A { B b = 1; }")])
    else {
        panic!("it builds");
    };
    assert_eq!(error.to_string(), "a.proto:3:13: name 'B' is not defined");
}

#[test]
fn a_missing_import_is_named() {
    let Err(error) =
        compile(&[("a.proto", "syntax = \"proto3\";\npackage t;\nimport \"gone.proto\";")])
    else {
        panic!("it builds");
    };
    assert_eq!(error.to_string(), "a.proto:3:1: import 'gone.proto' not found");
}
