//! Contract of a server that records its executions.

gantry_contract::include_contract!();
