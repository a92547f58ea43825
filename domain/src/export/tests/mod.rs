//! Plans against a HubSpot of a few lines, in tables and at random.

mod any;
mod behaviors;
mod companies;
mod contacts;
mod journal;
mod order;
mod rules;
mod world;
