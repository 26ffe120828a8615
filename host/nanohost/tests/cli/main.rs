//! The command line as its users meet it: the real executable, on real files, with a store and a
//! configuration of its own for every test.
//!
//! Nothing here sleeps for luck, depends on order, or leaves anything in the work tree. Signals,
//! limits and `/proc` are Linux's, the platform that is tested.

#![cfg(target_os = "linux")]

mod foreign;
mod harness;
mod interop;
mod mcp_client;
mod model_server;
mod registry_server;

mod analysis;
mod attacks;
mod audit;
mod authoring;
mod begin;
mod cache;
mod care;
mod commands;
mod crash;
mod database;
mod erase;
mod export;
mod fault;
mod guests;
mod http;
mod input;
mod inspect;
mod key;
mod lock;
mod log;
mod mcp;
mod mcp_clients;
mod mcp_network;
mod model;
mod older;
mod others;
mod outsider;
mod packaging;
mod parallel;
mod personal;
mod policy;
mod recall;
mod recover;
mod refund;
mod registry;
mod registry_strangers;
mod rehearsing;
mod replay;
mod report;
mod reviewing;
mod secret;
mod settle;
mod signing;
mod standing;
mod start_key;
mod store;
mod strangers;
mod suspension;
mod tool;
mod trust;
mod vetted;
mod witness;
