//! Contract of the greeter, as a team would publish it.

gantry_contract::include_contract!();
