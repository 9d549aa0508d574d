//! The repositories: create, get, list, count, update and delete, the same for every entity.
//!
//! They are a short way of saying what [`Find`] and [`Store::commit`] do: not a second door. What
//! belongs together is still committed together, as one [`Batch`].

use async_trait::async_trait;
use fusion_core::{Change, Decision, Row};
use uuid::Uuid;

use crate::{
    Batch, Deletable, Entity, Error, Find, Identifies, Page, Reader, Result, Selects, Store,
};

/// Reads rows of any entity; the type of the id or of the filter says of which.
#[async_trait]
pub trait Repository: Reader {
    /// One row.
    ///
    /// # Errors
    /// `NotFound`, or the store fails.
    async fn get<I>(&self, id: I) -> Result<I::Entity>
    where
        I: Identifies,
        Self: Find<I::Entity>,
    {
        self.find(id).await?.ok_or_else(|| Error::NotFound {
            entity: I::Entity::NAME,
            id: id.to_string(),
        })
    }

    /// A page of rows, the newest first.
    ///
    /// # Errors
    /// The store fails.
    async fn list<F>(
        &self,
        filter: &F,
        page: Page<<F::Entity as Entity>::Id>,
    ) -> Result<Vec<F::Entity>>
    where
        F: Selects,
        Self: Find<F::Entity>,
    {
        self.page(filter, page).await
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// The store fails.
    async fn count<F>(&self, filter: &F) -> Result<u64>
    where
        F: Selects,
        Self: Find<F::Entity>,
    {
        Find::<F::Entity>::count_rows(self, filter).await
    }
}

impl<S: Reader + ?Sized> Repository for S {}

/// Writes single rows of any entity.
#[async_trait]
pub trait WriteRepository: Store {
    /// Stores a new row.
    ///
    /// # Errors
    /// `Exists` when its name or another unique value is taken, `Missing` when it refers to a row
    /// that does not exist, or the store fails.
    async fn create<T>(&self, entity: T) -> Result<()>
    where
        T: Entity + Into<Row>,
    {
        let decision = Decision::default().with(Change::create(entity));
        self.commit(Batch::free(decision)).await.map(|_| ())
    }

    /// Writes a row as it is now; its version rises by one.
    ///
    /// # Errors
    /// `Conflict` when the row has changed since it was read, `Refused` when its state machine does
    /// not have the move, else as [`create`](Self::create).
    async fn update<T>(&self, entity: T) -> Result<()>
    where
        T: Entity + Into<Row>,
    {
        let decision = Decision::default().with(Change::update(entity));
        self.commit(Batch::free(decision)).await.map(|_| ())
    }

    /// Deletes a row.
    ///
    /// # Errors
    /// `Conflict` when the row has changed since it was read or is gone, `InUse` while another row
    /// refers to it, or the store fails.
    async fn delete<I>(&self, id: I, version: u64) -> Result<()>
    where
        I: Identifies + Into<Uuid>,
        I::Entity: Deletable,
    {
        let decision = Decision::default().with(Change::Delete {
            kind: <I::Entity as Deletable>::KIND,
            id: id.into(),
            version,
        });
        self.commit(Batch::free(decision)).await.map(|_| ())
    }
}

impl<S: Store + ?Sized> WriteRepository for S {}
