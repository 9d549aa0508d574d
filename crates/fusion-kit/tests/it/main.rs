//! The real binary, as a user has it: its exit code, its two streams, and what it leaves behind.

#[cfg(test)]
mod again;
#[cfg(test)]
mod agents;
#[cfg(test)]
mod api;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod attach;
#[cfg(test)]
mod background;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod budgets_around;
#[cfg(test)]
mod bus;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod database;
#[cfg(test)]
mod discards;
#[cfg(test)]
mod dry_runs;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod failing_runs;
#[cfg(test)]
mod first_steps;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod grace;
#[cfg(test)]
mod held_commands;
#[cfg(test)]
mod howto;
#[cfg(test)]
mod interruption;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod kill_storm;
#[cfg(test)]
mod left_runs;
#[cfg(test)]
mod live_answers;
#[cfg(test)]
mod lost_calls;
#[cfg(test)]
mod max_costs;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod mended;
#[cfg(test)]
mod merges;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod model_server;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod ordinary_user;
#[cfg(test)]
mod output;
#[cfg(test)]
mod own_store;
#[cfg(test)]
mod pieces;
#[cfg(test)]
mod provider_figures;
#[cfg(test)]
mod provider_runs;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod redis_storm;
#[cfg(test)]
mod rekey;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod run_deletions;
#[cfg(test)]
mod run_files;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod setting_files;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod shared_data;
#[cfg(test)]
mod steering;
#[cfg(test)]
mod stuck;
#[cfg(test)]
mod subflows;
#[cfg(test)]
mod support;
#[cfg(test)]
mod taken_in;
#[cfg(test)]
mod talk;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod top;
#[cfg(test)]
mod waits;
#[cfg(test)]
mod webhooks;
#[cfg(test)]
mod workflows;
#[cfg(test)]
mod worktrees;
