//! Makes the replica's contract.

fn main() -> Result<(), gantry_contract_build::Error> {
    gantry_contract_build::compile(&["replica/v1/replica.proto"], &["."])
}
