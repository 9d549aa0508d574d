//! HTML as a person reads it: its text, with headings, lists and the places that links lead to.
//!
//! The parser goes once over the page and keeps no tree, so a page that was made to be costly is not.

use std::cell::RefCell;
use std::rc::Rc;

use lol_html::html_content::{Element, TextChunk};
use lol_html::{HtmlRewriter, MemorySettings, Settings, element, text};

/// Bytes that the parser may keep: tags that are open, above all.
const MEMORY: usize = 16 * 1024 * 1024;

/// The text of a page; `None` when the parser gives up on it.
pub(crate) fn plain(html: &str) -> Option<String> {
    let text = Rc::new(RefCell::new(Text::default()));
    let (opened, said) = (Rc::clone(&text), Rc::clone(&text));
    let settings = Settings::new()
        .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(MEMORY))
        .with_strict(false)
        .append_element_content_handler(element!("*", move |element: &mut Element<'_, '_>| {
            open(&opened, element);
            Ok(())
        }))
        .append_element_content_handler(text!("*", move |chunk: &mut TextChunk<'_>| {
            said.borrow_mut()
                .hear(chunk.as_str(), chunk.last_in_text_node());
            Ok(())
        }));
    let mut parser = HtmlRewriter::new(settings, |_: &[u8]| {});
    parser.write(html.as_bytes()).ok()?;
    parser.end().ok()?;
    let text = text.take();
    Some(text.finish())
}

/// What an element does to the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Its content is not for reading.
    Hidden,
    /// It stands on lines of its own.
    Block(&'static str),
    /// Blanks and ends of lines count in it.
    Kept,
    /// It begins a new line.
    Line,
    /// It separates its content from its neighbours.
    Cell,
    Inline,
}

fn role(name: &str) -> Role {
    match name {
        "script" | "style" | "noscript" | "template" | "svg" | "head" | "iframe" => Role::Hidden,
        "h1" => Role::Block("# "),
        "h2" => Role::Block("## "),
        "h3" => Role::Block("### "),
        "h4" | "h5" | "h6" => Role::Block("#### "),
        "p" | "div" | "section" | "article" | "header" | "footer" | "main" | "nav" | "aside"
        | "ul" | "ol" | "dl" | "table" | "blockquote" | "figure" | "form" | "details" => {
            Role::Block("")
        }
        "pre" => Role::Kept,
        "br" | "hr" | "tr" | "li" | "dt" | "dd" | "option" | "summary" => Role::Line,
        "td" | "th" => Role::Cell,
        _ => Role::Inline,
    }
}

fn open(text: &Rc<RefCell<Text>>, element: &mut Element<'_, '_>) {
    let name = element.tag_name();
    let role = role(&name);
    text.borrow_mut().begin(role, &name);
    let link = element
        .get_attribute("href")
        .filter(|place| name == "a" && !place.starts_with(['#', ' ']) && !place.is_empty());
    let Some(handlers) = element.end_tag_handlers() else {
        text.borrow_mut().end(role, None);
        return;
    };
    let text = Rc::clone(text);
    handlers.push(Box::new(move |_| {
        text.borrow_mut().end(role, link.as_deref());
        Ok(())
    }));
}

#[derive(Debug, Default)]
struct Text {
    out: String,
    /// The text node that is being heard.
    node: String,
    hidden: u32,
    kept: u32,
    /// A blank is due before the next word.
    is_apart: bool,
}

impl Text {
    fn begin(&mut self, role: Role, name: &str) {
        match role {
            Role::Hidden => self.hidden += 1,
            Role::Block(mark) => {
                self.paragraph();
                self.out.push_str(mark);
            }
            Role::Kept => {
                self.paragraph();
                self.kept += 1;
            }
            Role::Line => {
                self.line();
                if name == "li" {
                    self.out.push_str("- ");
                }
            }
            Role::Cell | Role::Inline => {}
        }
    }

    fn end(&mut self, role: Role, link: Option<&str>) {
        match role {
            Role::Hidden => self.hidden = self.hidden.saturating_sub(1),
            Role::Block(_) => self.paragraph(),
            Role::Kept => {
                self.kept = self.kept.saturating_sub(1);
                self.paragraph();
            }
            Role::Cell => self.is_apart = true,
            Role::Line | Role::Inline => {}
        }
        if let Some(place) = link.filter(|_| self.hidden == 0) {
            let place = html_escape::decode_html_entities(place);
            self.out.push_str(&format!(" ({place})"));
        }
    }

    fn hear(&mut self, words: &str, is_last: bool) {
        self.node.push_str(words);
        if !is_last {
            return;
        }
        let node = std::mem::take(&mut self.node);
        if self.hidden > 0 {
            return;
        }
        let words = html_escape::decode_html_entities(&node);
        if self.kept > 0 {
            self.out.push_str(&words);
        } else {
            self.say(&words);
        }
    }

    /// Adds words with one blank between them.
    fn say(&mut self, words: &str) {
        self.is_apart |= words.starts_with(char::is_whitespace);
        for word in words.split_whitespace() {
            if self.is_apart && !self.out.ends_with([' ', '\n']) && !self.out.is_empty() {
                self.out.push(' ');
            }
            self.out.push_str(word);
            self.is_apart = true;
        }
        self.is_apart = words.ends_with(char::is_whitespace);
    }

    fn line(&mut self) {
        self.is_apart = false;
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    fn paragraph(&mut self) {
        self.line();
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn finish(mut self) -> String {
        self.out.truncate(self.out.trim_end().len());
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_page_is_given_as_a_person_reads_it_with_where_its_links_lead() {
        let html = "<!doctype html><html><head><title>T</title><script>x()</script></head><body>\
            <h1>Bees &amp; wasps</h1>\n<p>They <b>hum</b>, see\n  <a href=\"/more?a=1&amp;b=2\">more</a>.</p>\
            <ul><li>one<li>two</ul><pre>fn a() {\n    b();\n}</pre><style>p {}</style>\
            <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>a<br>b";
        let expected = "# Bees & wasps\n\nThey hum, see more (/more?a=1&b=2).\n\n- one\n- two\n\n\
            fn a() {\n    b();\n}\n\na b\n1 2\n\na\nb\n";
        assert_eq!(plain(html).as_deref(), Some(expected));
    }

    #[test]
    fn a_page_that_was_made_to_be_costly_is_not() {
        let nested = |times| format!("{}deep", "<div><p>".repeat(times));
        assert_eq!(plain(&nested(1_000)).as_deref(), Some("deep\n"));
        assert_eq!(plain(&nested(100_000)), None, "it takes too much memory");
        let unfinished = format!("<p title=\"{}", "x".repeat(2_000_000));
        assert_eq!(plain(&unfinished).as_deref(), Some(""));
    }
}
