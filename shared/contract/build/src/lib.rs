//! Makes a contract crate of .proto files: from a build script, without protoc.
//!
//! ```no_run
//! fn main() -> Result<(), gantry_contract_build::Error> {
//!     gantry_contract_build::compile(&["greet/v1/greeter.proto"], &["."])
//! }
//! ```
//!
//! and in `lib.rs` `gantry_contract::include_contract!();`, which gives
//! - a module for each package, with messages, clients and servers (tonic, prost);
//! - `Validate` for every message, from the rules of `buf.validate`;
//! - `Debug` that does not show fields with the standard option `debug_redact`;
//! - `Reason` for every enum that has a `reason_domain`;
//! - `CONTRACT`, the tables that client and server go by;
//! - `SERVICE_CONFIG`, the same policies as a gRPC service config (JSON), for clients
//!   in other languages;
//! - `REFERENCE`, the contract as a page of Markdown, for people.
//!
//! The contract crate depends on `gantry-contract`, `prost`, `tonic` and, where it
//! uses Google's well-known types, `prost-types`.
//!
//! `gantry/contract/v1/options.proto`, `buf/validate/validate.proto`, the types of
//! `google/type/` that are vendored here and `google/protobuf/` need not be copied.
//!
//! A contract that leaves something open does not build. Every method says its
//! timeout, who may call it and its idempotency level; an IDEMPOTENT one has a
//! `request_id`, which is what makes it so; a rule that this library cannot apply
//! is refused rather than ignored. All problems are reported at once, each with
//! its file, line and column.
//!
//! How it works: `sources` reads the files into a descriptor pool, and `exclusive` tells what
//! got lost on the way; `access`, `rates` and `methods` read what is declared, `reasons`,
//! `rules` and `redact` make Rust code of it, and each reports problems; `tables` writes the
//! policies as code, `service_config` as JSON, `reference` as Markdown; `emit` puts the code
//! together with tonic's and prost's.

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

/// Why a contract could not be made.
///
/// `Debug` is written like `Display`, with the reason, because that is what a build script
/// that returns the error from `main` shows.
#[derive(thiserror::Error)]
pub enum Error {
    /// A .proto file cannot be read or is not valid.
    #[error("{0}")]
    Proto(String),
    /// The contract leaves something open or asks for what is not supported.
    #[error("the contract has {} problem(s):\n{}", .0.len(), .0.join("\n"))]
    Contract(Vec<String>),
    /// Not called from a build script: `OUT_DIR` is not set.
    #[error("OUT_DIR is not set: compile() is for build scripts")]
    NoOutDir,
    /// The result cannot be written.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The code generators of prost or tonic refuse the contract.
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

/// Makes the contract of `files` in Cargo's `OUT_DIR`.
///
/// `files` and `includes` are relative to the package, as build scripts run there;
/// each file lies below one of the includes, and imports are looked for in them.
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

/// Makes the contract of `files` in `out_dir`; gives the paths of what was read.
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
        problems.add(&file, "no package: it is what generated modules are named by");
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
