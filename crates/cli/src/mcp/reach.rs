//! Which commands a program may call, and what each needs. A test walks the tree: a command that stands
//! nowhere here fails it.

use crate::args::ScopeName;

/// Whether a command is offered as a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To clients of this scope and of greater ones.
    Offered {
        /// The least scope.
        scope: ScopeName,
        /// Without being asked for.
        is_everyday: bool,
    },
    /// Not at all, for this reason.
    Kept(&'static str),
}

/// Whether the command that these words lead to is offered; `None` where nobody has said so.
#[must_use]
pub fn reach(words: &str) -> Option<Reach> {
    if let Some((_, reason)) = KEPT.iter().find(|(kept, _)| *kept == words) {
        return Some(Reach::Kept(reason));
    }
    let scopes = [
        (EVERYDAY_LOOKS, ScopeName::Read, true),
        (LOOKS, ScopeName::Read, false),
        (EVERYDAY_WORK, ScopeName::Operate, true),
        (WORK, ScopeName::Operate, false),
        (DECISIONS, ScopeName::Admin, false),
    ];
    let found = scopes
        .into_iter()
        .find(|(commands, ..)| commands.contains(&words));
    found.map(|(_, scope, is_everyday)| Reach::Offered { scope, is_everyday })
}

/// Whether an argument of a command gives more room in a budget, which is a person's to give.
pub(super) fn is_decision(words: &str, argument: &str) -> bool {
    argument.starts_with("budget") || (words, argument) == ("agent update", "max_cost")
}

/// Whether a command ends something or writes over it though it can't be tried first.
pub(super) fn writes_over(words: &str) -> bool {
    WRITE_OVER.contains(&words)
}

/// Those that do.
const WRITE_OVER: &[&str] = &[
    "agent restart",
    "agent update",
    "budget set",
    "db migrate",
    "down",
    "node drain",
    "project update",
    "project use",
    "reject",
    "task update",
    "workspace merge",
];

/// What a program looks at every day.
const EVERYDAY_LOOKS: &[&str] = &[
    "agent get",
    "agent list",
    "agent logs",
    "capability list",
    "events list",
    "inbox",
    "message list",
    "metrics cost",
    "provider list",
    "provider models",
    "run list",
    "run show",
    "task get",
    "task list",
    "workflow list",
    "workflow validate",
    "workspace diff",
    "workspace files",
    "workspace list",
    "workspace read",
];

/// What else changes nothing.
const LOOKS: &[&str] = &[
    "budget list",
    "capability get",
    "config get",
    "config show",
    "db status",
    "events get",
    "health",
    "info",
    "message show",
    "metrics agent",
    "metrics top",
    "node get",
    "node list",
    "project get",
    "project list",
    "provider quota",
    "provider show",
    "schedule get",
    "schedule list",
    "task deps",
    "task logs",
    "tool list",
    "verify",
    "version",
    "workflow diff",
    "workflow export",
    "workflow get",
    "workflow graph",
    "workflow versions",
    "workspace path",
];

/// What a program starts and changes every day.
const EVERYDAY_WORK: &[&str] = &[
    "agent pause",
    "agent resume",
    "agent send",
    "agent spawn",
    "agent terminate",
    "message send",
    "run",
    "run cancel",
    "run pause",
    "run resume",
    "run retry",
    "task cancel",
    "task create",
    "task retry",
    "task wait",
    "workflow create",
    "workflow start",
];

/// What else starts and changes work.
const WORK: &[&str] = &[
    "agent restart",
    "agent update",
    "artifact get",
    "capability create",
    "capability delete",
    "init",
    "message resend",
    "project archive",
    "project create",
    "project unarchive",
    "project update",
    "resume",
    "run export",
    "run fork",
    "schedule create",
    "schedule delete",
    "schedule pause",
    "schedule resume",
    "workflow cancel",
    "workflow delete",
    "workspace commit",
    "workspace discard",
    "workspace export",
    "workspace gc",
    "workspace merge",
];

/// What a person decides, and what looks after the installation: a program gets it when somebody says so.
const DECISIONS: &[&str] = &[
    "approve",
    "budget clear",
    "budget set",
    "config set",
    "config unset",
    "db backup",
    "db migrate",
    "db vacuum",
    "down",
    "node drain",
    "project delete",
    "project use",
    "provider detect",
    "provider disable",
    "provider enable",
    "provider remove",
    "provider test",
    "reject",
    "run delete",
    "run import",
    "task update",
    "token list",
    "token revoke",
    "webhook deliveries",
    "webhook disable",
    "webhook enable",
    "webhook get",
    "webhook list",
    "webhook remove",
    "webhook resend",
    "webhook test",
];

const FOLLOWS: &str = "it prints as things happen, and a tool answers once";
const SECRET: &str = "a secret is in what it takes or prints";
const TERMINAL: &str = "it needs a terminal";
const WHOLE: &str = "it stands in for the whole database";
const OTHER_OUTPUT: &str = "it prints no JSON";
const ITSELF: &str = "it is what serves the tools";

/// What no program gets this way, and why.
const KEPT: &[(&str, &str)] = &[
    ("agent attach", TERMINAL),
    ("bench", "it takes the whole machine"),
    ("completions", OTHER_OUTPUT),
    ("config edit", TERMINAL),
    ("dashboard", SECRET),
    ("db rekey", WHOLE),
    ("db restore", WHOLE),
    (
        "events replay",
        "it sends the whole log, and any variable as a token, to where it is told",
    ),
    ("events tail", FOLLOWS),
    ("events export", OTHER_OUTPUT),
    ("export events", OTHER_OUTPUT),
    ("man", OTHER_OUTPUT),
    ("mcp serve", ITSELF),
    ("mcp tools", ITSELF),
    ("message tail", FOLLOWS),
    ("provider add", SECRET),
    ("run watch", FOLLOWS),
    ("sandbox run", OTHER_OUTPUT),
    ("schema", OTHER_OUTPUT),
    ("serve", "it does not end"),
    ("token create", SECRET),
    ("tool call", "a client has tools of its own"),
    ("top", TERMINAL),
    ("webhook add", SECRET),
    ("webhook rotate", SECRET),
    ("workspace open", TERMINAL),
];

/// Every command that is named here.
#[cfg(test)]
pub(super) fn named() -> impl Iterator<Item = &'static str> {
    let offered = [EVERYDAY_LOOKS, LOOKS, EVERYDAY_WORK, WORK, DECISIONS];
    let offered = offered.into_iter().flatten().copied();
    offered.chain(KEPT.iter().map(|(words, _)| *words))
}
