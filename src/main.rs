//! The `waypost` command. All of it is `waypost::cli`; the wasm build has no command line.

use std::process::ExitCode;

#[cfg(not(target_arch = "wasm32"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(not(target_arch = "wasm32"))]
    let code = waypost::cli::run();
    #[cfg(target_arch = "wasm32")]
    let code = ExitCode::FAILURE;
    code
}
