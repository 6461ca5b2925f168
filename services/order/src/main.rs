//! `order-service`: the order service as a process.

fn main() -> std::process::ExitCode {
    gantry_process::run::<gantry_order::Service>()
}
