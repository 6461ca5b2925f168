//! Generates the operator API; see `gantry_contract_build`.

fn main() -> Result<(), gantry_contract_build::Error> {
    gantry_contract_build::compile(
        &["proto/gantry/operator/v1/access.proto", "proto/gantry/operator/v1/sagas.proto"],
        &["proto"],
    )
}
