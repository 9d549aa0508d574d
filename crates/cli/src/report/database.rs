//! The database as text for a person.

use std::collections::BTreeMap;

use fusion_api_types::{
    BackupReport, CheckView, DatabaseStatus, DatabaseView, MigrationReport, RekeyReport,
    RestoreReport, SchemaView, VacuumReport, VerifyReport,
};
use indicatif::HumanBytes;

use super::local;
use crate::session::Session;
use crate::style::Tone;
use crate::table::{Align, Table};
use crate::text::{clean, clean_line, count, thousands};

/// What `db migrate` did.
pub(crate) fn migration(report: &MigrationReport, session: &Session<'_>) -> String {
    let place = clean_line(&report.place);
    if report.applied_now.is_empty() {
        return format!("{} {place} is up to date\n", good(session));
    }
    let steps = count(report.applied_now.len() as u64, "step");
    let names = names(&report.applied_now);
    format!(
        "{} {place} is up to date now: {steps} applied ({names})\n",
        good(session)
    )
}

/// Where the database is and what is in it.
pub(crate) fn status(status: &DatabaseStatus, session: &Session<'_>) -> String {
    let place = clean_line(&status.place);
    let Some(database) = &status.database else {
        let migrate = session.command("db migrate");
        return format!(
            "there is no database yet: {place}\nit is made when a run starts, or with: {migrate}\n"
        );
    };
    let kind = session.out.paint(Tone::Strong, &clean_line(&database.kind));
    let mut text = format!(
        "{kind} {}\nplace   {place}\nschema  {}\nsize    {}\nevents  {}\n",
        clean_line(&database.version),
        schema(&database.schema, session),
        HumanBytes(database.size_bytes),
        events(database, session),
    );
    if !database.rows.is_empty() {
        text.push_str(&format!("\n{}", rows(&database.rows)));
    }
    text
}

/// What `db vacuum` gave back.
pub(crate) fn vacuum(report: &VacuumReport, session: &Session<'_>) -> String {
    format!(
        "{} vacuumed {}: {} before, {} now\n",
        session.out.paint(Tone::Good, "✓"),
        clean_line(&report.place),
        HumanBytes(report.before_bytes),
        HumanBytes(report.after_bytes),
    )
}

/// What `db backup` wrote.
pub(crate) fn backup(report: &BackupReport, session: &Session<'_>) -> String {
    format!(
        "{} {} written to {} ({})\nthe master key and the workspaces are not in it\n",
        good(session),
        count(total(&report.rows), "row"),
        clean_line(&report.file),
        HumanBytes(report.bytes),
    )
}

/// What `db restore` brought back.
pub(crate) fn restore(report: &RestoreReport, session: &Session<'_>) -> String {
    let (rows, file) = (count(total(&report.rows), "row"), clean_line(&report.file));
    let place = clean_line(&report.place);
    let mut text = if report.dry_run {
        let lost = count(total(&report.replaced), "row");
        format!(
            "would restore {rows} of {file} into {place}, which holds {lost} that would be lost\n"
        )
    } else {
        format!("{} {rows} of {file} restored into {place}\n", good(session))
    };
    if !report.upgraded.is_empty() {
        text.push_str(&format!(
            "the backup was of an older schema: {} applied on the way\n",
            names(&report.upgraded)
        ));
    }
    text
}

/// What `db rekey` did.
pub(crate) fn rekey(report: &RekeyReport, session: &Session<'_>) -> String {
    let place = clean_line(&report.key_place);
    match &report.key {
        None => format!(
            "{} no credential is stored, so there is no key yet; it is made when first needed: {place}\n",
            good(session)
        ),
        Some(key) => {
            let mut text = format!(
                "{} {} sealed anew with the key {} of {place}\n",
                good(session),
                count(report.sealed_anew, "credential"),
                clean_line(key),
            );
            if report.older_keys_kept {
                let retire = session.command("db rekey --retire");
                text.push_str(&format!(
                    "the file keeps the older key; when no other database and no backup needs it: {retire}\n"
                ));
            }
            text
        }
    }
}

/// Every check with its mark, and what to do about a fault.
pub(crate) fn verification(report: &VerifyReport, session: &Session<'_>) -> String {
    let mut text = format!("database: {}\n", clean_line(&report.place));
    for mended in &report.mended {
        let mark = session.out.paint(Tone::Good, "+");
        text.push_str(&format!("{mark} mended: {}\n", clean_line(mended)));
    }
    for check in &report.checks {
        text.push_str(&self::check(check, session));
    }
    let faults = report.checks.iter().filter(|check| check.fault.is_some());
    text.push_str(&match faults.count() {
        0 => "all is right\n".to_owned(),
        faults => format!(
            "{} in {}\n",
            count(faults as u64, "fault"),
            count(report.checks.len() as u64, "check")
        ),
    });
    text
}

fn check(check: &CheckView, session: &Session<'_>) -> String {
    let name = clean_line(&check.name);
    let Some(fault) = &check.fault else {
        let note = check.note.as_deref().map(clean_line);
        let note = note.map(|note| format!(": {note}")).unwrap_or_default();
        return format!("{} {name}{note}\n", good(session));
    };
    let mark = session.out.paint(Tone::Bad, "✗");
    let mut text = format!("{mark} {name}: {}\n", clean(fault));
    if let Some(help) = &check.help {
        let label = session.out.paint(Tone::Strong, "help:");
        text.push_str(&format!("  {label} {}\n", clean(help)));
    }
    text
}

fn good(session: &Session<'_>) -> String {
    session.out.paint(Tone::Good, "✓")
}

fn schema(schema: &SchemaView, session: &Session<'_>) -> String {
    if !schema.newer.is_empty() {
        let newer = names(&schema.newer);
        return session.out.paint(
            Tone::Bad,
            &format!("of a newer fusion-kit ({newer}): use that version"),
        );
    }
    if !schema.missing.is_empty() {
        let behind = format!("lacks {}", names(&schema.missing));
        let migrate = session.command("db migrate");
        return format!(
            "{}; bring it up to date with: {migrate}",
            session.out.paint(Tone::Warn, &behind)
        );
    }
    let steps = count(schema.applied.len() as u64, "step");
    format!("up to date ({steps})")
}

fn events(database: &DatabaseView, session: &Session<'_>) -> String {
    match database.oldest_event {
        None => "none".to_owned(),
        Some(oldest) => format!(
            "up to number {}, the oldest of {}",
            thousands(database.last_event),
            local(oldest, session)
        ),
    }
}

fn rows(rows: &BTreeMap<String, u64>) -> String {
    let mut table = Table::new(&[("TABLE", Align::Left), ("ROWS", Align::Right)]);
    for (name, rows) in rows {
        table.row([clean_line(name), thousands(*rows)]);
    }
    table.render()
}

fn total(rows: &BTreeMap<String, u64>) -> u64 {
    rows.values().sum()
}

fn names(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| clean_line(name)).collect();
    names.join(", ")
}
