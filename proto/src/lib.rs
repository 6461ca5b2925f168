//! gantry-proto
