//! When an answer is the one that was recorded.

use serde_json::{Map, Value};

/// Fields that the specification calls optional, so that an answer may have the right shape
/// without them (execution-apis: `eth_capabilities`).
const OPTIONAL_FIELDS: [&str; 1] = ["deleteStrategy"];

/// What of an answer must be as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Every value; of an error, code and data, but not the message.
    Exact,
    /// The types of all values, and the presence of fields.
    Shape,
}

/// Compares an answer to the recorded one.
///
/// # Errors
/// The first difference, with its path.
pub fn compare(expected: &Value, got: &Value, strictness: Strictness) -> Result<(), String> {
    match (expected.get("error"), got.get("error")) {
        (Some(expected), Some(got)) => compare_errors(expected, got, strictness),
        (Some(expected), None) => {
            Err(format!("expected error {}, got {}", cut(expected), cut(got)))
        }
        (None, Some(error)) => Err(format!("unexpected error {}", cut(error))),
        (None, None) => {
            let result = |answer: &Value| answer.get("result").cloned();
            match (result(expected), result(got)) {
                (Some(expected), Some(got)) => match strictness {
                    Strictness::Exact => exact("result", &expected, &got),
                    Strictness::Shape => shape("result", &expected, &got),
                },
                _ => Err(format!("no `result` in {}", cut(got))),
            }
        }
    }
}

fn compare_errors(expected: &Value, got: &Value, strictness: Strictness) -> Result<(), String> {
    if got.get("code").is_none_or(|code| !code.is_i64()) {
        return Err(format!("error without a code: {}", cut(got)));
    }
    if strictness == Strictness::Shape {
        return Ok(());
    }
    if expected.get("code") != got.get("code") {
        return Err(format!("expected error {}, got {}", cut(expected), cut(got)));
    }
    match expected.get("data") {
        Some(data) => exact("error.data", data, got.get("data").unwrap_or(&Value::Null)),
        None => Ok(()),
    }
}

/// A value, shortened for a message.
fn cut(value: &Value) -> String {
    const LONGEST: usize = 300;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn differ<T>(path: &str, expected: &Value, got: &Value) -> Result<T, String> {
    Err(format!("{path}: expected {}, got {}", cut(expected), cut(got)))
}

fn exact(path: &str, expected: &Value, got: &Value) -> Result<(), String> {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            for (key, value) in expected {
                let Some(got) = got.get(key) else {
                    return Err(format!("{path}.{key} is missing"));
                };
                exact(&format!("{path}.{key}"), value, got)?;
            }
            match got.keys().find(|key| !expected.contains_key(*key)) {
                Some(key) => Err(format!("{path}.{key} was not expected")),
                None => Ok(()),
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            if expected.len() != got.len() {
                let (expected, got) = (expected.len(), got.len());
                return Err(format!("{path}: expected {expected} elements, got {got}"));
            }
            for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                exact(&format!("{path}[{index}]"), expected, got)?;
            }
            Ok(())
        }
        // However a number is written.
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => Ok(()),
        _ if expected == got => Ok(()),
        _ => differ(path, expected, got),
    }
}

/// Whether a map's keys are values (addresses, nonces) rather than names of fields.
fn is_dictionary(map: &Map<String, Value>) -> bool {
    !map.is_empty()
        && map
            .keys()
            .all(|key| key.starts_with("0x") || key.bytes().all(|byte| byte.is_ascii_digit()))
}

