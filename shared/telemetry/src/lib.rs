//! gantry-telemetry
