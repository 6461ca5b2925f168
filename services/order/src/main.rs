//! `order-service`: the orders as a process of their own.

fn main() -> std::process::ExitCode {
    gantry_process::run::<gantry_order::Service>()
}
