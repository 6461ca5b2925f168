//! Generates the greeter's contract; see `gantry_contract_build`.

fn main() -> Result<(), gantry_contract_build::Error> {
    gantry_contract_build::compile(&["greeter/v1/greeter.proto"], &["."])
}
