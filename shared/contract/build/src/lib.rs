//! Generates a contract crate from .proto files, in a build script and without protoc.
//!
//! ```no_run
//! fn main() -> Result<(), gantry_contract_build::Error> {
//!     gantry_contract_build::compile(&["greet/v1/greeter.proto"], &["."])
//! }
//! ```
//!
//! With `gantry_contract::include_contract!();` in its `lib.rs`, the crate has
//! - a module for each package, with messages, clients and servers (tonic, prost);
//! - `Validate` for every message, from the rules of `buf.validate`;
//! - `Debug` for every message, which hides fields with the standard option `debug_redact`;
//! - `Reason` for every enum with the option `reason_domain`;
//! - `CONTRACT`, the tables that clients and servers use;
//! - `SERVICE_CONFIG`, the same policies as a gRPC service config (JSON), for clients in other
//!   languages;
//! - `REFERENCE`, the contract in Markdown, for people.
//!
//! The contract crate depends on `gantry-contract`, `prost` and `tonic`, and on `prost-types` if it
//! uses Google's well-known types.
//!
//! These files can be imported without copying them: `gantry/contract/v1/options.proto`,
//! `buf/validate/validate.proto`, the vendored files of `google/type/`, and `google/protobuf/`.
//!
//! An incomplete contract does not build. Every method must declare its timeout, its access and its
//! idempotency level. The request of an IDEMPOTENT method must have a `request_id`, because the
//! server recognises repeated calls by it. A rule that this library cannot apply is an error. All
//! problems are reported together, each with its file, line and column.
//!
//! # Steps
//! 1. `sources` reads the files into a descriptor pool. `exclusive` detects options that were lost.
//! 2. `access`, `rates` and `methods` read the declarations. `reasons`, `rules` and `redact`
//!    generate Rust code. Each of them reports problems.
//! 3. `tables` writes the policies as code, `service_config` as JSON, `reference` as Markdown.
//! 4. `emit` combines the code with that of tonic and prost.

mod access;
mod emit;
mod exclusive;
mod methods;
mod names;
mod options;
mod problems;
mod rates;
mod reasons;
mod redact;
mod reference;
mod repeats;
mod rules;
mod service_config;
mod sources;
mod tables;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use problems::Problems;
use reference::Reference;

/// Reason why a contract cannot be generated.
///
/// `Debug` prints the same text as `Display`, and the source, because Rust prints `Debug` when
/// `main` of a build script returns an error.
#[derive(thiserror::Error)]
pub enum Error {
    /// A .proto file cannot be read or is invalid.
    #[error("{0}")]
    Proto(String),
    /// The contract is incomplete or uses an unsupported feature.
    #[error("the contract has {} problem(s):\n{}", .0.len(), .0.join("\n"))]
    Contract(Vec<String>),
    /// `OUT_DIR` is not set: the caller is not a build script.
    #[error("OUT_DIR is not set: compile() is for build scripts")]
    NoOutDir,
    /// A generated file cannot be written.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The code generators of prost or tonic reject the contract.
    #[error("cannot generate code: {0}")]
    Generate(String),
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")?;
        match std::error::Error::source(self) {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// Generates the contract of `files` in Cargo's `OUT_DIR`.
///
/// `files` and `includes` are relative to the package, which is the working directory of a build
/// script. Each file must be below one of the includes. Imports are resolved in the includes.
///
/// # Errors
/// See [`Error`].
pub fn compile(files: &[impl AsRef<Path>], includes: &[impl AsRef<Path>]) -> Result<(), Error> {
    let out_dir = env::var_os("OUT_DIR").ok_or(Error::NoOutDir)?;
    let read = compile_to(Path::new(&out_dir), files, includes)?;
    for path in read {
        cargo_rerun_if_changed(&path);
    }
    Ok(())
}

/// Generates the contract of `files` in `out_dir`. Returns the paths of all files read.
///
/// # Errors
/// See [`Error`].
pub fn compile_to(
    out_dir: &Path,
    files: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<Vec<PathBuf>, Error> {
    let sources = sources::read(files, includes)?;
    let mut problems = Problems::default();
    for file in sources.files().filter(|file| file.package_name().is_empty()) {
        problems.add(&file, "no package: generated modules take their names from it");
    }
    exclusive::check(&sources, includes, &mut problems)?;
    let access = access::read(&sources, &mut problems);
    let mut rates = rates::read(&sources, &mut problems);
    let services = methods::read(&sources, &access, &mut rates, &mut problems);
    let reasons = reasons::impls(&sources, &mut problems);
    let validation = rules::validation(&sources, &mut problems);
    let redacted = redact::debug(&sources, &mut problems);
    problems.into_result()?;

    let reference = Reference {
        sources: &sources,
        access: &access,
        rates: &rates,
        services: &services,
        words: &validation.words,
    };
    write(&out_dir.join("reference.md"), reference.page().as_bytes())?;
    write(&out_dir.join("service_config.json"), service_config::json(&services).as_bytes())?;
    let services = tables::services(&services);
    let validation = validation.impls;
    let parts = emit::Parts { access, rates, services, reasons, validation, redacted };
    let code = emit::contract(&sources, parts)?;
    write(&out_dir.join("contract.rs"), code.as_bytes())?;
    write(&out_dir.join("descriptor_set.bin"), &sources.encoded)?;
    Ok(sources.paths)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|error| Error::Write(path.to_owned(), error))
}

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn cargo_rerun_if_changed(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}
