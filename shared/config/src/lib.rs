//! gantry-config
