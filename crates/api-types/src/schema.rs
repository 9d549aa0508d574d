//! JSON Schema of the wire types, for programs that read what commands print.

use serde_json::{Map, Value, json};
pub use utoipa::ToSchema as Described;

/// Where references of the description of the API lead.
const IN_API: &str = "#/components/schemas/";

/// Where those of a schema lead.
const IN_SCHEMA: &str = "#/$defs/";

/// The JSON Schema (2020-12) of a type, with all that it refers to.
#[must_use]
pub fn of<T: Described>() -> Value {
    let mut inner = Vec::new();
    T::schemas(&mut inner);
    let defs: Map<String, Value> = inner
        .into_iter()
        .map(|(name, schema)| (name, json!(schema)))
        .collect();
    finished(&json!(T::schema()), defs)
}

/// The same of an object with one list of such values under a name.
#[must_use]
pub fn list_of<T: Described>(name: &str) -> Value {
    let row = of::<T>();
    let mut row = row.as_object().cloned().unwrap_or_default();
    let defs = row.remove("$defs");
    row.remove("$schema");
    let whole = json!({
        "type": "object",
        "required": [name],
        "properties": { name: { "type": "array", "items": row } },
    });
    let defs = defs.and_then(|defs| defs.as_object().cloned());
    finished(&whole, defs.unwrap_or_default())
}

/// The schema of what is as one of these.
#[must_use]
pub fn any_of<const N: usize>(schemas: [Value; N]) -> Value {
    let mut defs = Map::new();
    let all = schemas.map(|mut schema| {
        if let Some(fields) = schema.as_object_mut() {
            fields.remove("$schema");
            if let Some(Value::Object(inner)) = fields.remove("$defs") {
                defs.extend(inner);
            }
        }
        schema
    });
    finished(&json!({ "anyOf": all.to_vec() }), defs)
}

fn finished(schema: &Value, defs: Map<String, Value>) -> Value {
    let mut all = Map::new();
    all.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    all.extend(schema.as_object().cloned().unwrap_or_default());
    if !defs.is_empty() {
        all.insert("$defs".to_owned(), Value::Object(defs));
    }
    let mut all = Value::Object(all);
    lead(&mut all);
    all
}

/// Lets references lead to the types of the schema itself.
fn lead(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                if name == "$ref"
                    && let Value::String(place) = inner
                {
                    *place = place.replacen(IN_API, IN_SCHEMA, 1);
                } else {
                    lead(inner);
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(lead),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{list_of, of};
    use crate::{AgentList, StoredWorkflow};

    #[test]
    fn a_schema_holds_all_that_it_refers_to() {
        let schema = of::<AgentList>();
        let items = &schema["properties"]["agents"]["items"];
        assert_eq!(*items, json!({ "$ref": "#/$defs/AgentSummary" }));
        assert_eq!(schema["$defs"]["AgentSummary"]["type"], "object");
        assert!(!schema.to_string().contains("components"));
    }

    #[test]
    fn a_list_has_its_rows_under_its_name() {
        let schema = list_of::<StoredWorkflow>("workflows");
        assert_eq!(schema["required"], json!(["workflows"]));
        let row = &schema["properties"]["workflows"]["items"];
        assert_eq!(row["type"], "object");
        assert_eq!(row.get("$schema"), None::<&Value>);
    }
}
