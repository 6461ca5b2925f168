//! `gantry-bench`: see [`gantry_bench`].

fn main() -> std::process::ExitCode {
    gantry_bench::execute()
}
