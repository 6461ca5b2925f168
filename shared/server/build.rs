//! Generates health and reflection from gRPC's own .proto files, and encodes the descriptors that
//! reflection serves besides the contract.
//!
//! `gantry_contract_build` is not used, because these files declare no timeouts and permissions.
//! `methods.rs` has them.

use std::{env, error::Error, fs, path::PathBuf};

use protox::Compiler;

const INCLUDE: &str = "third_party";
const HEALTH: &str = "grpc/health/v1/health.proto";
const REFLECTION: &str = "grpc/reflection/v1/reflection.proto";
/// Files that are only described, without generated code.
const DESCRIBED: [&str; 3] = [
    "grpc/reflection/v1alpha/reflection.proto",
    // Details of refusals, for clients that know the server only by reflection.
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={INCLUDE}");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let mut compiler = Compiler::new([INCLUDE])?;
    compiler.include_imports(true).open_files([HEALTH, REFLECTION])?.open_files(DESCRIBED)?;
    // Reflection does not need comments.
    fs::write(out_dir.join("infrastructure.bin"), compiler.encode_file_descriptor_set())?;

    let generated = || tonic_prost_build::configure().build_client(false);
    generated()
        .codec_path("::gantry_contract::codec::ServerCodec")
        .compile_fds(read(HEALTH)?.file_descriptor_set())?;
    generated()
        .build_server(false)
        .bytes(".")
        .compile_fds(read(REFLECTION)?.file_descriptor_set())?;
    Ok(())
}

fn read(file: &str) -> Result<Compiler, protox::Error> {
    let mut compiler = Compiler::new([INCLUDE])?;
    compiler.include_source_info(true).open_file(file)?;
    Ok(compiler)
}
