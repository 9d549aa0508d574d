//! The schema, as numbered steps that only go forward. A step is never edited once released.

mod m0001_runs;

use sea_orm_migration::prelude::*;

/// Every step, in order.
#[derive(Debug)]
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_runs::Migration)]
    }
}
