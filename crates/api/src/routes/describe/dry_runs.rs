//! What routes answer that take `dry_run`: with it what would change, else what they say themselves.

use fusion_api_types::DryRun;
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

use super::links::operations;
use crate::query::DRY_RUN;

/// Adds that to each of them.
pub(super) fn add(described: &mut OpenApi) {
    for item in described.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            let mut parameters = operation.parameters.iter().flatten();
            let is_it = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == DRY_RUN);
            if parameters.any(is_it) {
                tell(operation);
            }
        }
    }
}

fn tell(operation: &mut Operation) {
    let tried = Ref::from_schema_name(DryRun::name());
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(done)) = responses.get_mut("200") {
        for content in done.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            let either = content.schema.take().map(|done| {
                let either = OneOfBuilder::new().item(done).item(tried.clone());
                either.into()
            });
            content.schema = either;
        }
        return;
    }
    let content = ContentBuilder::new().schema(Some(tried)).build();
    let response = ResponseBuilder::new()
        .description("With `dry_run`: what would change.")
        .content("application/json", content)
        .build();
    responses.insert("200".to_owned(), response.into());
}
