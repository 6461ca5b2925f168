//! `order-service`: the orders as a process of their own.

use std::process::ExitCode;

use gantry_order::Service;

fn main() -> ExitCode {
    gantry_process::run::<Service>("Keeps the orders and carries them through")
}
