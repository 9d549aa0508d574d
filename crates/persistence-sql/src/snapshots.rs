//! What is kept of workspaces where other machines find it.

use fusion_core::{NamedSnapshot, WorkspaceId};
use fusion_persistence::Result;
use sea_orm::{ConnectionTrait, Statement, Value};

use crate::error::{corrupt, trying};
use crate::failure;
use crate::session::Session;

pub(crate) mod table {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "workspace_snapshots")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub workspace_id: Uuid,
        #[sea_orm(column_type = "Text", nullable)]
        pub name: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub missing: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Says what is kept of a workspace from now on.
pub(crate) async fn name(
    session: &mut impl Session,
    workspace: WorkspaceId,
    snapshot: Option<&NamedSnapshot>,
) -> failure::Result<()> {
    let backend = session.backend();
    let id: Value = workspace.uuid().into();
    let (name, missing) = match snapshot {
        Some(NamedSnapshot::Kept(name)) => (Some(name.clone()), None),
        Some(NamedSnapshot::Missing(why)) => (None, Some(why.clone())),
        None => {
            let sql = "DELETE FROM workspace_snapshots WHERE workspace_id = $1";
            let statement = Statement::from_sql_and_values(backend, sql, [id]);
            session.execute("forget a snapshot", statement).await?;
            return Ok(());
        }
    };
    let sql = "INSERT INTO workspace_snapshots (workspace_id, name, missing) VALUES ($1, $2, $3)
               ON CONFLICT (workspace_id) DO UPDATE SET name = excluded.name, missing = excluded.missing";
    let statement = Statement::from_sql_and_values(backend, sql, [id, name.into(), missing.into()]);
    session.execute("name a snapshot", statement).await?;
    Ok(())
}

const ACTION: &str = "look for a snapshot";

/// What is kept of a workspace.
pub(crate) async fn of(
    reader: &impl ConnectionTrait,
    workspace: WorkspaceId,
) -> Result<Option<NamedSnapshot>> {
    let sql = "SELECT name, missing FROM workspace_snapshots WHERE workspace_id = $1";
    let backend = reader.get_database_backend();
    let query = Statement::from_sql_and_values(backend, sql, [workspace.uuid().into()]);
    let row = reader.query_one_raw(query).await.map_err(trying(ACTION))?;
    let Some(row) = row else {
        return Ok(None);
    };
    let name: Option<String> = row.try_get_by_index(0).map_err(trying(ACTION))?;
    let missing: Option<String> = row.try_get_by_index(1).map_err(trying(ACTION))?;
    match (name, missing) {
        (Some(name), _) => Ok(Some(NamedSnapshot::Kept(name))),
        (None, Some(why)) => Ok(Some(NamedSnapshot::Missing(why))),
        (None, None) => Err(corrupt("name of a snapshot")),
    }
}
