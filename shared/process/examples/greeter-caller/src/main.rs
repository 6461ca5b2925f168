//! `welcome-service`: greets guests through the greeter, as a process of its own.

fn main() -> std::process::ExitCode {
    gantry_process::run::<greeter_caller::Welcome>()
}
