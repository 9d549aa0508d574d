//! The whole engine on a real SQLite file, with models that misbehave.

#[cfg(test)]
mod approvals;
#[cfg(test)]
mod asking;
#[cfg(test)]
mod calls;
#[cfg(all(test, feature = "failpoints"))]
mod commits;
#[cfg(test)]
mod conversation;
#[cfg(test)]
mod cycles;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod failing_models;
#[cfg(test)]
mod fallback_models;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod hops;
#[cfg(test)]
mod kept_files;
#[cfg(test)]
mod launches;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod lost_calls;
#[cfg(test)]
mod lost_hints;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod models;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod steering;
#[cfg(test)]
mod talk;
#[cfg(test)]
mod waits;
#[cfg(test)]
mod world;
