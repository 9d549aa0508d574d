//! What tests need of the machine. For `[dev-dependencies]` and for xtask, never in the product.
//!
//! Most tests share the server that `cargo xtask test` starts: [`shared_postgres`] tells where it is.
//! A test that stops, kills or pauses PostgreSQL starts a [`Postgres`] of its own, and each test that
//! needs Redis a [`Redis`], which takes a moment only.
//! [`MisbehavingHttp`] is an HTTP server that does to the bytes of an answer what networks and servers do, and
//! [`SlowWay`] makes the answers of any server late.

mod http;
mod installation;
mod keeper;
mod postgres;
mod redis;
mod server;
mod slow;

pub use http::{Act, HttpRequest, MisbehavingHttp};
pub use installation::{
    BIN_VARIABLE, CHROMIUM_VARIABLE, INSTALL, INSTALL_CHROMIUM, INSTALL_REDIS, REDIS_BIN_VARIABLE,
    URL_VARIABLE, chromium, postgres_binaries, redis_binaries, shared_postgres,
};
pub use postgres::Postgres;
pub use redis::Redis;
pub use slow::SlowWay;
