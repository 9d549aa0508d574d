//! Every expression of the file: its syntax, and that all it names exists.

use fusion_core::StepSpec;

use crate::called::{Called, CalledWorkflows};
use crate::check::Numbers;
use crate::check::ancestors::Ancestors;
use crate::expression::{Engine, Mention, Name, Part, Syntax, condition_part, mentions, parts};
use crate::fault::{Faults, RawFault};
use crate::read::{Draft, Local, Template, TemplateKind};
use crate::tree::Span;

/// What an expression may start with.
const ROOTS: [&str; 4] = ["inputs", "run", "steps", "workflow"];
/// What one may start with that is evaluated before the run is there.
const EARLY_ROOTS: [&str; 2] = ["inputs", "workflow"];
/// What a step has for expressions.
const STEP_FIELDS: [&str; 5] = ["artifacts", "error", "files", "outputs", "status"];
/// What a command gives.
const COMMAND_OUTPUTS: [&str; 2] = ["exit_code", "output"];

pub(super) struct Checker<'c, 'n> {
    pub(super) text: &'c str,
    pub(super) draft: &'c Draft<'n>,
    pub(super) numbers: &'c Numbers<'c>,
    /// `None` when the edges are wrong: then no order is checked.
    pub(super) ancestors: Option<&'c Ancestors>,
    /// The workflows that its steps are runs of, as far as they are known.
    pub(super) called: &'c CalledWorkflows,
}

/// Where an expression stands and who may see what from there.
struct Site<'s> {
    template: &'s Template<'s>,
    sees: Sees,
}

/// What an expression can know when it is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    /// What is there before a run: an agent's provider and models.
    Inputs,
    /// The results of the steps before this one.
    Before(usize),
    /// All steps: the workflow's outputs.
    All,
}

impl Checker<'_, '_> {
    pub(super) fn check(&self, faults: &mut Faults) {
        let engine = Engine::new();
        for (number, step) in self.draft.steps.iter().enumerate() {
            for template in &step.templates {
                let sees = Sees::Before(number);
                self.check_template(&Site { template, sees }, &engine, faults);
            }
        }
        for (templates, sees) in [
            (&self.draft.outputs, Sees::All),
            (&self.draft.choices, Sees::Inputs),
        ] {
            for template in templates {
                self.check_template(&Site { template, sees }, &engine, faults);
            }
        }
    }

    fn check_template(&self, site: &Site<'_>, engine: &Engine, faults: &mut Faults) {
        let text = site.template.text;
        let found = match site.template.kind {
            TemplateKind::Text => parts(text),
            TemplateKind::List => parts(text).and_then(|parts| only_part(text, parts)),
            TemplateKind::Condition => condition_part(text).map(|part| vec![part]),
        };
        let parts = match found {
            Ok(parts) => parts,
            Err(fault) => return self.tell_syntax(&fault, site, faults),
        };
        for part in parts {
            let Part::Expression { source, start } = part else {
                continue;
            };
            if let Err(fault) = engine.check(source, start) {
                self.tell_syntax(&fault, site, faults);
                continue;
            }
            for mention in mentions(source) {
                self.check_mention(&mention, start, site, faults);
            }
        }
    }

    fn tell_syntax(&self, fault: &Syntax, site: &Site<'_>, faults: &mut Faults) {
        let span = self.place(site.template, &fault.range);
        faults.add(RawFault::new(fault.problem.clone(), &span));
    }

    fn check_mention(
        &self,
        mention: &Mention<'_>,
        start: usize,
        site: &Site<'_>,
        faults: &mut Faults,
    ) {
        let wrong = match mention {
            Mention::Variable(path) => self.check_path(path, site, faults),
            Mention::Filter(name) => check_known(name, "filter", Engine::FILTERS, faults),
            Mention::Test(name) => check_known(name, "test", Engine::TESTS, faults),
            Mention::Function(name) => check_known(name, "function", Engine::FUNCTIONS, faults),
        };
        if let Some(wrong) = wrong {
            let range = start + wrong.range.start..start + wrong.range.end;
            let span = self.place(site.template, &range);
            faults.add(RawFault::new(wrong.message, &span).help(wrong.help));
        }
    }

