//! gantry-discovery
