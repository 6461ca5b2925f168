//! Generates the contract of the probe.

fn main() -> Result<(), gantry_contract_build::Error> {
    gantry_contract_build::compile(&["probe/v1/probe.proto"], &["."])
}
