//! Query parameters that several routes take, as the description tells them.

use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::{IntoParams, PartialSchema};

/// Parameters in the query, each by its name and what it is for.
macro_rules! parameters {
    ($(#[$doc:meta] $group:ident { $($name:literal: $kind:ty = $told:literal,)* })*) => {$(
        #[$doc]
        pub(crate) enum $group {}

        impl IntoParams for $group {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![$(optional::<$kind>($name, $told)),*]
            }
        }
    )*};
}

parameters! {
    /// Which page of a list.
    Paging {
        "limit": u32 = "At most so many: 1 to 500, 100 without it.",
        "cursor": String = "`next_cursor` of the page before.",
    }
    /// Whether it is done.
    Trying {
        "dry_run": bool = "Only say what would change: nothing is changed. Everything is checked as if it were done.",
    }
    /// Which events.
    OfEvents {
        "event_type": Vec<String> = "Only these types; `task.*` is all that begin so.",
        "agent_id": Vec<String> = "Only events about one of these agents.",
        "severity": Vec<String> = "Only these severities; `warning+` is that one and all above it.",
        "run_id": String = "Only events of this run.",
    }
    /// Which of those that have happened.
    OfLog {
        "since": String = "Only events of this time (RFC 3339) or later.",
        "until": String = "Only events before this time (RFC 3339).",
        "q": String = "Only events whose message has each of these words; `word*` is every word that begins so.",
    }
    /// Where a live stream begins, and what it tells besides.
    OfStream {
        "after": u64 = "Go on after this `seq`; from the end of the log without it.",
        "deltas": bool = "Also `delta` frames: what models say while they say it, of the runs and agents that are asked for.",
    }
}

fn optional<T: PartialSchema>(name: &str, told: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(told))
        .schema(Some(T::schema()))
        .build()
}
