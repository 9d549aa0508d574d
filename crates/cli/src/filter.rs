//! `--jq`: what an expression makes of results.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use clap::ArgMatches;
use clap::error::ErrorKind;
use fusion_api_types::api::plain_json;
use fusion_api_types::{Problem, ProblemKind};
use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader, lex};
use jaq_core::{Compiler, Ctx, Vars, compile};
use jaq_json::Val;

use crate::args::{Global, OutputForm};
use crate::schema::{Printed, printed};
use crate::text::clean;
use crate::tree::command;

/// What jq has and the library leaves to its users: rows for other programs.
const ROWS: &str = r#"
def cells(text): if type != "array" then error("only an array is a row") else map(
  if type == "string" then text
  elif type == "array" or type == "object" then error("a cell of a row is no array and no object")
  elif . == null then "" else tostring end) end;
def @tsv: cells(reduce (["\\", "\\\\"], ["\t", "\\t"], ["\n", "\\n"], ["\r", "\\r"]) as [$from, $to]
  (.; split($from) | join($to))) | join("\t");
def @csv: cells("\"" + (split("\"") | join("\"\"")) + "\"") | join(",");
"#;

/// Characters of an error that are shown, at its beginning and at its end: what an expression did not fit
/// may be a whole list.
const SHOWN: (usize, usize) = (160, 60);

type Program = jaq_core::Filter<JustLut<Val>>;

/// An expression of jq that was read.
#[derive(Clone)]
pub struct Filter {
    expression: String,
    program: Arc<Program>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.expression).finish()
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression
    }
}

impl Eq for Filter {}

impl Filter {
    /// Reads an expression. It has all that jq has but `input`, modules, and the environment, where keys are.
    ///
    /// # Errors
    /// It is wrong: how, and where.
    pub fn read(expression: &str) -> Result<Self, String> {
        let arena = Arena::default();
        let rows = load::parse(ROWS, |parser| parser.defs());
        let rows = rows.into_iter().flatten();
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(rows);
        let program = File {
            code: expression,
            path: (),
        };
        let loaded = Loader::new(defs.chain(jaq_json::defs())).load(&arena, program);
        let modules = loaded.map_err(|faults| first(&faults, expression, unread))?;
        let funs = jaq_core::funs().chain(jaq_std::funs());
        let funs = funs.filter(|(name, ..)| *name != "env");
        let compiled = Compiler::default()
            .with_funs(funs.chain(jaq_json::funs()))
            .compile(modules);
        let program = compiled
            .map_err(|faults| first(&faults, expression, |faults, code| unknown(faults, code)))?;
        Ok(Self {
            expression: expression.to_owned(),
            program: Arc::new(program),
        })
    }

