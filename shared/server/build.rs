//! Makes the health service's messages and server of gRPC's own .proto file.
//!
//! Not by `gantry_contract_build`: that file declares no timeouts and no
//! permissions, which is what a contract is. `methods.rs` has them.

use std::{env, error::Error, fs, path::PathBuf};

use protox::Compiler;

const INCLUDE: &str = "third_party";
const HEALTH: &str = "third_party/grpc/health/v1/health.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={HEALTH}");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let mut compiler = Compiler::new([INCLUDE])?;
    compiler.open_file(HEALTH)?;
    // Reflection has no use for comments.
    fs::write(out_dir.join("health_descriptor_set.bin"), compiler.encode_file_descriptor_set())?;
    compiler.include_source_info(true);
    tonic_prost_build::configure()
        .build_client(false)
        .codec_path("::gantry_contract::codec::ServerCodec")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
