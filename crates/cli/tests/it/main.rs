//! The commands from the outside: arguments in, text on two streams and an exit code out.

#[cfg(test)]
mod agents;
#[cfg(test)]
mod args;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod database;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod dry_runs;
#[cfg(test)]
mod init;
mod jq;
#[cfg(test)]
mod live;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod messages;
mod metrics;
#[cfg(test)]
mod node;
#[cfg(test)]
mod problems;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod records;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod serve;
mod settings;
#[cfg(test)]
mod steering;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod webhooks;
#[cfg(test)]
mod workspaces;
