//! `inventory-service`: the inventory as a process of its own.

use std::process::ExitCode;

use gantry_inventory::Service;

fn main() -> ExitCode {
    gantry_process::run::<Service>("Keeps the catalogue and the stock")
}
