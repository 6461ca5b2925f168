//! A contract with every feature of `gantry-contract-build`, for tests of the generated code.

gantry_contract::include_contract!();
