//! Makes the contract of the .proto file; see `gantry_contract_build`.

fn main() -> Result<(), gantry_contract_build::Error> {
    gantry_contract_build::compile(&["template/v1/template.proto"], &["."])
}
