//! gantry-contract-build
