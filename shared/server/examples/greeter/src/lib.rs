//! The greeter's contract, as a team of its own would publish it.

gantry_contract::include_contract!();
