//! Tools that try to get out, and the same code with a grant: what is refused must be refused
//! because it was not granted, not because it never works.

mod bench;
mod code_cache;
mod files;
mod guests;
mod hostile;
mod http;
mod http_server;
mod limits;
mod loading;
mod net;
mod parallel;
mod quotas;
mod replay;
mod secrets;
mod storm;
mod tricks;
mod world;
