//! A contract that uses everything `gantry-contract-build` supports, so that its
//! tests can see the generated code at work. Nobody calls it.

gantry_contract::include_contract!();
