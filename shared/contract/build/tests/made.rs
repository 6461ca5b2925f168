//! Generated code of a valid contract.

mod common;

use common::{Made, compile, with_header};
use prost_reflect::{DescriptorPool, Value};

const SERVICE: &str = r#"import "parts/word.proto";
// Says things.
service Speaker {
  // Says a word.
  rpc Say(parts.Word) returns (parts.Word) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (gantry.contract.v1.policy) = {timeout: {nanos: 5} public: true};
  }
}"#;

const WORD: &str = "syntax = \"proto3\";
package parts;
// A word, with <angle> brackets and a [link].
message Word { string text = 1; }";

fn made() -> Made {
    let made = compile(&[("t.proto", &with_header(SERVICE)), ("parts/word.proto", WORD)]);
    made.unwrap_or_else(|error| unreachable!("{error}"))
}

#[test]
fn comments_become_documentation() {
    let code = made().code;
    // One for the client's method, one for the server's.
    assert_eq!(code.matches("/// Says a word.").count(), 2, "{code}");
    assert!(code.contains("/// Says things."));
    assert!(code.contains("/// A word, with"));
}

#[test]
fn imported_files_are_part_of_the_contract() {
    let code = made().code;
    assert!(code.contains("pub mod parts {"));
    assert!(code.contains("impl Validate for self::parts::Word"));
}

#[test]
fn only_a_server_validates() {
    let code = made().code;
    let (client, server) = code.split_once("pub mod speaker_server").unwrap();
    assert!(client.contains("codec::ClientCodec") && !client.contains("codec::ServerCodec"));
    assert!(server.contains("codec::ServerCodec") && !server.contains("codec::ClientCodec"));
}

#[test]
fn the_descriptor_set_has_imports_and_options_only() {
    let pool = DescriptorPool::decode(made().descriptor_set.as_slice()).unwrap();
    let files: Vec<_> = pool.files().map(|file| file.name().to_owned()).collect();
    for name in ["t.proto", "parts/word.proto", "buf/validate/validate.proto"] {
        assert!(files.iter().any(|file| file == name), "{name} is not in {files:?}");
    }
    assert!(pool.files().all(|file| file.file_descriptor_proto().source_code_info.is_none()));

    let method = pool.get_service_by_name("t.Speaker").unwrap().methods().next().unwrap();
    let policy = pool.get_extension_by_name("gantry.contract.v1.policy").unwrap();
    let options = method.options();
    let policy = options.get_extension(&policy);
    let public = policy.as_message().unwrap().get_field_by_name("public");
    assert_eq!(public.unwrap().into_owned(), Value::Bool(true));
}

#[test]
fn a_rebuild_depends_on_the_files_read() {
    let mut read = made().read;
    read.sort();
    assert_eq!(read, ["parts/word.proto", "t.proto"]);
}

#[test]
fn the_same_contract_gives_the_same_code() {
    let (one, two) = (made(), made());
    assert_eq!(one.code, two.code);
    assert_eq!(one.descriptor_set, two.descriptor_set);
}

#[test]
fn a_write_error_names_the_file_and_the_cause() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("t.proto");
    std::fs::write(&file, "syntax = \"proto3\"; package t;").unwrap();
    let out = folder.path().join("gone");
    let error = gantry_contract_build::compile_to(&out, &[file], &[folder.path()]).unwrap_err();
    let error = format!("{error:?}");
    let place = format!("cannot write {}", out.join("reference.md").display());
    assert!(error.starts_with(&place) && error.ends_with("(os error 2)"), "{error}");
}
