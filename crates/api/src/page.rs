//! Pages of lists.

use fusion_persistence::{Entity, Find, Page, Reader, Repository, Selects};

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
    /// The rows as they are shown.
    pub(crate) fn map<V>(self, view: impl Fn(T) -> V) -> (Vec<V>, u64, Option<String>) {
        let rows = self.rows.into_iter().map(view).collect();
        (rows, self.total, self.next_cursor)
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
    let total = app.reader().count(filter).await?;
    let most = page.limit as usize;
    let page = Page {
        limit: page.limit.saturating_add(1),
        ..page
    };
    let mut rows = app.reader().list(filter, page).await?;
    let has_more = rows.len() > most;
    rows.truncate(most);
    let last = rows.last().filter(|_| has_more);
    let next_cursor = last.map(|row| id(row).to_string());
    Ok(Rows {
        rows,
        total,
        next_cursor,
    })
}
