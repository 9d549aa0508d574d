//! What a command takes, as JSON Schema.

use clap::{Arg, ArgAction, ArgGroup, Command};
use serde_json::{Map, Value, json};

/// Arguments that ask for a terminal, for an answer that goes on, or for changes by what else only looks.
const LEFT_OUT: &[&str] = &["edit", "fix", "follow", "open", "watch"];

/// What a global option of every command does for a client.
const JQ: &str = "Only what this expression of jq makes of the JSON.";

/// An argument of a command as a field of a tool's input.
pub(super) struct Field<'c> {
    /// Its name in the input.
    pub(super) name: String,
    pub(super) arg: &'c Arg,
}

impl Field<'_> {
    /// Whether it is there or not, and has no value.
    pub(super) fn is_flag(&self) -> bool {
        !self.arg.get_action().takes_values()
    }

    /// Whether it may come several times.
    pub(super) fn is_many(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
            || self
                .arg
                .get_num_args()
                .is_some_and(|range| range.max_values() > 1)
    }

    /// Whether its name may stand without a value.
    pub(super) fn may_be_bare(&self) -> bool {
        self.arg
            .get_num_args()
            .is_some_and(|range| range.min_values() == 0)
    }

    fn schema(&self) -> Value {
        let mut one = if self.is_flag() {
            json!({ "type": "boolean" })
        } else if self.may_be_bare() && !self.is_many() {
            json!({ "type": ["string", "number", "boolean"] })
        } else {
            json!({ "type": ["string", "number"] })
        };
        let values = self.arg.get_possible_values();
        if !self.is_flag() && !values.is_empty() {
            let names = values.iter().map(clap::builder::PossibleValue::get_name);
            one = json!({ "enum": names.collect::<Vec<_>>() });
        }
        if self.is_many() {
            one = json!({ "type": "array", "items": one });
        }
        let help = self.arg.get_help().map(ToString::to_string);
        if let (Some(help), Some(object)) = (help, one.as_object_mut()) {
            let values = self.arg.get_value_names().unwrap_or_default();
            let form = values.iter().map(|name| name.as_str());
            let form = form.filter(|form| form.contains(['=', ':', '|']));
            let form: Vec<&str> = form.collect();
            let help = match form.as_slice() {
                [] => help,
                form => format!("{help} ({})", form.join(" ")),
            };
            object.insert("description".to_owned(), help.into());
        }
        one
    }
}

/// The arguments that a tool's input can give, in the order of the command.
pub(super) fn fields(command: &Command) -> impl Iterator<Item = Field<'_>> {
    let own = command.get_arguments().filter(|arg| {
        let is_help = matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        let id = arg.get_id().as_str();
        !arg.is_global_set() && !arg.is_hide_set() && !is_help && !LEFT_OUT.contains(&id)
    });
    own.map(|arg| Field {
        name: arg
            .get_long()
            .unwrap_or_else(|| arg.get_id().as_str())
            .replace('-', "_"),
        arg,
    })
}

/// Says in the description of a field which fields of its group are needed. Not in the schema itself: models'
/// providers refuse a tool whose input is one of several at the top.
fn tell_group(schema: &mut Value, command: &Command, (field, all): (&Field<'_>, &[Field<'_>])) {
    let is_of = |group: &ArgGroup, field: &Field<'_>| {
        let mut ids = group.get_args();
        ids.any(|id| id == field.arg.get_id())
    };
    let mut groups = command.get_groups();
    let group = groups.find(|group| group.is_required_set() && is_of(group, field));
    let (Some(group), Some(object)) = (group, schema.as_object_mut()) else {
        return;
    };
    let names = all.iter().filter(|field| is_of(group, field));
    let names: Vec<&str> = names.map(|field| field.name.as_str()).collect();
    let needed = if group.clone().is_multiple() {
        "at least one"
    } else {
        "just one"
    };
    let help = object.get("description").and_then(Value::as_str);
    let told = format!(
        "{} ({needed} of {} is needed)",
        help.unwrap_or_default(),
        names.join(", ")
    );
    let told = told.trim_start().to_owned();
    object.insert("description".to_owned(), told.into());
}

/// The input of a command.
pub(super) fn schema(command: &Command) -> Map<String, Value> {
    let fields: Vec<Field<'_>> = fields(command).collect();
    let properties = fields
        .iter()
        .map(|field| {
            let mut schema = field.schema();
            tell_group(&mut schema, command, (field, &fields));
            (field.name.clone(), schema)
        })
        .chain([(
            super::line::JQ.to_owned(),
            json!({ "type": "string", "description": JQ }),
        )]);
    let required = fields.iter().filter(|field| field.arg.is_required_set());
    let required: Vec<&str> = required.map(|field| field.name.as_str()).collect();
    Map::from_iter([
        ("type".to_owned(), "object".into()),
        (
            "properties".to_owned(),
            properties.collect::<Map<String, Value>>().into(),
        ),
        ("required".to_owned(), required.into()),
        ("additionalProperties".to_owned(), false.into()),
    ])
}
