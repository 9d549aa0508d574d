//! The worker processes of the storms in `tests/it`; no part of the product.
//!
//! The first argument names the storm. A worker works on the only run in a database until its input
//! ends.

mod common;
mod letters;
mod tasks;

use common::{Fault, next};

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let mut given = std::env::args().skip(1);
    let storm: String = next(&mut given)?;
    match storm.as_str() {
        "letters" => Box::pin(letters::work(&mut given)).await,
        "tasks" => Box::pin(tasks::work(&mut given)).await,
        other => Err(format!("there is no storm of '{other}'").into()),
    }
}
