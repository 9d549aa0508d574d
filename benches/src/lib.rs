//! What is measured beside fusion-kit, and against what: see `benches/README.md`.

pub mod asking;
pub mod floor;
pub mod gates;
pub mod mock;
pub mod peers;
pub mod rows;
pub mod server;
