//! gantry-saga
