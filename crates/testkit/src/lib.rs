//! What tests need of the machine. For `[dev-dependencies]` and for xtask, never in the product.
//!
//! Most tests share the server that `cargo xtask test` starts: [`shared_postgres`] tells where it is.
//! A test that stops, kills or pauses PostgreSQL starts a [`Postgres`] of its own, and each test that
//! needs Redis a [`Redis`], which takes a moment only.
//! [`MisbehavingHttp`] is an HTTP server that does to the bytes of an answer what networks and servers do, and
//! [`SlowWay`] makes the answers of any server late. With the feature `s3` there is a server that speaks the
//! language of S3.

mod http;
mod installation;
mod keeper;
mod postgres;
mod redis;
#[cfg(feature = "s3")]
mod s3;
mod server;
mod slow;

pub use http::{Act, HttpRequest, MisbehavingHttp};
pub use installation::{
    BIN_VARIABLE, CHROMIUM_VARIABLE, INSTALL, INSTALL_CHROMIUM, INSTALL_REDIS, REDIS_BIN_VARIABLE,
    URL_VARIABLE, chromium, postgres_binaries, redis_binaries, shared_postgres,
};
pub use postgres::Postgres;
pub use redis::Redis;
#[cfg(feature = "s3")]
pub use s3::S3Server;
pub use slow::SlowWay;
