//! How SQLite would carry out a statement, for tests: one that reads the rows of a table one by one gets
//! slower with each row.

use sea_orm::{ConnectionTrait, Database, Statement};
use sea_orm_migration::MigratorTrait;

use crate::migrations::Migrator;

/// The steps that are about one of these tables, by the names that the statement gives them.
pub(crate) async fn plan_of(mut statement: Statement, tables: &[&str]) -> Vec<String> {
    let conn = Database::connect("sqlite::memory:").await.unwrap();
    Migrator::up(&conn, None).await.unwrap();
    statement.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
    let steps = conn.query_all_raw(statement).await.unwrap();
    let steps = steps
        .iter()
        .map(|step| step.try_get::<String>("", "detail").unwrap());
    let is_about = |step: &String| {
        let mut words = step.split(' ');
        words.any(|word| tables.contains(&word))
    };
    steps.filter(is_about).collect()
}
