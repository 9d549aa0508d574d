//! What patterns mean, as a table. A Redis 7.0.15 server agrees with every row.

/// A pattern, subjects that it names and subjects that it does not.
#[derive(Debug, Clone, Copy)]
pub struct PatternRow {
    /// The pattern.
    pub pattern: &'static str,
    /// Subjects that it names.
    pub matches: &'static [&'static str],
    /// Subjects that it does not name.
    pub refuses: &'static [&'static str],
}

const fn row(
    pattern: &'static str,
    matches: &'static [&'static str],
    refuses: &'static [&'static str],
) -> PatternRow {
    PatternRow {
        pattern,
        matches,
        refuses,
    }
}

/// The plain cases first, then those where Redis's reading surprises.
pub const PATTERNS: &[PatternRow] = &[
    // Literal text.
    row(
        "task.completed",
        &["task.completed"],
        &["task.complete", "task.completed.1", "Task.completed"],
    ),
    // A star crosses dots and may be empty.
    row("*", &["a", "a.b.c"], &[]),
    row("**", &["a", "a.b.c"], &[]),
    row(
        "task.completed.*",
        &["task.completed.1", "task.completed.1.2"],
        &["task.completed", "task.failed.1"],
    ),
    row(
        "agent.*.inbox",
        &["agent.1.inbox", "agent.1.2.inbox"],
        &["agent.inbox", "agent.1.inbox.x", "agent.1.status"],
    ),
    row(
        "*.failed.*",
        &["task.failed.1", "a.b.failed.c.d"],
        &["failed.1", "task.failed"],
    ),
    row("task*", &["task", "task.1", "tasks"], &["tas", "a.task"]),
    row("*a*b*", &["ab", "xaxbx", "b.a.b"], &["ba", "a", "b"]),
    row("a*a", &["aa", "aba", "a.a"], &["a", "ab"]),
    row("*aab", &["aab", "aaab", "x.aab"], &["aaba", "ab"]),
    // A question mark is one byte, dot included; a letter outside ASCII is more than one.
    row("a?c", &["abc", "a.c", "a-c"], &["ac", "abbc"]),
    row("???", &["abc", "a.b"], &["ab", "abcd"]),
    row("?*", &["a", "a.b"], &[]),
    row("gr??e", &["grüe", "gr.xe"], &["gr.e"]),
    // A class is one byte of a list or of ranges; `^` turns it round, `!` does not.
    row("a.[xyz]", &["a.x", "a.z"], &["a.w", "a.xy", "a.x.y"]),
    row("a.[a-c]", &["a.a", "a.b", "a.c"], &["a.d", "a.-", "a.B"]),
    row("a.[c-a]", &["a.a", "a.b", "a.c"], &["a.d", "a.-"]),
    row("a.[a-cx-z]1", &["a.b1", "a.y1"], &["a.m1", "a.b2"]),
    row("a.[A-z]", &["a.A", "a.z", "a._", "a.^"], &["a.0"]),
    row("a.[^a-c]", &["a.d", "a.-", "a.A"], &["a.a", "a.c", "a.de"]),
    row("a.[!x]", &["a.!", "a.x"], &["a.y"]),
    row("a.[x^]", &["a.x", "a.^"], &["a.y"]),
    row("a[.]b", &["a.b"], &["axb"]),
    row("a.[*?x]", &["a.x"], &["a.y", "a.xx"]),
    // A minus that has nothing on one side stands for itself.
    row("a.[-z]", &["a.-", "a.z"], &["a.m"]),
    row("a.[x-", &["a.x", "a.-"], &["a.y"]),
    // The end of a range is taken as it is: here `]`, and the class goes on to the pattern's end.
    row("a.[a-]", &["a.a", "a._", "a.^"], &["a.-", "a.b"]),
    row(
        "a.[a-]z]1",
        &["a.a1", "a._1", "a.z1"],
        &["a.-1", "a.b1", "a.a"],
    ),
    row(r"a.[a-\]1", &["a.a1", "a._1"], &["a.-1", "a.b1"]),
    // An empty class fits nothing, an empty class turned round everything.
    row("a.[]x", &[], &["a.x", "a.yx"]),
    row("a.[^]x", &["a.yx", "a.^x"], &["a.x", "a.y"]),
    // Without an end, the rest of the pattern is the class.
    row("a.[xyz", &["a.x", "a.z"], &["a.w", "a.xyz"]),
    row("a.[x-z", &["a.y"], &["a.w", "a.-"]),
    row("a.[^xyz", &["a.w"], &["a.x", "a.ww"]),
    row("a.[*", &[], &["a.x", "a.xyz"]),
    row("a.[", &[], &["a.x"]),
    row("a.[^", &["a.x"], &["a.xy"]),
    // A backslash takes the meaning from what follows; at the end it stands for itself.
    row(r"\a.\b\.c", &["a.b.c"], &["a.bxc"]),
    row(r"a.\*", &[], &["a.x", "a.xyz"]),
    row(r"a.\[x]", &[], &["a.x"]),
    row(r"a.[\]x]", &["a.x"], &["a.y", "a.xx"]),
    row(r"a.[\x-z]", &["a.x", "a.-", "a.z"], &["a.y"]),
    row(r"a.[\^x]", &["a.^", "a.x"], &["a.y"]),
    row(r"a.[x\", &["a.x"], &["a.y"]),
    row(r"a.x\", &[], &["a.x"]),
    // Stars that invite to try every split.
    row(
        "*a*a*a*a*a*a*a*a*a*a*b",
        &["aaaaaaaaaaaaaaaaaaaab"],
        &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
    ),
];
