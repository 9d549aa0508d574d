//! The contract of the store on each database, and what only one of them can show.

#[cfg(test)]
#[cfg(feature = "failpoints")]
mod everything;
#[cfg(test)]
#[cfg(feature = "failpoints")]
mod faults;
#[cfg(test)]
mod file;
#[cfg(test)]
#[cfg(feature = "failpoints")]
mod letters;
#[cfg(test)]
#[cfg(feature = "failpoints")]
mod maintenance;
#[cfg(test)]
mod memory;
#[cfg(test)]
#[cfg(feature = "failpoints")]
mod place;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod raw;
#[cfg(test)]
#[cfg(feature = "failpoints")]
mod schema;
#[cfg(test)]
#[cfg(feature = "failpoints")]
mod storm;
#[cfg(test)]
#[cfg(feature = "failpoints")]
mod world;
