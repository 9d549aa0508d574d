//! The runtime at work: real workspaces and files, a scripted model, a journal in memory.

#[cfg(test)]
mod cancel;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mailbox;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod model;
#[cfg(test)]
mod place;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod turns;
