//! Generated validation: every rule, on every shape of field, on both sides of its limit.

mod common;

use std::collections::BTreeMap;

use common::{nothing, wrong};
use gantry_contract_conformance::conformance::v1::{
    Branch, Bytes, Choices, Colour, Durations, Enums, Leaf, Lists, Maps, Names, Numbers, Presence,
    Strings, Tree, choices, names, tree,
};
use prost_types::Duration;

fn leaf(name: &str) -> Leaf {
    Leaf { name: name.to_owned() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn strings() {
    let good = Strings {
        len: "äü".to_owned(),
        bounds: "äöü".to_owned(),
        email: "a@b".to_owned(),
        uuid: "018f4d6e-0000-7abc-8def-0123456789ab".to_owned(),
        pattern: "a".to_owned(),
    };
    assert_eq!(wrong(&good), nothing());
    assert_eq!(
        wrong(&Strings::default()),
        [
            "len: must have exactly 2 characters",
            "bounds: must have at least 1 character",
            "email: must be an e-mail address",
            "uuid: must be a UUID",
            "pattern: must match the pattern ^[a-z]$",
        ]
    );
    let long = Strings { bounds: "abcd".to_owned(), ..good };
    assert_eq!(wrong(&long), ["bounds: must have at most 3 characters"]);
}

#[test]
fn bytes() {
    let bytes = |bounds: &[u8]| wrong(&Bytes { bounds: bounds.to_owned() });
    assert_eq!(bytes(b"a"), nothing());
    assert_eq!(bytes(b""), ["bounds: must have at least 1 byte"]);
    assert_eq!(bytes(b"abcd"), ["bounds: must have at most 3 bytes"]);
}

#[test]
fn numbers() {
    assert_eq!(wrong(&Numbers::default()), nothing());
    let too_small = Numbers {
        int32: -2,
        int64: -2,
        sint32: -2,
        sint64: -2,
        sfixed32: -2,
        sfixed64: -2,
        float: -0.75,
        double: f64::NAN,
        ..Numbers::default()
    };
    assert_eq!(
        wrong(&too_small),
        [
            "int32: must be at least -1",
            "int64: must be greater than -2",
            "sint32: must be at least -1",
            "sint64: must be at least -1",
            "sfixed32: must be at least -1",
            "sfixed64: must be at least -1",
            "float: must be at least -0.5",
            &format!("double: must be less than {}", 1e300),
            "double: must be at least -0.5",
        ]
    );
    let too_large = Numbers {
        int32: 2,
        int64: 2,
        uint32: 2,
        uint64: 2,
        fixed32: 2,
        fixed64: 2,
        ..Numbers::default()
    };
    assert_eq!(
        wrong(&too_large),
        [
            "int32: must be at most 1",
            "int64: must be less than 2",
            "uint32: must be less than 2",
            "uint64: must be at most 1",
            "fixed32: must be at most 1",
            "fixed64: must be at most 1",
        ]
    );
}

#[test]
fn enums() {
    let enums = |defined, r#in, not_in| wrong(&Enums { defined, r#in, not_in });
    assert_eq!(enums(Colour::Red.into(), Colour::Blue.into(), 0), nothing());
    assert_eq!(
        enums(3, Colour::Red.into(), Colour::Red.into()),
        [
            "defined: must be a value that the contract defines",
            "in: must be one of COLOUR_UNSPECIFIED, COLOUR_BLUE",
            "not_in: must not be COLOUR_RED",
        ]
    );
}

#[test]
fn durations() {
    let durations = |bounds, open| wrong(&Durations { bounds, open });
    let span = |seconds, nanos| Some(Duration { seconds, nanos });
    assert_eq!(durations(None, None), nothing());
    assert_eq!(durations(span(0, 0), span(1, 0)), nothing());
    assert_eq!(durations(span(30, 0), None), nothing());
    assert_eq!(
        durations(span(30, 1), span(0, 500_000_000)),
        ["bounds: must be at most 30 s", "open: must be greater than 0.5 s",]
    );
    assert_eq!(
        durations(span(0, -1), span(1, 500_000_000)),
        ["bounds: must be at least 0 s", "open: must be less than 1.5 s",]
    );
    // An invalid duration is one violation, not one per rule.
    assert_eq!(
        durations(span(1, -1), None),
        ["bounds: must be a duration of at most 10,000 years with seconds and nanos of one sign"]
    );
}

#[test]
fn presence() {
    assert_eq!(
        wrong(&Presence::default()),
        [
            "optional_required: is required",
            "required: is required",
            "required_number: is required",
            "required_bool: is required",
            "required_enum: is required",
            "required_list: is required",
            "required_message: is required",
        ]
    );
    let good = Presence {
        optional_required: Some(String::new()),
        required: "ab".to_owned(),
        required_number: -1,
        required_bool: true,
        required_enum: Colour::Red.into(),
        required_list: texts(&[""]),
        required_message: Some(leaf("a")),
        ..Presence::default()
    };
    assert_eq!(wrong(&good), nothing());
    let bad = Presence {
        optional: Some(String::new()),
        required: "a".to_owned(),
        required_message: Some(leaf("")),
        if_zero: "a".to_owned(),
        always: Some(leaf("")),
        leaf: Some(leaf("")),
        ..good
    };
    assert_eq!(
        wrong(&bad),
        [
            "optional: must have at least 2 characters",
            "required: must have at least 2 characters",
            "required_message.name: must have at least 1 character",
            "if_zero: must have at least 2 characters",
            "leaf.name: must have at least 1 character",
        ]
    );
}

#[test]
fn lists() {
    let good = Lists {
        items: texts(&["a", "b"]),
        leaves: vec![leaf("a")],
        colours: vec![0, 1],
        if_zero: texts(&["", "ab"]),
        always: vec![leaf("")],
        leaf_if_zero: vec![leaf("")],
    };
    assert_eq!(wrong(&good), nothing());
    let bad = Lists {
        items: texts(&["a", "abc", "a", "abc"]),
        leaves: vec![leaf("a"), leaf(""), leaf("")],
        colours: vec![1, 3, 3],
        if_zero: texts(&["", "a"]),
        ..Lists::default()
    };
    assert_eq!(
        wrong(&bad),
        [
            "items: must have at most 3 items",
            "items[2]: must not repeat an earlier item",
            "items[3]: must not repeat an earlier item",
            "items[1]: must have at most 2 characters",
            "items[3]: must have at most 2 characters",
            "leaves: must have at most 2 items",
            "leaves[1].name: must have at least 1 character",
            "leaves[2].name: must have at least 1 character",
            "colours[2]: must not repeat an earlier item",
            "colours[1]: must be a value that the contract defines",
            "colours[2]: must be a value that the contract defines",
            "if_zero[1]: must have at least 2 characters",
        ]
    );
}

#[test]
fn maps() {
    let map = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let good = Maps { texts: map(&[("a", "1")]), leaves: BTreeMap::from([(7, leaf("a"))]) };
    assert_eq!(wrong(&good), nothing());
    assert_eq!(wrong(&Maps::default()), ["texts: must have at least 1 entry"]);
    let bad = Maps {
        texts: map(&[("A", "1"), ("b", "x"), ("c", "3")]),
        leaves: BTreeMap::from([(7, leaf(""))]),
    };
    assert_eq!(
        wrong(&bad),
        [
            "texts: must have at most 2 entries",
            "texts[\"A\"]: must match the pattern ^[a-z]+$",
            "texts[\"b\"]: must match the pattern ^[0-9]+$",
            "leaves[7].name: must have at least 1 character",
        ]
    );
}

#[test]
fn choices() {
    use choices::{Choice, Free};

    let choice = |choice| wrong(&Choices { choice, free: None });
    assert_eq!(choice(None), ["choice: is required"]);
    assert_eq!(choice(Some(Choice::Text("ab".to_owned()))), nothing());
    assert_eq!(
        choice(Some(Choice::Text(String::new()))),
        ["text: must have at least 2 characters"]
    );
    assert_eq!(choice(Some(Choice::Number(1))), ["number: must be at least 2"]);
    assert_eq!(choice(Some(Choice::Leaf(leaf("")))), ["leaf.name: must have at least 1 character"]);
    let free = |free| wrong(&Choices { choice: Some(Choice::Number(2)), free: Some(free) });
    assert_eq!(free(Free::B(String::new())), nothing());
    assert_eq!(free(Free::A(String::new())), ["a: must have at least 2 characters"]);
}

#[test]
fn messages_that_contain_themselves() {
    let tree = |name: &str| Tree { name: name.to_owned(), ..Tree::default() };
    let mut root = tree("root");
    root.left = Some(Box::new(tree("")));
    root.other = Some(tree::Other::Right(Box::new(tree(""))));
    root.children = vec![tree("a"), tree("")];
    root.branch = Some(Box::new(Branch { tree: Some(Box::new(tree(""))) }));
    assert_eq!(
        wrong(&root),
        [
            "left.name: must have at least 1 character",
            "right.name: must have at least 1 character",
            "children[1].name: must have at least 1 character",
            "branch.tree.name: must have at least 1 character",
        ]
    );
}

#[test]
fn the_deepest_decodable_message_is_validated() {
    // prost decodes 100 levels.
    let mut deep = Tree::default();
    for _ in 0..100 {
        deep = Tree { name: "a".to_owned(), left: Some(Box::new(deep)), ..Tree::default() };
    }
    let expected = format!("{}name: must have at least 1 character", "left.".repeat(100));
    assert_eq!(wrong(&deep), [expected]);
}

#[test]
fn names_that_rust_or_prost_changes() {
    let inner = names::Inner {
        name: String::new(),
        deep: Some(names::inner::Deep { name: String::new() }),
    };
    let bad = Names {
        inner: Some(inner),
        kind: 7,
        choice: Some(names::ChoiceOneOf::Match(String::new())),
        ..Names::default()
    };
    // Violations use the names of the .proto file, not those of the Rust code.
    assert_eq!(
        wrong(&bad),
        [
            "type: must have at least 1 character",
            "self: must have at least 1 character",
            "camelCase: must have at least 1 character",
            "inner.name: must have at least 1 character",
            "inner.deep.name: must have at least 1 character",
            "kind: must be a value that the contract defines",
            "match: must have at least 1 character",
        ]
    );
}
