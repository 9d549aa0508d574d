//! Files that want to break the reader.

use fusion_workflow_file::{Fault, parse, render_text};
use proptest::prelude::*;
use serde_json::json;

use crate::good::FEATURE;

fn first_message(text: &str) -> String {
    parse(text).unwrap_err().swap_remove(0).message
}

/// Every fault stands inside the text, in order, and its line and column are those of its offset.
fn check_positions(text: &str, faults: &[Fault]) {
    assert!(!faults.is_empty() && faults.len() <= 50);
    assert!(faults.is_sorted_by_key(|fault| fault.position.offset));
    for Fault { position, .. } in faults {
        let before = text.get(..position.offset).unwrap();
        assert!(
            text.get(position.offset..position.offset + position.length)
                .is_some()
        );
        let line = before.split('\n').next_back().unwrap();
        assert_eq!(position.line, before.split('\n').count());
        assert_eq!(position.column, line.chars().count() + 1);
    }
}

fn messages(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(|fault| fault.message.clone()).collect()
}

/// Half the stack that a worker of the runtime has.
const SMALL_STACK: usize = 1024 * 1024;

fn parse_on_a_small_stack(text: String) -> Result<(), Vec<Fault>> {
    std::thread::Builder::new()
        .stack_size(SMALL_STACK)
        .spawn(move || parse(&text).map(drop))
        .unwrap()
        .join()
        .unwrap()
}

fn one_step(prompt: &str) -> String {
    let prompt = serde_json::to_string(prompt).unwrap();
    format!(
        "version: 1\nname: n\nagents: {{ a: {{ provider: p, model: m }} }}\n\
         steps: [ {{ id: s, agent: a, prompt: {prompt} }} ]\n"
    )
}

#[test]
fn a_file_over_one_mebibyte_is_refused() {
    let text = format!("{FEATURE}# {}", "x".repeat(1024 * 1024));
    assert!(first_message(&text).ends_with("more than 1048576"));
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        for depth in [23, 24, 40, 200, 20_000] {
            let schema = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let text = format!("version: 1\nx-deep: {schema}\n");
            let faults = parse_on_a_small_stack(text).unwrap_err();
            let refused = faults[0].message == "maps and lists nest deeper than 24 levels"
                || faults[0].message.starts_with("this is not YAML: ");
            assert_eq!(refused, depth > 23, "{depth}: {faults:?}");
        }
    }
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = String::from("version: 1\nx-a: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("x-{level}: &a{level} [{aliases}]\n"));
    }
    assert_eq!(
        first_message(&bomb),
        "the file repeats too much with aliases"
    );

    let long = "x".repeat(500_000);
    let aliases = vec!["*a"; 50].join(", ");
    let wide = format!("version: 1\nx-a: &a {long}\nx-b: [{aliases}]\n");
    assert_eq!(
        first_message(&wide),
        "the file has more than 4194304 bytes of text once its aliases are replaced"
    );
}

#[test]
fn more_than_ten_thousand_steps_are_refused() {
    let step = "- {id: s, agent: a, prompt: p}\n";
    let text = format!("version: 1\nname: n\nsteps:\n{}", step.repeat(10_001));
    let faults = parse(&text).unwrap_err();
    assert_eq!(faults.len(), 50);
    assert_eq!(faults[0].message, "the workflow has more than 10000 steps");
}

#[test]
fn ten_thousand_steps_in_a_row_that_look_at_the_first_are_a_workflow() {
    let mut text =
        String::from("version: 1\nname: n\nagents: {a: {provider: p, model: m}}\nsteps:\n");
    text.push_str("- {id: s0, agent: a, prompt: p}\n");
    for number in 1..10_000 {
        let before = number - 1;
        text.push_str(&format!(
            "- {{id: s{number}, agent: a, needs: s{before}, prompt: \"${{{{ steps.s0.status }}}}\"}}\n"
        ));
    }
    assert_eq!(parse(&text).unwrap().steps.len(), 10_000);
}

