//! The program, and where its things are, as text for a person.

use fusion_api_types::{InfoView, PlacesView, ServerInfo, VersionView};

use crate::session::Session;
use crate::text::clean_line;

/// Which program it is.
pub(crate) fn version(version: &VersionView, _: &Session<'_>) -> String {
    let mut text = format!("fusion-kit {}\n", clean_line(&version.version));
    if let Some(server) = &version.server {
        let (url, version) = (clean_line(&server.url), clean_line(&server.version));
        text.push_str(&format!("server {version} at {url}\n"));
    }
    text
}

/// Where everything is.
pub(crate) fn info(info: &InfoView, _: &Session<'_>) -> String {
    let mut text = fields(&[("version", Some(&info.version))]);
    text.push_str(&info.here.as_ref().map(places).unwrap_or_default());
    text.push_str(&fields(&[(
        "server",
        Some(
            &info
                .server
                .as_ref()
                .map_or_else(|| "none".to_owned(), server),
        ),
    )]));
    for node in &info.nodes {
        let told = format!(
            "{} ({}), {} at version {}",
            node.name, node.id, node.state, node.version
        );
        text.push_str(&fields(&[("node", Some(&told))]));
    }
    text
}

fn places(here: &PlacesView) -> String {
    let database = match (&here.database_kind, &here.database_version) {
        (Some(kind), Some(version)) => format!("{} ({kind} {version})", here.database),
        _ => format!("{} (none yet)", here.database),
    };
    let schema = here.schema.as_ref().map(|schema| {
        let applied = schema.applied.len();
        match (schema.missing.len(), schema.newer.len()) {
            (0, 0) => format!("up to date ({applied} steps)"),
            (0, _) => "written by a newer fusion-kit".to_owned(),
            (missing, _) => format!("{missing} steps behind; see: fusion-kit db migrate"),
        }
    });
    fields(&[
        ("data", Some(&here.data_dir)),
        ("workspaces", Some(&here.workspaces)),
        ("database", Some(&database)),
        ("schema", schema.as_ref()),
        ("bus", Some(&here.bus)),
    ])
}

fn server(server: &ServerInfo) -> String {
    format!(
        "{} at version {}: {}, the database is {}, the bus {}",
        server.url, server.version, server.status, server.database, server.bus
    )
}

/// Names with what is known of them, below each other.
fn fields(fields: &[(&str, Option<&String>)]) -> String {
    let told = fields.iter().filter_map(|(name, value)| {
        let value = clean_line((*value)?);
        Some(format!("{name:10} {value}\n"))
    });
    told.collect()
}
