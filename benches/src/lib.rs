//! The pure part of Waypost as a wasm module without any host, and as what criterion measures natively.
//!
//! JavaScript writes bytes to where [`input`] says, calls a function, and reads those that lie at [`output`]. Nothing
//! is imported, so the same module runs in workerd, Node and a browser. What is timed is timed from outside: inside a
//! Worker clocks stand still.
//!
//! Not here: the edge. Its cost is measured with the built Worker (`scripts/bench.mjs`).

mod replay;
mod work;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use replay::replay;
use waypost::dialects::ClientDialect;
pub use work::{World, body, outlined, prepared};

/// One request at a time: there is one input and one output.
static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static OUTPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static WORLD: Mutex<Option<World>> = Mutex::new(None);

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room for an input of so many bytes, and says where.
#[unsafe(no_mangle)]
pub extern "C" fn input(length: usize) -> *mut u8 {
    let mut input = held(&INPUT);
    *input = vec![0; length];
    input.as_mut_ptr()
}

/// Where the last output lies.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    held(&OUTPUT).as_ptr()
}

/// Reads lines of worlds, writes a line for each, and returns the length of the output.
#[unsafe(no_mangle)]
pub extern "C" fn replay_all() -> usize {
    let told: String = String::from_utf8_lossy(&held(&INPUT))
        .lines()
        .map(|line| replay(line) + "\n")
        .collect();
    let mut output = held(&OUTPUT);
    *output = told.into_bytes();
    output.len()
}

/// Makes a request of about so many bytes the input, and returns its length.
#[unsafe(no_mangle)]
pub extern "C" fn write_body(bytes: usize) -> usize {
    let mut input = held(&INPUT);
    *input = body(bytes);
    input.len()
}

/// Sets up a world of so many targets for [`decide`].
#[unsafe(no_mangle)]
pub extern "C" fn set_up(targets: usize) {
    *held(&WORLD) = Some(World::of(targets));
}

/// Decides so many times. The result depends on every decision, so that none can be left out.
#[unsafe(no_mangle)]
pub extern "C" fn decide(times: u32) -> u32 {
    let world = held(&WORLD);
    let decide = |seed| world.as_ref().map_or(0, |world| world.decide(seed));
    (0..u64::from(times)).map(decide).fold(0, u32::wrapping_add)
}

/// Outlines the input so many times.
#[unsafe(no_mangle)]
pub extern "C" fn outline(times: u32) -> u32 {
    let input = held(&INPUT);
    let sizes = (0..times).map(|_| outlined(ClientDialect::OpenaiChat, &input));
    sizes.fold(0, u32::wrapping_add)
}

/// The path of a request from its body to the call: outline, traits, plan, and the body to send, whose length it
/// returns.
#[unsafe(no_mangle)]
pub extern "C" fn prepare() -> usize {
    let world = held(&WORLD);
    let input = held(&INPUT);
    let sent = world.as_ref().and_then(|world| prepared(world, &input));
    sent.map_or(0, |sent| sent.len())
}
