//! Makes the contract that `gantry bench` measures with; see `gantry_contract_build`.

fn main() -> Result<(), gantry_contract_build::Error> {
    gantry_contract_build::compile(&["proto/bench/v1/bench.proto"], &["proto"])
}