fn shape(path: &str, expected: &Value, got: &Value) -> Result<(), String> {
    match (expected, got) {
        (Value::Null, _) => Ok(()),
        (Value::Bool(_), Value::Bool(_)) | (Value::Number(_), Value::Number(_)) => Ok(()),
        (Value::String(expected_text), Value::String(text)) => {
            if expected_text.starts_with("0x") && !text.starts_with("0x") {
                return differ(path, expected, got);
            }
            Ok(())
        }
        (Value::Array(expected), Value::Array(got)) => {
            let Some(first) = expected.first() else { return Ok(()) };
            for (index, each) in got.iter().enumerate() {
                let path = format!("{path}[{index}]");
                let fits_any = expected.iter().any(|expected| shape(&path, expected, each).is_ok());
                if !fits_any {
                    shape(&path, first, each)?;
                }
            }
            Ok(())
        }
        (Value::Object(expected), Value::Object(got)) if is_dictionary(expected) => {
            let Some(first) = expected.values().next() else { return Ok(()) };
            for (key, each) in got {
                let path = format!("{path}.{key}");
                let fits_any =
                    expected.values().any(|expected| shape(&path, expected, each).is_ok());
                if !fits_any {
                    shape(&path, first, each)?;
                }
            }
            Ok(())
        }
        (Value::Object(expected), Value::Object(got)) => {
            for (key, value) in expected {
                let Some(got) = got.get(key) else {
                    if value.is_null() || OPTIONAL_FIELDS.contains(&key.as_str()) {
                        continue;
                    }
                    return Err(format!("{path}.{key} is missing"));
                };
                shape(&format!("{path}.{key}"), value, got)?;
            }
            Ok(())
        }
        _ => differ(path, expected, got),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exact_answers_differ_in_nothing_but_order_and_message() {
        let expected = json!({"result": {"a": 1, "b": ["0x1", null]}});
        let same = json!({"id": 9, "result": {"b": ["0x1", null], "a": 1.0}});
        assert_eq!(compare(&expected, &same, Strictness::Exact), Ok(()));
        for (wrong, place) in [
            (json!({"result": {"a": 1, "b": ["0x2", null]}}), "result.b[0]"),
            (json!({"result": {"a": 1, "b": ["0x1"]}}), "result.b"),
            (json!({"result": {"a": 1}}), "result.b is missing"),
            (json!({"result": {"a": 1, "b": ["0x1", null], "c": 1}}), "result.c"),
            (json!({"error": {"code": 1}}), "unexpected error"),
            (json!({}), "no `result`"),
        ] {
            let difference = compare(&expected, &wrong, Strictness::Exact).unwrap_err();
            assert!(difference.contains(place), "{difference}");
        }
    }

    #[test]
    fn errors_agree_in_code_and_data() {
        let expected = json!({"error": {"code": 3, "message": "a", "data": "0x01"}});
        let check = |got: Value, strictness| compare(&expected, &got, strictness);
        let same = json!({"error": {"code": 3, "message": "b", "data": "0x01"}});
        assert_eq!(check(same, Strictness::Exact), Ok(()));
        let other_code = json!({"error": {"code": 4, "data": "0x01"}});
        assert!(check(other_code.clone(), Strictness::Exact).is_err());
        assert!(check(other_code, Strictness::Shape).is_ok());
        assert!(check(json!({"error": {"code": 3}}), Strictness::Exact).is_err());
        assert!(check(json!({"error": {}}), Strictness::Shape).is_err());
        assert!(check(json!({"result": 1}), Strictness::Shape).is_err());
    }

    #[test]
    fn shapes_have_the_same_fields_and_types() {
        let expected = json!({"result": {"a": "0x1", "map": {"0x12": [1]}, "n": null}});
        let check = |got: Value| compare(&expected, &json!({"result": got}), Strictness::Shape);
        assert_eq!(
            check(json!({"a": "0x", "map": {"0x99": [], "0x1": [2, 3]}, "n": 1, "x": 1})),
            Ok(())
        );
        assert!(check(json!({"a": "1", "map": {}, "n": 1})).is_err());
        assert!(check(json!({"a": 1, "map": {}, "n": 1})).is_err());
        assert!(check(json!({"map": {}, "n": 1})).is_err());
        assert!(check(json!({"a": "0x", "map": {"0x99": ["x"]}, "n": 1})).is_err());
    }
}
