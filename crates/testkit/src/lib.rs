//! What tests need of the machine. For `[dev-dependencies]` and for xtask, never in the product.
//!
//! Most tests share the server that `cargo xtask test` starts: [`shared_postgres`] tells where it is.
//! A test that stops, kills or pauses PostgreSQL starts a [`Postgres`] of its own.
//! [`MisbehavingHttp`] is an HTTP server that does to the bytes of an answer what networks and servers do.

mod http;
mod installation;
mod postgres;

pub use http::{Act, HttpRequest, MisbehavingHttp};
pub use installation::{BIN_VARIABLE, INSTALL, URL_VARIABLE, postgres_binaries, shared_postgres};
pub use postgres::Postgres;
