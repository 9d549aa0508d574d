//! What an expression names, with its place.
//!
//! MiniJinja can list the variables of an expression, but neither where they stand, nor those
//! behind `['name']` or before a slice. Expressions have no variables of their own, so the
//! tokens are enough to tell. The expression must have passed MiniJinja's own check.

use std::ops::Range;

/// A name and its place, in bytes of the expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name<'e> {
    pub(crate) text: &'e str,
    pub(crate) range: Range<usize>,
}

/// Something that must exist for an expression to have a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mention<'e> {
    /// A variable and the constant names after it: `steps.plan['outputs']` has three.
    Variable(Vec<Name<'e>>),
    Filter(Name<'e>),
    Test(Name<'e>),
    Function(Name<'e>),
}

const KEYWORDS: [&str; 13] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Text,
    Number,
    Symbol,
}

#[derive(Debug, Clone)]
struct Token<'e> {
    kind: Kind,
    /// Of a text, what stands between its quotes.
    text: &'e str,
    range: Range<usize>,
}

impl<'e> Token<'e> {
    fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    fn name(&self) -> Name<'e> {
        Name {
            text: self.text,
            range: self.range.clone(),
        }
    }
}

/// How large an expression is to an evaluator that recurses over it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) tokens: usize,
    /// The deepest nesting of brackets of all kinds.
    pub(crate) brackets: usize,
}

impl Size {
    /// Counts in any text, an expression or not.
    pub(crate) fn of(expression: &str) -> Self {
        let tokens = tokens(expression);
        let mut depth = 0_usize;
        let mut brackets = 0;
        for token in tokens.iter().filter(|token| token.kind == Kind::Symbol) {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            brackets = brackets.max(depth);
        }
        Self {
            tokens: tokens.len(),
            brackets,
        }
    }
}

/// Everything an expression names, in its order.
pub(crate) fn mentions(expression: &str) -> Vec<Mention<'_>> {
    let tokens = tokens(expression);
    let mut found = Vec::new();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let (before, after) = tokens.split_at(index);
        index += 1;
        if token.kind != Kind::Word {
            continue;
        }
        let next = after.get(1);
        let next_is = |symbol| next.is_some_and(|next| next.is_symbol(symbol));
        match role(before) {
            Role::Member => {}
            Role::Filter => found.push(Mention::Filter(token.name())),
            // The second word of `is not`.
            Role::Test if token.text == "not" => {}
            Role::Test => found.push(Mention::Test(token.name())),
            Role::Operand if KEYWORDS.contains(&token.text) || next_is("=") => {}
            Role::Operand if next_is("(") => found.push(Mention::Function(token.name())),
            Role::Operand => found.push(Mention::Variable(path(after))),
        }
    }
    found
}

/// What a word is by what stands before it.
enum Role {
    /// After a dot: part of a path that was read before, or of a value without a name.
    Member,
    Filter,
    Test,
    Operand,
}

fn role(before: &[Token<'_>]) -> Role {
    let is_word = |token: &Token<'_>, word| token.kind == Kind::Word && token.text == word;
    match before {
        [.., last] if last.is_symbol(".") => Role::Member,
        [.., last] if last.is_symbol("|") => Role::Filter,
        [.., dot, last] if dot.is_symbol(".") && last.kind == Kind::Word => Role::Operand,
        [.., last] if is_word(last, "is") => Role::Test,
        [.., is, last] if is_word(is, "is") && is_word(last, "not") => Role::Test,
        _ => Role::Operand,
    }
}

/// The word at the start and the constant names that follow it.
fn path<'e>(tokens: &[Token<'e>]) -> Vec<Name<'e>> {
    let mut names: Vec<Name<'e>> = tokens.first().map(Token::name).into_iter().collect();
    let mut rest = tokens.get(1..).unwrap_or_default();
    loop {
        match rest {
            [dot, word, after @ ..] if dot.is_symbol(".") && word.kind == Kind::Word => {
                names.push(word.name());
                rest = after;
            }
            [open, text, close, after @ ..]
                if open.is_symbol("[") && text.kind == Kind::Text && close.is_symbol("]") =>
            {
                names.push(text.name());
                rest = after;
            }
            _ => return names,
        }
    }
}

fn tokens(expression: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(rest) = expression.get(start..)
        && let Some(first) = rest.chars().next()
    {
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else {
            let (kind, length) = token(rest, first);
            let quotes = usize::from(kind == Kind::Text);
            let range = start + quotes..(start + length).saturating_sub(quotes);
            tokens.push(Token {
                kind,
                text: expression.get(range.clone()).unwrap_or_default(),
                range,
            });
            length
        };
        start += length;
    }
    tokens
}

/// The kind and the bytes of the token that `rest` starts with.
fn token(rest: &str, first: char) -> (Kind, usize) {
    let run = |is_part: fn(char) -> bool| rest.find(|next| !is_part(next)).unwrap_or(rest.len());
    let is_word = |next: char| next.is_alphanumeric() || next == '_';
    match first {
        '\'' | '"' => (Kind::Text, text_length(rest, first)),
        _ if first.is_ascii_digit() => (Kind::Number, run(is_word)),
        _ if is_word(first) => (Kind::Word, run(is_word)),
        _ if ["==", "!=", "<=", ">=", "//", "**"]
            .iter()
            .any(|two| rest.starts_with(two)) =>
        {
            (Kind::Symbol, 2)
        }
        _ => (Kind::Symbol, first.len_utf8()),
    }
}

/// The bytes of a text with its quotes.
fn text_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, next) in rest.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if next == quote => return index + next.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}
