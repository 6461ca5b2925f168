//! gantry