    /// Gives each value that it makes of a result, as a line: a text as it is, all else as JSON.
    pub(crate) fn apply(
        &self,
        json: &str,
        mut take: impl FnMut(&str) -> Result<ControlFlow<()>, Problem>,
    ) -> Result<ControlFlow<()>, Problem> {
        let result = jaq_json::read::parse_single(json.as_bytes());
        let result = result.map_err(|error| failed(&error))?;
        let context = Ctx::<JustLut<Val>>::new(&self.program.lut, Vars::new([]));
        for made in self.program.id.run((context, result)) {
            let value = match made.map_err(jaq_core::Exn::get_err) {
                Ok(value) => value,
                Err(Ok(error)) => return Err(failed(&error)),
                // `halt`: it wants no more.
                Err(Err(_)) => break,
            };
            if take(&line(&value))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn line(value: &Val) -> String {
    let text = match value {
        Val::TStr(text) | Val::BStr(text) => clean(&String::from_utf8_lossy(text)),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::Arr(_) | Val::Obj(_) => {
            plain_json(&value.to_string())
        }
    };
    format!("{text}\n")
}

fn failed(error: &dyn fmt::Display) -> Problem {
    let told = clean(&error.to_string());
    let (begin, end) = SHOWN;
    let length = told.chars().count();
    let told = if length > begin + end {
        let beginning = told.chars().take(begin);
        let rest = told.chars().skip(length - end);
        beginning.chain(['…']).chain(rest).collect()
    } else {
        told
    };
    let text = format!("--jq can't go on: {told}");
    Problem::new(ProblemKind::InvalidInput, text)
        .with_help("the command is done; --json prints its whole result")
}

/// The first of the faults, in words.
fn first<E>(
    faults: &[(File<&str, ()>, E)],
    code: &str,
    said: impl Fn(&E, &str) -> Option<String>,
) -> String {
    let said = faults.iter().find_map(|(_, fault)| said(fault, code));
    said.unwrap_or_else(|| "it can't be read".to_owned())
}

fn unread(fault: &load::Error<&str>, code: &str) -> Option<String> {
    let (wanted, found) = match fault {
        load::Error::Io(missing) => {
            let (part, _) = missing.first()?;
            return Some(format!("there are no modules {}", place(part, code)));
        }
        load::Error::Lex(faults) => {
            let (wanted, found) = faults.first()?;
            // It says where the text ends, and has no name for this.
            if let lex::Expect::Delim(open) = wanted {
                let place = place(open, code);
                return Some(format!("{open} is not closed {place}"));
            }
            (wanted.as_str(), found)
        }
        load::Error::Parse(faults) => {
            let (wanted, found) = faults.first()?;
            (wanted.as_str(), found)
        }
    };
    Some(format!("{wanted} is expected {}", place(found, code)))
}

fn unknown(faults: &[compile::Error<&str>], code: &str) -> Option<String> {
    let (name, kind) = faults.first()?;
    let place = place(name, code);
    // Filters of one name differ by how many arguments they take.
    let name = if let compile::Undefined::Filter(arity) = kind {
        format!("{name}/{arity}")
    } else {
        (*name).to_owned()
    };
    Some(format!("there is no {} `{name}` {place}", kind.as_str()))
}

/// Where a part of the expression begins.
fn place(part: &str, code: &str) -> String {
    let begin = part.as_ptr().addr().checked_sub(code.as_ptr().addr());
    let before = begin
        .filter(|_| !part.is_empty())
        .and_then(|begin| code.get(..begin));
    match before {
        Some(before) => format!("at character {}", before.chars().count() + 1),
        None => "at its end".to_owned(),
    }
}

/// Takes `--jq` for `--json`, or refuses it where there is nothing for it.
///
/// # Errors
/// The command prints no JSON, or another form is asked for.
pub(crate) fn imply_json(global: &mut Global, matches: &ArgMatches) -> Result<(), clap::Error> {
    if global.jq.is_none() {
        return Ok(());
    }
    match global.output {
        None => global.json = true,
        Some(OutputForm::Json | OutputForm::Jsonl) => {}
        Some(OutputForm::Table | OutputForm::Wide | OutputForm::Yaml | OutputForm::Name) => {
            let why = "--jq works on JSON: leave --output out, or take json or jsonl";
            return Err(command().error(ErrorKind::ArgumentConflict, why));
        }
    }
    let words = words(matches);
    if let Some(Printed::Other(prints)) = printed(&words) {
        let why = format!("--jq works on JSON, and `{words}` prints {prints}");
        return Err(command().error(ErrorKind::ArgumentConflict, why));
    }
    Ok(())
}

/// The words that lead to the command.
fn words(mut matches: &ArgMatches) -> String {
    let mut words = Vec::new();
    while let Some((name, below)) = matches.subcommand() {
        words.push(name);
        matches = below;
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::Filter;

    fn made(expression: &str, json: &str) -> Vec<String> {
        let filter = Filter::read(expression).unwrap();
        let mut lines = Vec::new();
        let flow = filter.apply(json, |line| {
            lines.push(line.to_owned());
            Ok(ControlFlow::Continue(()))
        });
        if let Err(problem) = flow {
            lines.push(problem.message);
        }
        lines
    }

    #[test]
    fn a_text_is_a_line_as_it_is_and_all_else_is_json() {
        let json = r#"{"b":[{"name":"x\ty\u001b[2J"},{"name":null}],"a":18446744073709551615}"#;
        for (expression, lines) in [
            (".b[].name", &["x\ty␛[2J\n", "null\n"][..]),
            (
                ".",
                &[
                    "{\"b\":[{\"name\":\"x\\ty\\u001b[2J\"},{\"name\":null}],\"a\":18446744073709551615}\n",
                ],
            ),
            (".b | map(.name // \"none\" | length)", &["[7,4]\n"]),
            (".a, halt, .a", &["18446744073709551615\n"]),
            ("empty", &[]),
            (
                r#"["a\\b\tc", "", null, true, 1.5] | @tsv, @csv"#,
                &[
                    "a\\\\b\\tc\t\t\ttrue\t1.5\n",
                    "\"a\\b\tc\",\"\",,true,1.5\n",
                ],
            ),
            (r#"["say \"hi\""] | @csv"#, &["\"say \"\"hi\"\"\"\n"]),
            (
                "[[]] | @tsv",
                &["--jq can't go on: \"a cell of a row is no array"],
            ),
            ("true, .b.c", &["true\n", "--jq can't go on: cannot index"]),
        ] {
            let made = made(expression, json);
            assert_eq!(made.len(), lines.len(), "{expression}: {made:?}");
            for (made, line) in made.iter().zip(lines) {
                assert!(made.starts_with(line), "{expression}: {made:?}");
            }
        }
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        for (expression, why) in [
            (".runs[", "[ is not closed at character 6"),
            (".a | §", "token is expected at character 6"),
            (
                ".\"ä\" | foo(1)",
                "there is no filter `foo/1` at character 8",
            ),
            (".a | $b", "there is no variable `$b` at character 6"),
            (".a |", "term is expected at its end"),
            ("env.HOME", "there is no filter `env/0` at character 1"),
            (
                "import \"a\" as a; .",
                "there are no modules at character 9",
            ),
        ] {
            assert_eq!(Filter::read(expression).unwrap_err(), why, "{expression}");
        }
    }

    #[test]
    fn what_an_expression_does_not_fit_is_shown_in_short() {
        let json = serde_json::to_string(&vec!["ä".repeat(9); 99]).unwrap();
        let told = made(".name", &json).remove(0);
        assert_eq!(told.chars().count(), "--jq can't go on: ".len() + 221);
        assert!(
            told.contains('…') && told.ends_with("with \"name\""),
            "{told}"
        );
    }

    #[test]
    fn nobody_reads_on_when_the_reader_is_gone() {
        let filter = Filter::read("repeat(1)").unwrap();
        let mut left = 3;
        let flow = filter.apply("null", |_| {
            left -= 1;
            Ok(if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        });
        assert_eq!(flow.unwrap(), ControlFlow::Break(()));
    }
}
