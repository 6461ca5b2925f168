//! gantry-inventory
