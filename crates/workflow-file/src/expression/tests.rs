//! Evaluation, and what an expression names.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::engine::Engine;
use super::{ExpressionError, Mention, Part, condition, mentions, parts, render, render_text};

fn context() -> Value {
    json!({
        "inputs": {"topic": "bees", "size": 3, "ratio": 0.5, "note": null, "draft": false},
        "steps": {"plan": {
            "status": "completed",
            "outputs": {"tasks": ["a", "b"], "card": {"x": [1, {"y": "é\"<"}]}},
            "artifacts": [],
        }},
    })
}

fn error(result: Result<impl std::fmt::Debug, ExpressionError>) -> (String, String, usize) {
    let error = result.unwrap_err();
    (error.expression, error.problem, error.offset)
}

#[test]
fn one_expression_keeps_the_type_of_its_value() {
    for (template, expected) in [
        ("${{ inputs.size }}", json!(3)),
        (" ${{ inputs.ratio }}\n", json!(0.5)),
        ("${{ inputs.note }}", Value::Null),
        ("${{ inputs.draft }}", json!(false)),
        ("${{ inputs.topic }}", json!("bees")),
        ("${{ steps.plan.outputs.tasks }}", json!(["a", "b"])),
        (
            "${{ steps.plan.outputs.card }}",
            json!({"x": [1, {"y": "é\"<"}]}),
        ),
        ("${{ {'a': {'b': inputs.size}} }}", json!({"a": {"b": 3}})),
        ("${{ 9007199254740993 }}", json!(9_007_199_254_740_993_u64)),
        ("${{ inputs.size }}${{ inputs.size }}", json!("33")),
        ("size ${{ inputs.size }}", json!("size 3")),
        ("plain", json!("plain")),
        ("", json!("")),
    ] {
        assert_eq!(render(template, &context()), Ok(expected), "{template}");
    }
}

