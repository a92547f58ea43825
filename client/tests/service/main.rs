//! The library and the command line against a service on a socket.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail")]

mod calls;
mod cli;
mod import;
mod library;
mod server;
