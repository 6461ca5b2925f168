//! `gantry`: see [`gantry::cli`].

fn main() -> std::process::ExitCode {
    gantry::execute()
}
