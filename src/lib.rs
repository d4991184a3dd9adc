//! Waypost, an LLM router that lives at the network's edge.
//!
//! The modules stand in layer order: each uses only those above it, which `tests/suite` checks. Everything but
//! `edge` and `cli` is pure: no clock, randomness, network or global. Start reading at `exchange`.

pub mod units;

pub mod chat;

pub mod sse;

pub mod eventstream;

pub mod dialects;

pub mod providers;

pub mod config;

pub mod classify;

pub mod health;

pub mod decide;

pub mod access;

pub mod journal;

pub mod exchange;

#[cfg(all(target_arch = "wasm32", feature = "edge"))]
mod edge;

#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
