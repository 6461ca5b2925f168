//! gantry-identity
