//! End to end: the operator as a process of its own, on a real API server, with exactly the rules
//! that are shipped. Each test tells one story on a stage of its own; they run side by side.

mod clients;
mod journal;
mod stage;
mod tenant;

mod adoption;
mod answers;
mod attacks;
mod changes;
mod cloudcenter;
mod cloudmc;
mod cluster;
mod connections;
mod contested;
mod cost;
mod crash;
mod dce_access_key;
mod deletion;
mod endpoints;
mod events;
mod examples;
mod first_sync;
mod foreign;
mod forgery;
mod in_hand;
mod install;
mod isolation;
mod keystone;
mod login;
mod new_namespace;
mod program;
mod races;
mod refused;
mod renewal;
mod restart;
mod soda;
mod tampering;
mod tls;
