//! Problems as a person or a program reads them.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use fusion_api_types::api::plain_json;
use fusion_api_types::{FaultView, FileText, Problem};

use crate::session::Session;
use crate::style::{Palette, Tone};
use crate::text::{clean, clean_line, count};

/// The whole text for stderr: JSON when JSON was asked for, else lines for a person.
pub(crate) fn render(problem: &Problem, session: &Session<'_>) -> String {
    if session.is_machine()
        && let Ok(json) = json(problem)
    {
        return json;
    }
    let mut text = match &problem.file {
        Some(file) if !problem.faults.is_empty() => faults(problem, file, session),
        Some(_) | None => {
            let label = session.err.paint(Tone::Bad, "error:");
            format!("{label} {}\n", clean(&problem.message))
        }
    };
    if let Some(help) = &problem.help {
        let label = session.err.paint(Tone::Strong, "help:");
        text.push_str(&format!("{label} {}\n", clean(help)));
    }
    text
}

fn json(problem: &Problem) -> serde_json::Result<String> {
    let mut problem = problem.clone();
    if let Some(file) = &mut problem.file {
        file.text.clear();
    }
    serde_json::to_string(&problem).map(|json| format!("{}\n", plain_json(&json)))
}

/// Every fault with the line it stands on, then one line that sums up.
fn faults(problem: &Problem, file: &FileText, session: &Session<'_>) -> String {
    let renderer = match session.err {
        Palette::Coloured => Renderer::styled(),
        Palette::Plain => Renderer::plain(),
    };
    let renderer = match session.terminal.stderr.size() {
        Some(size) => renderer.term_width(usize::from(size.columns)),
        None => renderer,
    };
    // Same length in bytes, so that every place in the file stays where it is.
    let source = file.text.replace(is_c1_control, "\u{b7}");
    let path = clean_line(&file.path);
    let mut text = String::new();
    for fault in &problem.faults {
        text.push_str(&renderer.render(&[group(fault, &path, &source)]));
        text.push_str("\n\n");
    }
    let label = session.err.paint(Tone::Bad, "error:");
    let faults = count(problem.faults.len() as u64, "fault");
    text.push_str(&format!("{label} {} ({faults})\n", clean(&problem.message)));
    text
}

fn group<'a>(fault: &FaultView, path: &'a str, source: &'a str) -> Group<'a> {
    let title = Level::ERROR.primary_title(clean_line(&fault.message));
    let group = if source.is_empty() {
        title.element(
            Origin::path(path)
                .line(fault.line)
                .char_column(fault.column),
        )
    } else {
        let start = source.floor_char_boundary(fault.offset);
        let end = source.ceil_char_boundary(fault.offset.saturating_add(fault.length));
        title.element(
            Snippet::source(source)
                .path(path)
                .annotation(AnnotationKind::Primary.span(start..end)),
        )
    };
    match &fault.help {
        Some(help) => group.element(Level::HELP.message(clean(help))),
        None => group,
    }
}

const fn is_c1_control(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}')
}
