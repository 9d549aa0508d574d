//! What a schema is made of, read from the catalogue of either database in the same words.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{DatabaseConnection, FromQueryResult};

use crate::place::{Place, rows};

/// Tables by their names.
#[derive(Debug, PartialEq)]
pub(super) struct Shape(pub(super) BTreeMap<String, Table>);

#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    /// Kind of type, and whether it may be null.
    columns: BTreeMap<String, (String, bool)>,
    /// Columns of the primary key and of unique constraints.
    pub(super) unique: BTreeSet<Vec<String>>,
    /// Column, the other table, its column, what happens when the row there is deleted.
    references: BTreeSet<[String; 4]>,
    pub(super) indexes: BTreeMap<String, Index>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Index {
    /// `-` in front of a falling one.
    pub(super) columns: Vec<String>,
    unique: bool,
    /// The words of its condition.
    pub(super) only_where: Vec<String>,
}

#[derive(FromQueryResult)]
struct Column {
    table_name: String,
    name: String,
    kind: String,
    nullable: bool,
}

#[derive(FromQueryResult)]
struct Key {
    table_name: String,
    /// Empty for a constraint.
    name: String,
    columns: String,
    is_unique: bool,
    condition: String,
}

#[derive(FromQueryResult)]
struct Reference {
    table_name: String,
    name: String,
    to_table: String,
    to_name: String,
    on_delete: String,
}

const SQLITE: [&str; 3] = [
    "SELECT m.name AS table_name, c.name, lower(c.type) AS kind, NOT c.\"notnull\" AS nullable
     FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'",
    "SELECT m.name AS table_name, CASE l.origin WHEN 'c' THEN l.name ELSE '' END AS name,
       (SELECT group_concat(iif(x.\"desc\", '-', '') || x.name, ' ')
        FROM (SELECT * FROM pragma_index_xinfo(l.name) WHERE key ORDER BY seqno) x) AS columns,
       l.\"unique\" AS is_unique,
       coalesce((SELECT substr(i.sql, instr(i.sql, 'WHERE') + 5) FROM sqlite_master i
                 WHERE i.name = l.name AND l.partial), '') AS condition
     FROM sqlite_master m JOIN pragma_index_list(m.name) l WHERE m.type = 'table'
     UNION ALL
     SELECT m.name, '', c.name, 1, '' FROM sqlite_master m JOIN pragma_table_info(m.name) c
     WHERE m.type = 'table' AND c.pk = 1
       AND NOT EXISTS (SELECT 1 FROM pragma_index_list(m.name) l WHERE l.origin = 'pk')",
    "SELECT m.name AS table_name, k.\"from\" AS name, k.\"table\" AS to_table, k.\"to\" AS to_name,
       k.on_delete FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) k WHERE m.type = 'table'",
];

const POSTGRES: [&str; 3] = [
    "SELECT table_name::text, column_name::text AS name, data_type::text AS kind,
       is_nullable = 'YES' AS nullable
     FROM information_schema.columns WHERE table_schema = current_schema()",
    "SELECT i.indrelid::regclass::text AS table_name,
       CASE WHEN c.oid IS NULL THEN x.relname::text ELSE '' END AS name,
       (SELECT string_agg(CASE WHEN i.indoption[n - 1] & 1 = 1 THEN '-' ELSE '' END || a.attname, ' ' ORDER BY n)
        FROM generate_series(1, i.indnkeyatts) n
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n - 1]) AS columns,
       i.indisunique AS is_unique,
       coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS condition
     FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
     LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
     WHERE x.relnamespace = current_schema()::regnamespace",
    "SELECT k.conrelid::regclass::text AS table_name, here.attname::text AS name,
       k.confrelid::regclass::text AS to_table, there.attname::text AS to_name,
       CASE k.confdeltype WHEN 'c' THEN 'CASCADE' ELSE 'NO ACTION' END AS on_delete
     FROM pg_constraint k
     JOIN pg_attribute here ON here.attrelid = k.conrelid AND here.attnum = ANY (k.conkey)
     JOIN pg_attribute there ON there.attrelid = k.confrelid AND there.attnum = ANY (k.confkey)
     WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace",
];

/// The kinds of types that the databases share; each has its own names for them.
fn kind(name: &str) -> String {
    match name {
        "uuid_text" => "uuid",
        "varchar" | "text" | "jsonb_text" | "character varying" => "text",
        "timestamp_with_timezone_text" | "timestamp with time zone" => "time",
        "bigint" => "integer",
        "double precision" => "double",
        "bytea" => "blob",
        other => other,
    }
    .to_owned()
}

/// What a condition compares, without the punctuation and the casts of either database.
fn words(condition: &str) -> Vec<String> {
    const FORM: [&str; 7] = ["text", "character", "varying", "any", "array", "in", "and"];
    condition
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .map(str::to_lowercase)
        .filter(|word| !word.is_empty() && !FORM.contains(&word.as_str()))
        .collect()
}

impl Shape {
    pub(super) async fn of(place: &Place) -> Self {
        let raw = place.raw().await;
        let shape = Self::read(&raw, if place.is_file() { SQLITE } else { POSTGRES }).await;
        raw.close().await.unwrap();
        shape
    }

    async fn read(raw: &DatabaseConnection, [columns, keys, references]: [&str; 3]) -> Self {
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        for column in rows::<Column>(raw, columns).await {
            let table = tables.entry(column.table_name).or_default();
            let found = (kind(&column.kind), column.nullable);
            table.columns.insert(column.name, found);
        }
        for key in rows::<Key>(raw, keys).await {
            let table = tables.entry(key.table_name).or_default();
            let columns = key.columns.split(' ').map(str::to_owned).collect();
            if key.name.is_empty() {
                table.unique.insert(columns);
                continue;
            }
            let index = Index {
                columns,
                unique: key.is_unique,
                only_where: words(&key.condition),
            };
            table.indexes.insert(key.name, index);
        }
        for key in rows::<Reference>(raw, references).await {
            let table = tables.entry(key.table_name).or_default();
            table
                .references
                .insert([key.name, key.to_table, key.to_name, key.on_delete]);
        }
        Self(tables)
    }
}
