//! Prints the description of the API: `cargo run -p fusion-api --example openapi > openapi/v1.json`.
#![expect(clippy::print_stdout, reason = "what it is for")]

fn main() -> Result<(), serde_json::Error> {
    println!("{}", fusion_api::openapi().to_pretty_json()?);
    Ok(())
}
