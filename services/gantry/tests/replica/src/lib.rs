//! The contract of a server that writes down what it executes.

gantry_contract::include_contract!();
