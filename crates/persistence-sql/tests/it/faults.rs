//! What databases do when they are in trouble, and what callers see of it: nothing lost, nothing
//! twice, no wrong answer, and no endless wait.

mod commit;
mod damage;
mod disk;
mod load;
mod locked;
mod proxy;
mod races;
mod script;
mod server;
mod statements;
pub(crate) mod world;
