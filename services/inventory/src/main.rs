//! `inventory-service`: the inventory service as a process.

fn main() -> std::process::ExitCode {
    gantry_process::run::<gantry_inventory::Service>()
}
