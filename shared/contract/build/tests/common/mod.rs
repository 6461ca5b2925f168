//! Compiles contracts in temporary folders.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{fs, path::PathBuf};

use gantry_contract_build::{Error, compile_to};
use tempfile::TempDir;

/// Generated files of a contract.
pub(crate) struct Made {
    pub(crate) code: String,
    pub(crate) descriptor_set: Vec<u8>,
    pub(crate) service_config: String,
    pub(crate) reference: String,
    /// Names of the files read.
    pub(crate) read: Vec<String>,
}

/// Compiles `files`, given as names and texts.
pub(crate) fn compile(files: &[(&str, &str)]) -> Result<Made, Error> {
    let (protos, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (name, text) in files {
        let path = protos.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let names: Vec<_> = files.iter().map(|(name, _)| protos.path().join(name)).collect();
    let read = compile_to(out.path(), &names, &[protos.path()])?;
    let name = |path: &PathBuf| path.strip_prefix(protos.path()).unwrap().display().to_string();
    Ok(Made {
        code: fs::read_to_string(out.path().join("contract.rs")).unwrap(),
        service_config: fs::read_to_string(out.path().join("service_config.json")).unwrap(),
        reference: fs::read_to_string(out.path().join("reference.md")).unwrap(),
        descriptor_set: fs::read(out.path().join("descriptor_set.bin")).unwrap(),
        read: read.iter().map(name).collect(),
    })
}

/// Returns the problems of `t.proto`, which is `text` after a header of five lines. Omits the
/// file's name and the column.
pub(crate) fn problems(text: &str) -> Vec<String> {
    match compile(&[("t.proto", &with_header(text))]) {
        Ok(_) => Vec::new(),
        Err(Error::Contract(problems)) => problems
            .iter()
            .map(|problem| {
                let place = problem.trim().strip_prefix("t.proto:").unwrap();
                let (line, rest) = place.split_once(':').unwrap();
                let (column, what) = rest.split_once(':').unwrap();
                assert!(column.parse::<u32>().is_ok(), "{problem}");
                format!("{line}:{what}")
            })
            .collect(),
        Err(error) => panic!("{error}"),
    }
}

/// Prepends a header of five lines, so that `text` begins on line 6.
pub(crate) fn with_header(text: &str) -> String {
    format!(
        "syntax = \"proto3\";\npackage t;\nimport \"buf/validate/validate.proto\";\n\
         import \"gantry/contract/v1/options.proto\"; import \"google/protobuf/duration.proto\";\n\
         import \"google/protobuf/timestamp.proto\";\n{text}"
    )
}
