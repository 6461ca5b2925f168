//! gantry-resilience