#[test]
fn an_expression_at_its_limits_does_not_end_the_stack() {
    let minus = "-".repeat(345);
    for source in [
        format!("{minus}1"),
        format!("{}1", "not ".repeat(390)),
        format!("1{}", "|d".repeat(190)),
        format!("1{}", "+1".repeat(190)),
        format!("run.id{}", ".a".repeat(190)),
        format!("inputs{}", "[0]".repeat(120)),
        format!("1{}", " if 1 else 1".repeat(99)),
        format!("{}{minus}1{}", "(".repeat(16), ")".repeat(16)),
        format!("{}{minus}1{}", "[".repeat(16), "]".repeat(16)),
        format!("{}{minus}1{}", "{0:".repeat(12), "}".repeat(12)),
    ] {
        let template = format!("${{{{ {source} }}}}");
        let faults = parse_on_a_small_stack(one_step(&template)).err();
        assert_eq!(
            faults.map(|faults| messages(&faults)).unwrap_or_default(),
            [""; 0]
        );
        std::thread::Builder::new()
            .stack_size(SMALL_STACK)
            .spawn(move || render_text(&template, &json!({"inputs": {}})).is_ok())
            .unwrap()
            .join()
            .unwrap();
    }
}

#[test]
fn a_larger_expression_is_refused() {
    let too_much = |source: String| first_message(&one_step(&format!("${{{{{source}}}}}")));
    assert_eq!(
        too_much("1+".repeat(201)),
        "an expression has more than 400 names, values and signs"
    );
    assert_eq!(
        too_much(format!("{}1{}", "(".repeat(17), ")".repeat(17))),
        "the brackets of an expression nest deeper than 16"
    );
    assert_eq!(
        too_much(format!("'{}'", "x".repeat(10_000))),
        "an expression has 10002 bytes, more than 10000"
    );
    assert_eq!(
        first_message(&one_step(&"${{ 1 }}".repeat(201))),
        "the text has more than 200 expressions"
    );
}

#[test]
fn names_of_half_a_megabyte_neither_stop_the_reader_nor_fill_its_answers() {
    let (one, two) = ("a".repeat(400_000), "a".repeat(399_999));
    let text = format!(
        "version: 1\nname: n\nagents: {{ ? {one} : {{ provider: p, model: m }} }}\n\
         steps: [ {{ id: s, agent: {two}, prompt: p }} ]\n"
    );
    let faults = parse(&text).unwrap_err();
    assert_eq!(faults.len(), 2);
    for fault in faults {
        assert!(fault.message.chars().count() <= 601);
        assert!(fault.help.unwrap_or_default().chars().count() <= 601);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_has_an_answer(text in any::<String>()) {
        if let Err(faults) = parse(&text) {
            check_positions(&text, &faults);
        }
    }

    #[test]
    fn any_text_of_yaml_signs_has_an_answer(text in "[-:,{}\\[\\]&*!|>'\"%@#?~ \n\ta0$é]{0,60}") {
        if let Err(faults) = parse(&text) {
            check_positions(&text, &faults);
        }
    }

    #[test]
    fn any_prompt_has_an_answer(prompt in "(\\$\\{\\{|\\}\\}|[-a-z.\\[\\]'(){}|=<>+*/%0-9 \"\\\\é]|steps|inputs| is | not ){0,25}") {
        let text = one_step(&prompt);
        if let Err(faults) = parse(&text) {
            check_positions(&text, &faults);
        }
    }

    #[test]
    fn a_changed_good_file_has_an_answer(
        start in 0..FEATURE.len(),
        length in 0_usize..40,
        insert in "([-:,{}\\[\\]&*!|'\" \n\ta0$é]|\\$\\{\\{|needs|plan|null){0,6}",
    ) {
        let end = (start + length).min(FEATURE.len());
        let mut text = FEATURE.to_owned();
        text.replace_range(start..end, &insert);
        if let Err(faults) = parse(&text) {
            check_positions(&text, &faults);
        }
    }

    #[test]
    fn a_value_of_a_good_file_can_be_replaced_by_any_other(
        line in 0_usize..60,
        value in prop_oneof![
            Just("null"), Just("7"), Just("-1.5"), Just("true"), Just("[]"), Just("{}"),
            Just("[[1]]"), Just("{a: {b: 1}}"), Just("''"), Just("\"${{ x }}\""), Just("*x"),
        ],
    ) {
        let lines: Vec<String> = FEATURE
            .lines()
            .enumerate()
            .map(|(number, text)| match text.split_once(": ") {
                Some((key, _)) if number == line => format!("{key}: {value}"),
                _ => text.to_owned(),
            })
            .collect();
        let text = lines.join("\n");
        if let Err(faults) = parse(&text) {
            check_positions(&text, &faults);
        }
    }
}
