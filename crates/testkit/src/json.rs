//! JSON parsing whose errors name the file and the field.

use crate::Error;
use serde::de::DeserializeOwned;

/// Parses the whole of `text` as a `T`.
///
/// Nesting is bounded by serde_json's recursion limit of 128.
///
/// # Errors
/// [`Error::Field`] with the path of the first wrong field below `place`.
pub fn parse<T: DeserializeOwned>(file: &str, place: &str, text: &str) -> Result<T, Error> {
    // The tracking of paths costs a third of the time and is needed only to explain a failure.
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) => Err(explain::<T>(file, place, text, &error)),
    }
}

fn explain<T: DeserializeOwned>(
    file: &str,
    place: &str,
    text: &str,
    error: &serde_json::Error,
) -> Error {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => Error::field(file, if place.is_empty() { "." } else { place }, error.to_string()),
        Err(error) => {
            let path = error.path().to_string();
            let field = match (place.is_empty(), path == ".") {
                (true, _) => path,
                (false, true) => place.to_owned(),
                (false, false) => format!("{place}.{path}"),
            };
            Error::field(file, field, error.inner().to_string())
        }
    }
}

/// Bytes that must be UTF-8, as JSON is.
///
/// # Errors
/// [`Error::Field`] with the offset of the first wrong byte.
pub fn utf8<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Error> {
    core::str::from_utf8(bytes).map_err(|error| {
        Error::field(file, ".", format!("not UTF-8 from byte {}", error.valid_up_to()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Nested = BTreeMap<String, BTreeMap<String, u64>>;

    #[test]
    fn a_mistyped_field_is_named_with_its_file() {
        let error = parse::<Nested>("a.json", "", r#"{"x": {"y": "1"}}"#).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("a.json: field `x.y`: invalid type: string"), "{message}");
    }

    #[test]
    fn the_place_of_a_fragment_is_part_of_the_field() {
        let error = parse::<Nested>("a.json", "case", r#"{"x": {"y": -1}}"#).unwrap_err();
        assert!(error.to_string().contains("`case.x.y`"), "{error}");
    }

    #[test]
    fn truncated_and_trailing_text_are_errors() {
        for text in ["", "{", r#"{"x": {"y": 1"#, r#"{"x": {"y": 1}} {}"#] {
            assert!(parse::<Nested>("a.json", "", text).is_err(), "{text}");
        }
    }

    #[test]
    fn bottomless_nesting_is_an_error() {
        let text = "[".repeat(1_000_000);
        assert!(parse::<serde_json::Value>("a.json", "", &text).is_err());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_an_error() {
        assert!(utf8("a.json", &[b'{', 0xff]).is_err());
    }
}
