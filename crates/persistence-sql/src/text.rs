//! The statements that write rows, in plain text: by the query builder they took longer to build than to
//! carry out (ADR 0049). The same columns give the same text, which the driver has prepared.

use sea_orm::{DbBackend, EntityTrait, IdenStatic, Iterable, ModelTrait, Statement, Value};

use crate::table::clean_value;

/// A statement that grows. Values are bound, never part of the text, and as [`clean`](crate::table::clean)
/// stores them.
#[derive(Debug)]
pub(crate) struct Text {
    sql: String,
    values: Vec<Value>,
}

impl Text {
    /// Begins with these words.
    pub(crate) fn new(sql: &str) -> Self {
        Self {
            sql: sql.to_owned(),
            values: Vec::new(),
        }
    }

    /// Has room for so many values and what names them.
    fn for_values(count: usize) -> Self {
        const CHARS_OF_A_VALUE: usize = 32;
        Self {
            sql: String::with_capacity((count + 4) * CHARS_OF_A_VALUE),
            values: Vec::with_capacity(count + 4),
        }
    }

    /// Goes on with these words.
    pub(crate) fn words(mut self, sql: &str) -> Self {
        self.sql += sql;
        self
    }

    /// Goes on with the name of a column.
    pub(crate) fn column(mut self, column: &impl IdenStatic) -> Self {
        self.sql.push('"');
        self.sql += column.as_str();
        self.sql.push('"');
        self
    }

    /// Goes on with the place of a value.
    pub(crate) fn value(mut self, value: impl Into<Value>) -> Self {
        self.bind(value.into());
        self
    }

    /// Goes on with the places of values, with commas between them.
    pub(crate) fn values(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        for (place, value) in values.into_iter().enumerate() {
            if place > 0 {
                self.sql += ", ";
            }
            self.bind(value);
        }
        self
    }

    /// The whole.
    pub(crate) fn statement(self, backend: DbBackend) -> Statement {
        Statement::from_sql_and_values(backend, self.sql, self.values)
    }

    fn bind(&mut self, mut value: Value) {
        clean_value(&mut value);
        self.values.push(value);
        self.sql.push('$');
        self.sql += itoa::Buffer::new().format(self.values.len());
    }
}

/// Inserts rows, every column of each. There must be one.
pub(crate) fn insert<'r, E>(
    backend: DbBackend,
    rows: impl IntoIterator<Item = &'r E::Model>,
) -> Statement
where
    E: EntityTrait<Model: ModelTrait<Entity = E> + 'r>,
{
    let rows = rows.into_iter();
    let columns = E::Column::iter().count();
    let mut text = Text::for_values(columns * rows.size_hint().0)
        .words("INSERT INTO ")
        .words(E::default().table_name());
    for (place, column) in E::Column::iter().enumerate() {
        let before = if place == 0 { " (" } else { ", " };
        text = text.words(before).column(&column);
    }
    for (place, row) in rows.enumerate() {
        let before = if place == 0 { ") VALUES (" } else { "), (" };
        let values = E::Column::iter().map(|column| row.get(column));
        text = text.words(before).values(values);
    }
    text.words(")").statement(backend)
}

/// An update of all columns of a row but `kept`. The caller goes on with what it is to hold for.
pub(crate) fn update<E>(row: &E::Model, kept: &[E::Column]) -> Text
where
    E: EntityTrait<Model: ModelTrait<Entity = E>>,
{
    let is_kept = |column: &E::Column| kept.iter().any(|one| one.as_str() == column.as_str());
    let mut text = Text::for_values(E::Column::iter().count())
        .words("UPDATE ")
        .words(E::default().table_name());
    let mut before = " SET ";
    for column in E::Column::iter().filter(|column| !is_kept(column)) {
        text = text.words(before).column(&column).words(" = ");
        text = text.value(row.get(column));
        before = ", ";
    }
    text
}
