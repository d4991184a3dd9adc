//! The checks that read the fixture folders beside this file, one module per folder.
//!
//! `UPDATE_EXPECT=1 cargo test` rewrites what is expected; read the diff as if it were code.

#[cfg(test)]
mod suite {
    mod carried;
    mod cases;
    mod check;
    mod config;
    mod constraints;
    mod cost;
    mod decide;
    mod dialects;
    mod diff;
    mod documents;
    mod errors;
    mod exchange;
    mod expect;
    mod explain;
    mod exports;
    mod fuzz;
    mod health;
    mod json;
    mod layers;
    mod limits;
    mod messages;
    mod models;
    mod parts;
    mod quirks;
    mod readers;
    mod recognise;
    mod replay;
    mod replay_command;
    mod room;
    mod rules;
    mod schema;
    mod sharing;
    mod simulate;
    mod sse;
    mod there_and_back;
}
