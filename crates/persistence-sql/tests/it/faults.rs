//! What databases do when they are in trouble, and what callers see of it: nothing lost, nothing
//! twice, no wrong answer, and no endless wait.

mod load;
mod locked;
mod script;
mod server;
mod statements;
pub(crate) mod world;
