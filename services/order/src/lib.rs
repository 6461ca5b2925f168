//! gantry-order
