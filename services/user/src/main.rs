//! `user-service`: the user service as a process.

fn main() -> std::process::ExitCode {
    gantry_process::run::<gantry_user::Service>()
}
