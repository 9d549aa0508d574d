//! The file of a scripted model: reading, checking, looking up an answer.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, Location, MessageFormatter, Spanned};

use fusion_core::nearest;

use crate::{Error, Result};

/// Far above any script a person writes; keeps a wrong path from filling the memory.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A checked script.
#[derive(Debug)]
pub(super) struct Script {
    path: PathBuf,
    pub(super) delay: Duration,
    steps: Spanned<BTreeMap<String, Spanned<Vec<Spanned<Answer>>>>>,
}

/// One answer of the pretend model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) text: String,
    #[serde(default)]
    pub(super) tool_calls: Vec<Call>,
}

/// One tool call of an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) name: String,
    #[serde(default = "no_arguments")]
    pub(super) arguments: Value,
}

fn no_arguments() -> Value {
    Value::Object(serde_json::Map::new())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    #[serde(default, deserialize_with = "delay")]
    delay: Duration,
    steps: Spanned<BTreeMap<String, Spanned<Vec<Spanned<Answer>>>>>,
}

impl Script {
    pub(super) async fn read(path: &Path) -> Result<Self> {
        let metadata = tokio::fs::metadata(path)
            .await
            .map_err(|source| unreadable(path, source))?;
        if !metadata.is_file() || metadata.len() > MAX_BYTES {
            return Err(Error::Script {
                at: path.display().to_string(),
                problem: format!("a script must be a file of at most {MAX_BYTES} bytes"),
                source: None,
            });
        }
        let text = tokio::fs::read_to_string(path)
            .await
            .map_err(|source| unreadable(path, source))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| Error::Script {
            at: place(path, error.location()),
            problem: DefaultMessageFormatter
                .format_message(error.without_snippet())
                .into_owned(),
            source: None,
        })?;
        let script = Self {
            path: path.to_owned(),
            delay: file.delay,
            steps: file.steps,
        };
        if file.version.value != 1 {
            let problem = format!("version {} is not known, only 1 is", file.version.value);
            return Err(script.fault(file.version.referenced, problem));
        }
        for (step, answers) in &script.steps.value {
            for answer in &answers.value {
                if answer.value.text.is_empty() && answer.value.tool_calls.is_empty() {
                    let problem = format!(
                        "an answer of step '{step}' is empty: give it a text or tool_calls"
                    );
                    return Err(script.fault(answer.referenced, problem));
                }
            }
        }
        Ok(script)
    }

    /// Makes sure that each of these steps has an answer at all.
    pub(super) fn check_steps(&self, steps: &[&str]) -> Result<()> {
        for step in steps {
            match self.steps.value.get(*step) {
                Some(answers) if answers.value.is_empty() => {
                    let problem = format!("the list of answers for step '{step}' is empty");
                    return Err(self.fault(answers.referenced, problem));
                }
                Some(_) => {}
                None => return Err(self.unknown_step(step)),
            }
        }
        Ok(())
    }

    /// The answer of a turn, counted from 1. Work that is begun anew, or done for an item of a list,
    /// has answers of its own where the file has such an entry: `build[1]#2` is the second time of the
    /// second item of the step `build`; then comes `build[1]`, then `build#2`, then `build`.
    pub(super) fn answer(&self, place: &str, turn: u32) -> Result<&Answer> {
        let (task, renewal) = place
            .split_once('#')
            .map_or((place, None), |(task, number)| (task, Some(number)));
        let step = task.split('[').next().unwrap_or(task);
        let anew = renewal.map(|number| format!("{step}#{number}"));
        let names = [Some(place), Some(task), anew.as_deref(), Some(step)];
        let mut known = names.into_iter().flatten();
        let answers = known
            .find_map(|name| self.steps.value.get(name))
            .ok_or_else(|| self.unknown_step(step))?;
        usize::try_from(turn)
            .ok()
            .and_then(|turn| answers.value.get(turn.checked_sub(1)?))
            .map(|answer| &answer.value)
            .ok_or_else(|| {
                let count = answers.value.len();
                let problem = format!(
                    "turn {turn} of step '{step}' has no answer: the script ends after {count}"
                );
                self.fault(answers.referenced, problem)
            })
    }

    fn unknown_step(&self, step: &str) -> Error {
        let known = self.steps.value.keys().map(String::as_str);
        let hint = nearest(step, known)
            .map(|name| format!("; did you mean '{name}'?"))
            .unwrap_or_default();
        let problem = format!("the script has no answers for step '{step}'{hint}");
        self.fault(self.steps.referenced, problem)
    }

    fn fault(&self, location: Location, problem: String) -> Error {
        Error::Script {
            at: place(&self.path, Some(location)),
            problem,
            source: None,
        }
    }
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Script {
        at: path.display().to_string(),
        problem: "the script can't be read".to_owned(),
        source: Some(source.into()),
    }
}

fn place(path: &Path, location: Option<Location>) -> String {
    match location {
        Some(location) if location.line() > 0 => format!(
            "{}:{}:{}",
            path.display(),
            location.line(),
            location.column()
        ),
        Some(_) | None => path.display().to_string(),
    }
}

fn delay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (number, milliseconds) = match text.trim() {
        text if text.ends_with("ms") => (text.strip_suffix("ms"), 1),
        text if text.ends_with('s') => (text.strip_suffix('s'), 1_000),
        text => (text.strip_suffix('m'), 60_000),
    };
    number
        .and_then(|number| number.trim_end().parse::<u64>().ok())
        .and_then(|number| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(|| {
            serde::de::Error::custom(format!(
                "a delay is a whole number with ms, s or m, as in 300ms, not '{text}'"
            ))
        })
}
