//! Makes the contract that the server is tested with.

fn main() -> Result<(), gantry_contract_build::Error> {
    gantry_contract_build::compile(&["probe/v1/probe.proto"], &["."])
}
