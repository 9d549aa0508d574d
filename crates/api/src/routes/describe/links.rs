//! Names for all operations, and what can be asked next about what an answer tells: links (the Link Object
//! of `OpenAPI`) from each answer with an id to the operations on it.

use serde_json::{Value, json};
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use crate::routes::BASE;

/// Fields that hold the id of another thing, and where that is.
const OTHERS: [(&str, &str); 2] = [("run_id", "runs"), ("workflow_id", "workflows")];

/// An operation on one thing.
struct Target {
    /// Where such things are listed: `/api/v1/agents`.
    collection: String,
    is_look: bool,
    operation: String,
}

/// A link of an answer.
struct Found {
    operation: String,
    /// Where the id is in the answer.
    id: String,
}

/// Adds them.
pub(super) fn add(described: &mut OpenApi) {
    for item in described.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            name(operation);
        }
    }
    let seen = json!(described);
    let mut targets = Vec::new();
    for (path, item) in &mut described.paths.paths {
        let collection = path
            .split("/{id}")
            .next()
            .filter(|it| it.len() < path.len());
        let Some(collection) = collection.map(str::to_owned) else {
            continue;
        };
        for (method, operation) in operations(item) {
            targets.push(Target {
                collection: collection.clone(),
                is_look: method == "get",
                operation: operation.operation_id.clone().unwrap_or_default(),
            });
        }
    }
    for (path, item) in &mut described.paths.paths {
        for (method, operation) in operations(item) {
            link(operation, (path, method), &seen, &targets);
        }
    }
}

/// Functions have the same name in many files: the name of an operation begins with what it is about.
fn name(operation: &mut Operation) {
    let tag = operation.tags.as_ref().and_then(|tags| tags.first());
    if let (Some(tag), Some(name)) = (tag, &mut operation.operation_id) {
        *name = format!("{tag}_{name}");
    }
}

fn link(operation: &mut Operation, at: (&str, &str), seen: &Value, targets: &[Target]) {
    for (status, answer) in &mut operation.responses.responses {
        let RefOr::T(answer) = answer else { continue };
        if !status.starts_with('2') {
            continue;
        }
        for found in found(at, status, seen, targets) {
            let link = LinkBuilder::new()
                .operation_id(&found.operation)
                .parameter("id", found.id)
                .build();
            answer.links.insert(found.operation, link.into());
        }
    }
}

/// What can be asked about the ids in an answer.
fn found(
    (path, method): (&str, &str),
    status: &str,
    seen: &Value,
    targets: &[Target],
) -> Vec<Found> {
    let place = format!(
        "/paths/{}/{method}/responses/{status}/content/application~1json/schema",
        path.replace('~', "~0").replace('/', "~1")
    );
    let fields = seen.pointer(&place).map(|schema| fields(seen, schema));
    let fields = fields.unwrap_or_default();
    let has = |name: &str| fields.iter().any(|field| field == name);
    let collection = path.split("/{id}").next().unwrap_or(path);
    let mut all = Vec::new();
    let mut add = |collection: &str, id: String, looks_only: bool| {
        let about = targets
            .iter()
            .filter(|target| target.collection == collection && (target.is_look || !looks_only));
        all.extend(about.map(|target| Found {
            operation: target.operation.clone(),
            id: id.clone(),
        }));
    };
    if method == "post" && has("id") {
        add(collection, "$response.body#/id".to_owned(), false);
    }
    for (field, name) in OTHERS {
        if method == "post" && has(field) {
            let collection = format!("{BASE}/{name}");
            add(&collection, format!("$response.body#/{field}"), false);
        }
    }
    let list = path.rsplit('/').next().unwrap_or_default();
    if method == "get" && has(list) {
        let collection = format!("{BASE}/{list}");
        add(&collection, format!("$response.body#/{list}/0/id"), true);
    }
    all
}

/// The names of the fields of a schema.
fn fields(seen: &Value, schema: &Value) -> Vec<String> {
    if let Some(place) = schema.get("$ref").and_then(Value::as_str) {
        let schema = seen.pointer(place.trim_start_matches('#'));
        return schema
            .map(|schema| fields(seen, schema))
            .unwrap_or_default();
    }
    let own = schema.get("properties").and_then(Value::as_object);
    let own = own.into_iter().flat_map(|fields| fields.keys().cloned());
    let parts = schema.get("allOf").and_then(Value::as_array);
    let parts = parts.into_iter().flatten();
    own.chain(parts.flat_map(|part| fields(seen, part)))
        .collect()
}

/// Every operation of a path, with its method.
pub(super) fn operations(
    item: &mut PathItem,
) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("post", &mut item.post),
        ("put", &mut item.put),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
