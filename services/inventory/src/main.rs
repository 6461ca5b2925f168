//! `inventory-service`: the inventory as a process of its own.

fn main() -> std::process::ExitCode {
    gantry_process::run::<gantry_inventory::Service>()
}
