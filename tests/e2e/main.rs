//! End-to-end tests by feature id. See the README.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod c1_confirm;
mod c1_connect;
mod c3_tokens;
mod c4_disconnect;
mod c4_losses;
mod c4_lost_signals;
mod c5_revoked;
mod c7_erase;
mod conformance;
mod e1_people;
mod e1_people_files;
mod e4_settings;
mod i1_backfill;
mod i1_faults;
mod i1_kill;
mod i2_periodic_sync;
mod i4_toggle;
mod x10_freshness;
mod x1_reference_model;
mod x3_assumptions;
mod x3_budget;
mod x5_privacy;
mod x6_processes;
mod x6_temporal_ui;
mod x7_resync;
mod x8_any_language;
mod x8_api;
mod x8_command_line;
mod x8_fuzz;
mod x8_odd_input;
mod x8_openapi;
mod x8_unreadable;
