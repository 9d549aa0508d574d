//! `cargo xtask layers`: the shape of the workspace, checked.

mod sources;
mod table;
mod workspace;

use std::collections::BTreeSet;

use anyhow::Result;

pub(crate) use table::Table;
pub(crate) use workspace::members;
use workspace::{Dependency, Kind, Member};

/// The tests' toolbox, which tests of its own tier may use, and nothing else of the product.
const TESTKIT: &str = "fusion-testkit";

/// These commands, which start servers for tests with the same toolbox.
const XTASK: &str = "xtask";

/// Measurements, which start a PostgreSQL for what they measure.
const BENCHES: &str = "fusion-benches";

/// The feature of a port that carries the tests of its adapters.
const CONFORMANCE: &str = "conformance";

/// Everything that is wrong, a sentence each, in a fixed order. Empty when all is well.
///
/// # Errors
/// When a source file can't be read.
pub(crate) fn faults(table: &Table, members: &[Member]) -> Result<Vec<String>> {
    let mut faults = stale_names(table, members);
    for member in members {
        faults.extend(tier_faults(table, member, members));
        faults.extend(technology_faults(table, member));
        if !member.has_workspace_lints()? {
            faults.push(format!(
                "{} does not take the workspace's lints: write `workspace = true` under [lints]",
                member.name
            ));
        }
        faults.extend(sources::oversized(&member.folder)?);
    }
    Ok(faults)
}

/// Names in the table that no crate of the workspace has.
fn stale_names(table: &Table, members: &[Member]) -> Vec<String> {
    let real: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let owners = table.technologies.values().flatten();
    let named: BTreeSet<&String> = table.tiers.keys().chain(owners).collect();
    named
        .into_iter()
        .filter(|name| !real.contains(name.as_str()))
        .map(|name| format!("layers.toml names {name}, which is no crate of the workspace"))
        .collect()
}

fn tier_faults(table: &Table, member: &Member, members: &[Member]) -> Vec<String> {
    let Some(&own) = table.tiers.get(&member.name) else {
        return vec![format!(
            "{} has no tier: add it to layers.toml",
            member.name
        )];
    };
    let is_ours = |name: &str| members.iter().any(|member| member.name == name);
    member
        .dependencies
        .iter()
        .filter(|dependency| is_ours(&dependency.name))
        .filter_map(|dependency| Some((dependency, *table.tiers.get(&dependency.name)?)))
        .filter(|(dependency, tier)| {
            !may_use(own, dependency, *tier) || ships_testkit(member, dependency)
        })
        .map(|(dependency, tier)| {
            format!(
                "{} (tier {own}) must not depend on {} (tier {tier}){}",
                member.name,
                dependency.name,
                match dependency.kind {
                    Kind::Normal if dependency.name == TESTKIT => " outside of its tests",
                    Kind::Normal => "",
                    Kind::Build => " in its build script",
                    Kind::Dev => " in its tests",
                }
            )
        })
        .collect()
}

fn may_use(own: u32, dependency: &Dependency, tier: u32) -> bool {
    if tier < own {
        return true;
    }
    let is_for_tests = dependency.name == TESTKIT
        || dependency
            .features
            .iter()
            .any(|feature| feature == CONFORMANCE);
    match dependency.kind {
        Kind::Dev => tier == own && is_for_tests,
        Kind::Normal | Kind::Build => false,
    }
}

fn ships_testkit(member: &Member, dependency: &Dependency) -> bool {
    dependency.name == TESTKIT
        && member.name != XTASK
        && member.name != BENCHES
        && dependency.kind != Kind::Dev
}

fn technology_faults(table: &Table, member: &Member) -> Vec<String> {
    member
        .dependencies
        .iter()
        .filter_map(|dependency| Some((dependency, table.technologies.get(&dependency.name)?)))
        .filter(|(_, owners)| !owners.contains(&member.name))
        .map(|(dependency, owners)| {
            format!(
                "{} must not know {}: it belongs to {}",
                member.name,
                dependency.name,
                owners.join(" and ")
            )
        })
        .collect()
}

#[cfg(test)]
mod tests;
