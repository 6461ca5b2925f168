//! gantry-sql
