//! Pages of lists.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_persistence::{Entity, Find, Identifies, Page, Reader, Repository, Seen, Selects};
use serde::Serialize;

use crate::kept::Answer;
use crate::precondition::{json_text, resource_text, text_of};
use crate::problem::Result;
use crate::state::App;

/// What lists show just as it is stored.
pub(crate) trait Listed: Entity + Clone {
    /// As it is shown.
    type View: Serialize;
    /// The member that holds the rows.
    const MEMBER: &'static str;

    /// Its id.
    fn id(&self) -> Self::Id;

    /// As it is shown: of the row and of nothing else.
    fn view(self) -> Self::View;
}

/// A page of rows.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub(crate) rows: Vec<T>,
    /// How many the filter selects.
    pub(crate) total: u64,
    /// `None` on the last page.
    pub(crate) next_cursor: Option<String>,
}

/// A page of rows that lists show as they are stored. While nobody commits anything it is the text of the last
/// time; and a row that has not changed since it was last shown is not written again.
pub(crate) async fn answer<F>(
    app: &App,
    filter: &F,
    page: Page<<F::Entity as Entity>::Id>,
) -> Result<Response>
where
    F: Selects<Entity: Listed>,
    dyn Reader: Find<F::Entity>,
{
    // Before the rows are read, so that they are of this state or of a newer one.
    let mark = app.reader().mark();
    let asked = (filter.clone(), page);
    if let Some(kept) = mark.and_then(|mark| app.pages.get(&asked, mark)) {
        return Ok(json_text(StatusCode::OK, kept.text));
    }
    let rows = app.reader().page_seen(filter, wider(page)).await?;
    let rows = whole(app, filter, page, rows, |row| row.id()).await?;
    let text = Bytes::from(rows.text()?);
    if let Some(mark) = mark {
        let text = text.clone();
        app.pages.keep(asked, mark, Answer { version: 0, text });
    }
    Ok(json_text(StatusCode::OK, text))
}

impl<T: Listed> Rows<Arc<Seen<T>>> {
    /// The page as it is answered, put together of the texts of its rows.
    fn text(&self) -> Result<String> {
        let write = |row: &T| text_of(&row.clone().view()).map(String::into_boxed_str);
        let next = text_of(&self.next_cursor)?;
        let rows = self.rows.iter().map(|row| row.shown(write));
        let rows: Vec<&str> = rows.collect::<Result<_>>()?;
        let head = format!("{{\"{}\":[", T::MEMBER);
        let tail = format!("],\"total\":{},\"next_cursor\":{next}}}", self.total);
        // In one piece: a text that grows to that length is moved again and again.
        let length: usize = rows.iter().map(|row| row.len() + 1).sum();
        let mut text = String::with_capacity(head.len() + length + tail.len());
        text.push_str(&head);
        for (place, row) in rows.iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            text.push_str(row);
        }
        text.push_str(&tail);
        Ok(text)
    }
}

/// One row with its version. While nobody commits anything it is the text of the last time.
pub(crate) async fn one<Id, V>(
    app: &App,
    headers: &HeaderMap,
    id: Id,
    view: impl FnOnce(Id::Entity) -> (u64, V) + Send,
) -> Result<Response>
where
    Id: Identifies,
    V: Serialize + Send,
    dyn Reader: Find<Id::Entity>,
{
    // Before the row is read, as above.
    let mark = app.reader().mark();
    if let Some(kept) = mark.and_then(|mark| app.rows.get(&id, mark)) {
        return Ok(resource_text(headers, kept.version, kept.text));
    }
    let (version, view) = view(app.reader().get(id).await?);
    let text = Bytes::from(text_of(&view)?);
    if let Some(mark) = mark {
        let text = text.clone();
        app.rows.keep(id, mark, Answer { version, text });
    }
    Ok(resource_text(headers, version, text))
}

/// Reads a page.
pub(crate) async fn rows<F>(
    app: &App,
    filter: &F,
    page: Page<<F::Entity as Entity>::Id>,
    id: impl Fn(&F::Entity) -> <F::Entity as Entity>::Id + Send,
) -> Result<Rows<F::Entity>>
where
    F: Selects,
    dyn Reader: Find<F::Entity>,
{
    let rows = app.reader().list(filter, wider(page)).await?;
    whole(app, filter, page, rows, id).await
}

/// One row more than asked for tells whether there is a next page.
fn wider<Id>(page: Page<Id>) -> Page<Id> {
    Page {
        limit: page.limit.saturating_add(1),
        ..page
    }
}

/// The page of which these rows were read.
async fn whole<F, T>(
    app: &App,
    filter: &F,
    page: Page<<F::Entity as Entity>::Id>,
    mut rows: Vec<T>,
    id: impl Fn(&T) -> <F::Entity as Entity>::Id + Send,
) -> Result<Rows<T>>
where
    F: Selects,
    T: Send,
    dyn Reader: Find<F::Entity>,
{
    let most = page.limit as usize;
    let has_more = rows.len() > most;
    rows.truncate(most);
    let total = if page.after.is_none() && !has_more {
        // They are all there are.
        rows.len() as u64
    } else {
        app.reader().count(filter).await?
    };
    let last = rows.last().filter(|_| has_more);
    let next_cursor = last.map(|row| id(row).to_string());
    Ok(Rows {
        rows,
        total,
        next_cursor,
    })
}
