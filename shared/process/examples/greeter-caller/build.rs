//! Makes the contract; see `gantry_contract_build`.

fn main() -> Result<(), gantry_contract_build::Error> {
    gantry_contract_build::compile(&["welcome/v1/welcome.proto"], &["."])
}
