//! A contract whose methods do as they are told: what the server is tested with.

gantry_contract::include_contract!();
