//! The client against real local HTTP servers.

#[cfg(test)]
mod bytes;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod generation;
#[cfg(test)]
mod local_model;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod misbehaviour;
#[cfg(test)]
mod models;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
#[cfg(test)]
mod turns;
#[cfg(test)]
mod words;
