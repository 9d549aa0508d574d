//! The files that are handed over: from step to step, and to and from runs of other workflows.

use crate::called::{Called, CalledWorkflows};
use crate::check::Numbers;
use crate::check::ancestors::Ancestors;
use crate::fault::{Faults, RawFault};
use crate::read::{Draft, Marked, StepDraft};

pub(super) struct Files<'c, 'n> {
    pub(super) draft: &'c Draft<'n>,
    pub(super) numbers: &'c Numbers<'c>,
    /// `None` when the edges are wrong: then no order is checked.
    pub(super) ancestors: Option<&'c Ancestors>,
    /// The workflows that its steps are runs of, as far as they are known.
    pub(super) called: &'c CalledWorkflows,
}

impl Files<'_, '_> {
    /// Tells everything whose files can't be had.
    pub(super) fn check(&self, faults: &mut Faults) {
        for input in &self.draft.file_inputs {
            if self.numbers.contains_key(input.text) {
                let name = input.text;
                let message = format!("'{name}' is an input of files and a step");
                let fault = RawFault::new(message, &input.span);
                faults.add(fault.help("`takes` names both: give one of them another name"));
            }
        }
        for (own, step) in self.draft.steps.iter().enumerate() {
            for taken in &step.takes {
                self.check_taken(own, step, taken, faults);
            }
        }
        for step in &self.draft.artifacts {
            match self.numbers.get(step.text) {
                Some(number) => self.check_files_of(*number, step, faults),
                None => self.tell_unknown(step, false, faults),
            }
        }
    }

    fn check_taken(
        &self,
        own: usize,
        step: &StepDraft<'_>,
        taken: &Marked<'_>,
        faults: &mut Faults,
    ) {
        let Some(number) = self.numbers.get(taken.text).copied() else {
            let mut inputs = self.draft.file_inputs.iter();
            if !inputs.any(|input| input.text == taken.text) {
                self.tell_unknown(taken, true, faults);
            }
            return;
        };
        let ancestors = self.ancestors;
        if ancestors.is_some_and(|ancestors| !ancestors.contains(own, number)) {
            let message = format!("step '{}' does not need '{}'", step.spec.id, taken.text);
            let help = format!("add `{}` to its `needs`", taken.text);
            faults.add(RawFault::new(message, &taken.span).help(help));
        } else {
            self.check_files_of(number, taken, faults);
        }
    }

    fn tell_unknown(&self, named: &Marked<'_>, is_taken: bool, faults: &mut Faults) {
        if is_taken && self.draft.workflow().inputs.contains_key(named.text) {
            let message = format!("the input '{}' has no files to take", named.text);
            let fault = RawFault::new(message, &named.span);
            faults.add(fault.help("give it `type: files`"));
            return;
        }
        let steps = self.draft.steps.iter().map(|step| step.spec.id.as_str());
        let inputs = self.draft.file_inputs.iter().map(|input| input.text);
        let inputs = inputs.filter(|_| is_taken);
        let help = faults.hint(named.text, "steps", steps.chain(inputs));
        let message = format!("there is no step '{}'", named.text);
        faults.add(RawFault::new(message, &named.span).help(help));
    }

    /// A step has files when it says so; one that is a run, when the workflow says so.
    fn check_files_of(&self, number: usize, named: &Marked<'_>, faults: &mut Faults) {
        let Some(step) = self.draft.steps.get(number).map(|step| &step.spec) else {
            return;
        };
        let message = format!("step '{}' has no files to take", named.text);
        let Some(call) = &step.call else {
            if step.artifacts.is_empty() {
                let fault = RawFault::new(message, &named.span);
                faults.add(fault.help("give it `artifacts`"));
            }
            return;
        };
        if let Some(Called::Known(definition)) = self.called.get(&call.reference())
            && definition.artifacts.is_empty()
        {
            let help = format!("give the workflow '{}' `artifacts`", call.workflow);
            faults.add(RawFault::new(message, &named.span).help(help));
        }
    }
}