    fn check_path(&self, path: &[Name<'_>], site: &Site<'_>, faults: &Faults) -> Option<Wrong> {
        let (root, rest) = path.split_first()?;
        if site.sees == Sees::Inputs
            && let Some(wrong) = too_early(root, faults)
        {
            return Some(wrong);
        }
        if let Some(local) = Local::ALL.iter().find(|local| local.name() == root.text) {
            return self.check_local(*local, path, site, faults);
        }
        match (root.text, rest) {
            ("inputs", [name, ..]) => {
                let inputs = &self.draft.workflow().inputs;
                let known = inputs.keys().map(String::as_str);
                (!inputs.contains_key(name.text)).then(|| {
                    let message = format!("the workflow has no input '{}'", name.text);
                    Wrong::at(name, message, faults.hint(name.text, "inputs", known))
                })
            }
            ("inputs" | "run" | "workflow", []) => None,
            ("run", [name, ..]) => check_field(name, "a run", &["id"], faults),
            ("workflow", [name, ..]) => check_field(name, "the workflow", &["name"], faults),
            ("steps", []) => Some(Wrong::at(
                root,
                "`steps` must be followed by the id of a step".to_owned(),
                "write for example `steps.plan.outputs.text`".to_owned(),
            )),
            ("steps", [id, rest @ ..]) => self.check_step(id, rest, site, faults),
            _ => {
                let message = format!("unknown variable `{}`", root.text);
                let locals = site.template.locals.iter().map(|local| local.name());
                let known = ROOTS.into_iter().chain(locals);
                let help = faults.hint(root.text, "variables", known);
                Some(Wrong::at(root, message, help))
            }
        }
    }

    /// A name that only some templates can use; the fields of a round's outputs are those of its step.
    fn check_local(
        &self,
        local: Local,
        path: &[Name<'_>],
        site: &Site<'_>,
        faults: &Faults,
    ) -> Option<Wrong> {
        let (root, rest) = path.split_first()?;
        if !site.template.locals.contains(&local) {
            let message = format!("there is no `{}` here", root.text);
            let help = format!("it is known in {}", local.place());
            return Some(Wrong::at(root, message, help));
        }
        let (Local::Outputs | Local::Previous, Some(field), Sees::Before(step)) =
            (local, rest.first(), site.sees)
        else {
            return None;
        };
        self.check_output(field, &self.draft.steps.get(step)?.spec, faults)
    }

    fn check_step(
        &self,
        id: &Name<'_>,
        rest: &[Name<'_>],
        site: &Site<'_>,
        faults: &Faults,
    ) -> Option<Wrong> {
        let Some(number) = self.numbers.get(id.text).copied() else {
            let ids = self.draft.steps.iter().map(|step| step.spec.id.as_str());
            let message = format!("there is no step '{}'", id.text);
            return Some(Wrong::at(id, message, faults.hint(id.text, "steps", ids)));
        };
        if let Sees::Before(step) = site.sees
            && let Some(wrong) = self.check_order(step, number, id)
        {
            return Some(wrong);
        }
        let (field, rest) = rest.split_first()?;
        if let Some(wrong) = check_field(field, "a step", &STEP_FIELDS, faults) {
            return Some(wrong);
        }
        let spec = &self.draft.steps.get(number)?.spec;
        match rest.first() {
            Some(output) if field.text == "outputs" && spec.foreach.is_some() => {
                let message = format!("the outputs of the step '{}' are a list", spec.id);
                let help = format!(
                    "it has `foreach`: write for example `steps.{}.outputs | map(attribute='{}')`",
                    spec.id, output.text
                );
                Some(Wrong::at(output, message, help))
            }
            Some(output) if field.text == "outputs" => self.check_output(output, spec, faults),
            Some(_) | None => None,
        }
    }

    /// A step that declares no outputs gives its text, a command what it ended with, and a run of another
    /// workflow what that one gives, where it is known.
    fn check_output(&self, name: &Name<'_>, step: &StepSpec, faults: &Faults) -> Option<Wrong> {
        let known: Vec<&str> = if let Some(call) = &step.call {
            let Called::Known(definition) = self.called.get(&call.reference())? else {
                return None;
            };
            definition.outputs.keys().map(String::as_str).collect()
        } else if step.command.is_some() {
            COMMAND_OUTPUTS.to_vec()
        } else if step.outputs.is_empty() {
            vec!["text"]
        } else {
            step.outputs.keys().map(String::as_str).collect()
        };
        if known.contains(&name.text) {
            return None;
        }
        let message = format!("step '{}' has no output '{}'", step.id, name.text);
        let help = faults.hint(name.text, "outputs", known.into_iter());
        Some(Wrong::at(name, message, help))
    }

    /// A step sees the results of the steps that end before it starts.
    fn check_order(&self, step: usize, earlier: usize, id: &Name<'_>) -> Option<Wrong> {
        let own = &self.draft.steps.get(step)?.spec.id;
        if step == earlier {
            let message = format!("step '{own}' can't use its own result");
            let help = "it has none yet when this is evaluated".to_owned();
            return Some(Wrong::at(id, message, help));
        }
        if self.ancestors?.contains(step, earlier) {
            return None;
        }
        let message = format!("step '{own}' does not need '{}'", id.text);
        let help = format!("add `{}` to its `needs`", id.text);
        Some(Wrong::at(id, message, help))
    }

    /// Where a part of a template stands in the file. Its n-th `${{` is the n-th one of the
    /// source, however YAML wrote the text; where the text differs from its source (an
    /// escape, a fold), the `${{` itself is the place.
    fn place(&self, template: &Template<'_>, range: &Span) -> Span {
        const OPEN: &str = "${{";
        let value = template.text;
        let written = template.written;
        let source = self.text.get(written.clone()).unwrap_or_default();
        let opens = || source.match_indices(OPEN).map(|(place, _)| place);
        let anchors = if value.contains(OPEN) {
            let end = value.floor_char_boundary(range.start + OPEN.len());
            let before = value.get(..end).unwrap_or_default();
            before
                .rfind(OPEN)
                .or_else(|| value.find(OPEN))
                .filter(|_| opens().count() == value.matches(OPEN).count())
                .and_then(|anchor| {
                    let number = value.get(..anchor)?.matches(OPEN).count();
                    Some((anchor, opens().nth(number)?))
                })
        } else {
            source.find(value).map(|place| (0, place))
        };
        let Some((in_value, in_source)) = anchors else {
            return written.clone();
        };
        let start = written.start + in_source;
        let exact = value.get(in_value..range.end).is_some_and(|text| {
            source
                .get(in_source..)
                .is_some_and(|rest| rest.starts_with(text))
        });
        if exact && in_value <= range.start {
            start + (range.start - in_value)..start + (range.end - in_value)
        } else {
            start..start + OPEN.len()
        }
    }
}

/// The one expression of a template that must hold nothing else.
fn only_part<'t>(text: &str, parts: Vec<Part<'t>>) -> Result<Vec<Part<'t>>, Syntax> {
    let blank = |part: &Part<'_>| matches!(part, Part::Text(text) if text.trim().is_empty());
    let mut only: Vec<Part<'t>> = parts.into_iter().filter(|part| !blank(part)).collect();
    match (only.pop(), only.is_empty()) {
        (Some(part @ Part::Expression { .. }), true) => Ok(vec![part]),
        _ => Err(Syntax {
            problem: "`foreach` must be one expression whose value is a list, such as ${{ inputs.files }}"
                .to_owned(),
            range: 0..text.len(),
        }),
    }
}

/// What is not known yet where an agent's provider and models are chosen.
fn too_early(root: &Name<'_>, faults: &Faults) -> Option<Wrong> {
    if EARLY_ROOTS.contains(&root.text) {
        return None;
    }
    let (message, help) = match root.text {
        "steps" => (
            "providers, models and granted folders are chosen before the run starts: no step has a result yet"
                .to_owned(),
            "use an input, for example `inputs.model`".to_owned(),
        ),
        "run" => (
            "providers, models and granted folders are chosen before there is a run".to_owned(),
            "use an input, for example `inputs.model`".to_owned(),
        ),
        unknown => (
            format!("unknown variable `{unknown}`"),
            faults.hint(unknown, "variables", EARLY_ROOTS.into_iter()),
        ),
    };
    Some(Wrong::at(root, message, help))
}

/// A name in an expression that is wrong, with its place in the expression.
struct Wrong {
    range: Span,
    message: String,
    help: String,
}

impl Wrong {
    fn at(name: &Name<'_>, message: String, help: String) -> Self {
        Self {
            range: name.range.clone(),
            message,
            help,
        }
    }
}

fn check_known(
    name: &Name<'_>,
    kind: &str,
    known: &'static [&'static str],
    faults: &Faults,
) -> Option<Wrong> {
    if known.contains(&name.text) {
        return None;
    }
    let help = faults.hint(name.text, &format!("{kind}s"), known.iter().copied());
    Some(Wrong::at(
        name,
        format!("unknown {kind} `{}`", name.text),
        help,
    ))
}

fn check_field(
    name: &Name<'_>,
    owner: &str,
    fields: &[&'static str],
    faults: &Faults,
) -> Option<Wrong> {
    if fields.contains(&name.text) {
        return None;
    }
    let help = faults.hint(name.text, "fields", fields.iter().copied());
    Some(Wrong::at(
        name,
        format!("{owner} has no `{}`", name.text),
        help,
    ))
}
