//! gantry-user
