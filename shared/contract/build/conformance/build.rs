//! Generates the contract; see `gantry_contract_build`.

fn main() -> Result<(), gantry_contract_build::Error> {
    gantry_contract_build::compile(
        &[
            "conformance/v1/methods.proto",
            "conformance/v1/rules.proto",
            "conformance/v1/text.proto",
            "conformance/v1/values.proto",
            "strange/type/v1/strange.proto",
        ],
        &["."],
    )
}