#[test]
fn in_text_lists_and_maps_are_json_and_null_is_nothing() {
    for (template, expected) in [
        ("${{ steps.plan.outputs.tasks }}", r#"["a","b"]"#),
        (
            "card: ${{ steps.plan.outputs.card }}",
            r#"card: {"x":[1,{"y":"é\"<"}]}"#,
        ),
        ("[${{ inputs.note }}]", "[]"),
        ("${{ inputs.draft }} ${{ inputs.ratio }}", "false 0.5"),
        ("<b>${{ '<&>' }}</b>", "<b><&></b>"),
    ] {
        assert_eq!(
            render_text(template, &context()).as_deref(),
            Ok(expected),
            "{template}"
        );
    }
}

#[test]
fn only_the_dollar_and_two_braces_start_an_expression() {
    let text = "{{ x }} {% for %} {# c #} $ {{ ${ }} $}} # line\n";
    assert_eq!(render_text(text, &context()).as_deref(), Ok(text));
    let quoted = "${{ '${{ x }}' }} and ${{ \"}}\" }}";
    assert_eq!(
        render_text(quoted, &context()).as_deref(),
        Ok("${{ x }} and }}")
    );
}

#[test]
fn what_has_no_value_is_an_error_with_its_place() {
    let missing = "there is no such value".to_owned();
    assert_eq!(
        error(render("a ${{ inputs.nope }}", &context())),
        ("inputs.nope".into(), missing.clone(), 5)
    );
    assert_eq!(
        error(render_text("${{ nope }}", &context())),
        ("nope".into(), missing, 3)
    );
    assert!(render("${{ inputs.nope.more }}", &context()).is_err());
    assert!(render("${{ inputs.nope ~ 'x' }}", &context()).is_err());
    assert_eq!(
        render("${{ inputs.nope | default('x') }}", &context()),
        Ok(json!("x"))
    );
    assert_eq!(
        error(render("x ${{ 1 + }}", &context())),
        (
            "1 +".into(),
            "unexpected end of input, expected expression".into(),
            8
        )
    );
    assert_eq!(
        render("x ${{ 1", &context()).unwrap_err().to_string(),
        "can't evaluate `${{ 1`: `${{` is never closed with `}}`"
    );
}

#[test]
fn a_condition_is_true_false_or_null() {
    for (expression, expected) in [
        ("${{ inputs.size > 2 }}", true),
        ("inputs.size > 2 and not inputs.draft", true),
        (" ${{ inputs.draft }} ", false),
        ("inputs.note", false),
        ("true", true),
        ("steps.plan.status == 'completed'", true),
    ] {
        assert_eq!(
            condition(expression, &context()),
            Ok(expected),
            "{expression}"
        );
    }
    assert_eq!(
        error(condition("inputs.topic", &context())),
        (
            "inputs.topic".into(),
            "a condition must be true or false, this is a string".into(),
            0
        )
    );
    for wrong in [
        "",
        "inputs.size",
        "${{ 1 == 1 }} x",
        "inputs.nope",
        "steps.plan.outputs.tasks",
    ] {
        assert!(condition(wrong, &context()).is_err(), "{wrong}");
    }
}

#[test]
fn work_and_results_are_bounded() {
    let too_much = |template: &str| error(render_text(template, &context())).1;
    for template in [
        "${{ range(10**9) }}",
        "${{ 'x' * 10**9 }}",
        "${{ 'x' * 10**7 }}",
        "${{ [1] * 10**8 }}",
        "${{ range(99999) | map('string') | list * 100 }}",
        "${{ range(99999) | join('x' * 20000) }}",
        "${{ ('a' * 100000) | replace('a', 'a' * 100000) }}",
        "${{ '%1000000000d' | format(1) }}",
    ] {
        assert!(render_text(template, &context()).is_err(), "{template}");
    }
    assert_eq!(too_much("${{ 'x' * 10**9 }}"), "it takes too much work");
    let large = "the result has more than 1048576 bytes";
    assert_eq!(too_much("${{ 'x' * 1048577 }}"), large);
    assert_eq!(too_much("${{ ['x' * 1000000] * 10 }}"), large);
    assert_eq!(too_much("${{ 'x' * 1000000 }}${{ 'x' * 1000000 }}"), large);
    assert_eq!(
        error(render("${{ ['x' * 1000000] * 10 }}", &context())).1,
        large
    );
    assert_eq!(
        render_text("${{ 'x' * 1048576 }}", &context()).map(|text| text.len()),
        Ok(1_048_576)
    );
}

#[test]
fn every_filter_and_test_that_the_check_knows_is_there() {
    for (name, sign) in Engine::FILTERS
        .iter()
        .map(|name| (name, "|"))
        .chain(Engine::TESTS.iter().map(|name| (name, " is ")))
    {
        if let Err(error) = render(&format!("${{{{ 1{sign}{name} }}}}"), &context()) {
            assert!(!error.problem.contains("unknown"), "{error}");
        }
    }
    assert!(
        render("${{ 1|nope }}", &context())
            .unwrap_err()
            .problem
            .contains("unknown")
    );
}

#[test]
fn all_that_an_expression_names_is_found_with_its_place() {
    let source =
        "steps['plan'].outputs.x[1:] | join(',') if a.b is not none else f(k=c, d.0.e) == 'no.x'";
    let found: Vec<String> = mentions(source)
        .iter()
        .map(|mention| match mention {
            Mention::Variable(path) => {
                for name in path {
                    assert_eq!(source.get(name.range.clone()), Some(name.text));
                }
                let names: Vec<&str> = path.iter().map(|name| name.text).collect();
                format!("variable {}", names.join("."))
            }
            Mention::Filter(name) => format!("filter {}", name.text),
            Mention::Test(name) => format!("test {}", name.text),
            Mention::Function(name) => format!("function {}", name.text),
        })
        .collect();
    assert_eq!(
        found,
        [
            "variable steps.plan.outputs.x",
            "filter join",
            "variable a.b",
            "test none",
            "function f",
            "variable c",
            "variable d",
        ]
    );
}

/// Expressions that MiniJinja takes, with names from a small set.
fn expressions() -> impl Strategy<Value = String> {
    let name = "[a-d]".prop_map(String::from);
    let leaf = prop_oneof![
        name.clone(),
        name.clone().prop_map(|name| format!("'{name}'")),
        "[0-9]{1,2}".prop_map(String::from),
        Just("true".to_owned()),
        Just("none".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let (a, b) = (inner.clone(), inner.clone());
        prop_oneof![
            (inner, name.clone()).prop_map(|(value, name)| format!("({value}).{name}")),
            (name.clone(), name.clone()).prop_map(|(first, second)| format!("{first}.{second}")),
            (name.clone(), name.clone()).prop_map(|(first, second)| format!("{first}['{second}']")),
            (name.clone(), a.clone()).prop_map(|(name, index)| format!("{name}[{index}]")),
            (a.clone(), b.clone()).prop_map(|(a, b)| format!("{a} + {b}")),
            (a.clone(), b.clone()).prop_map(|(a, b)| format!("({a} not in [{b}, {{'k': {a}}}])")),
            (a.clone(), b.clone()).prop_map(|(a, b)| format!("(({a})|default({b}))")),
            (a.clone(), b.clone()).prop_map(|(a, b)| format!("({a} if {b} is not none else {a})")),
            (a, b).prop_map(|(a, b)| format!("dict(a={a}, b=not {b})")),
        ]
    })
}

proptest! {
    #[test]
    fn the_variables_found_are_those_that_minijinja_finds(source in expressions()) {
        let environment = minijinja::Environment::new();
        let compiled = environment.compile_expression(&source).unwrap();
        let mut found: HashSet<String> = HashSet::new();
        for mention in mentions(&source) {
            match mention {
                Mention::Variable(path) => found.insert(path[0].text.to_owned()),
                Mention::Function(name) => found.insert(name.text.to_owned()),
                Mention::Filter(_) | Mention::Test(_) => false,
            };
        }
        prop_assert_eq!(found, compiled.undeclared_variables(false));
    }

    #[test]
    fn the_parts_of_a_text_are_the_text(text in "(\\$\\{\\{|\\}\\}|[a-z'{}(\\[$ é]){0,20}") {
        if let Ok(parts) = parts(&text) {
            let whole: String = parts.iter().map(|part| match part {
                Part::Text(text) => (*text).to_owned(),
                Part::Expression { source, start } => {
                    assert_eq!(text.get(*start..start + source.len()), Some(*source));
                    format!("${{{{{source}}}}}")
                }
            }).collect();
            prop_assert_eq!(whole, text);
        }
    }

    #[test]
    fn any_expression_has_an_answer(source in "[-a-d.'()|\\[\\]{}:,+*~%<=>0-9 ]{0,40}") {
        let answer = render(&format!("${{{{{source}}}}}"), &context());
        prop_assert!(answer.is_ok() || answer.is_err());
    }
}
