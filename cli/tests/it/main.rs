//! The tests of the tool: one program, since linking one for each file takes most of a build's time.
//!
//! A file is a module. Nearly all of them run the tool itself; [`bodies`], [`fuzz_bodies`] and [`engine`] use the library.

mod bodies;
mod common;

mod append;
// The help texts are those of the default features.
#[cfg(feature = "demo")]
mod cmd;
mod contents;
mod crash;
mod cut;
mod diff;
mod engine;
mod english;
mod explore;
mod explore_checks;
mod explore_nested;
mod explore_out;
mod explore_page;
mod explore_state;
mod file_systems;
mod find;
mod full;
mod fuzz_bodies;
mod golden;
mod hostile;
mod inspect;
mod iolog;
mod kills;
mod licences;
mod many_machines;
mod qemu;
mod readme;
mod record;
mod recover;
mod replay;
mod replay_log;
mod run;
mod serve;
mod serve_clients;
mod serve_fuse;
mod serve_kills;
mod shell;
