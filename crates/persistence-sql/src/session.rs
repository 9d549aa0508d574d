//! What the writer needs of a database: one connection with one transaction at a time.

use std::future::Future;

use fusion_persistence::{Kept, Lease};
use sea_orm::{DbBackend, EntityTrait, FromQueryResult, Statement};

use crate::failure::Result;
use crate::sqlite::Decoded;

/// A table whose rows can be read by the writer.
pub(crate) trait Readable:
    EntityTrait<Model: FromQueryResult + Decoded + Send> + Send
{
}

impl<E> Readable for E where E: EntityTrait<Model: FromQueryResult + Decoded + Send> + Send {}

/// The rows of two tables.
pub(crate) type Both<A, B> = (
    Vec<<A as EntityTrait>::Model>,
    Vec<<B as EntityTrait>::Model>,
);

/// How a COMMIT ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done.
    Done,
    /// The connection broke while it was under way: [`Session::was_committed`] tells.
    Unknown,
}

/// One connection that writes. Between `begin` and `commit` or `roll_back` it has a transaction.
pub(crate) trait Session: Send {
    /// Which dialect the statements are in.
    fn backend(&self) -> DbBackend;

    /// Prolongs the leases of a node in one statement, where that needs no transaction around it: done twice,
    /// it is done once. `None` where it is to be done as all else.
    fn keep_node(&mut self, _lease: Lease) -> impl Future<Output = Result<Option<Kept>>> + Send {
        std::future::ready(Ok(None))
    }

    /// Opens a transaction that will write.
    fn begin(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Makes everything since `begin` durable. An error means that nothing of it was kept.
    fn commit(&mut self) -> impl Future<Output = Result<Outcome>> + Send;

    /// Gives everything since `begin` up.
    fn roll_back(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether the last transaction was committed. An error means that it can't be told yet.
    fn was_committed(&mut self) -> impl Future<Output = Result<bool>> + Send;

    /// Carries out a statement that has no values: a savepoint.
    fn control(&mut self, statement: &'static str) -> impl Future<Output = Result<()>> + Send;

    /// Carries out a statement; says how many rows it touched. `action` completes "trying to ...".
    fn execute(
        &mut self,
        action: &'static str,
        statement: Statement,
    ) -> impl Future<Output = Result<u64>> + Send;

    /// The rows that a statement gives.
    fn rows<E: Readable>(
        &mut self,
        action: &'static str,
        statement: Statement,
    ) -> impl Future<Output = Result<Vec<E::Model>>> + Send;

    /// The first column of the first row that a statement gives.
    fn number(
        &mut self,
        action: &'static str,
        statement: Statement,
    ) -> impl Future<Output = Result<Option<i64>>> + Send;
}
