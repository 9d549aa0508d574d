//! Pages of lists.

use axum::http::StatusCode;
use axum::response::Response;
use fusion_persistence::{Entity, Find, Page, Reader, Repository, Selects};
use serde::Serialize;

use crate::precondition::json;
use crate::problem::Result;
use crate::state::App;

/// A page of rows.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub(crate) rows: Vec<T>,
    /// How many the filter selects.
    pub(crate) total: u64,
    /// `None` on the last page.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Rows<T> {
    /// The page as it is answered: `page` gets the rows as they are shown, the total and the cursor.
    pub(crate) fn answer<V, P: Serialize>(
        self,
        view: impl Fn(T) -> V,
        page: impl FnOnce(Vec<V>, u64, Option<String>) -> P,
    ) -> Result<Response> {
        let rows = self.rows.into_iter().map(view).collect();
        json(StatusCode::OK, &page(rows, self.total, self.next_cursor))
    }
}

/// Reads a page: one row more than asked for tells whether there is a next one.
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
    let most = page.limit as usize;
    let is_first = page.after.is_none();
    let page = Page {
        limit: page.limit.saturating_add(1),
        ..page
    };
    let mut rows = app.reader().list(filter, page).await?;
    let has_more = rows.len() > most;
    rows.truncate(most);
    let total = if is_first && !has_more {
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
