//! JSON in which no object has the same name twice: of two values one would be left out, and readers differ
//! in which (RFC 8259, section 4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The longest part of a name that is told.
const SHOWN: usize = 64;

/// Such JSON.
pub(super) struct Unique(pub(super) Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading).map(Self)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if fields.contains_key(&name) {
                let shown: String = name.chars().take(SHOWN).collect();
                return Err(A::Error::custom(format!("'{shown}' is given twice")));
            }
            let Unique(value) = object.next_value()?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::Unique;

    #[test]
    fn json_is_read_as_it_is_and_a_name_that_comes_twice_is_refused() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,0.5,"x\n",{"b":{}}],"c":""}"#;
        let Unique(read) = serde_json::from_str(text).unwrap();
        assert_eq!(read, serde_json::from_str::<Value>(text).unwrap());
        let twice = [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"x":2,"\u0061":3}}]"#];
        let told = twice.map(|text| {
            let read = serde_json::from_str::<Unique>(text);
            read.err().map(|error| error.to_string())
        });
        assert_eq!(
            told,
            [
                Some("'a' is given twice at line 1 column 10".to_owned()),
                Some("'a' is given twice at line 1 column 27".to_owned())
            ]
        );
    }
}
