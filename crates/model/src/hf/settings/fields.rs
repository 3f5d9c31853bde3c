//! Typed access to a JSON object; `null` counts as missing.

use serde_json::{Map, Value};

use crate::config::bad;
use crate::error::ModelError;

/// The fields of a JSON object.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// Whether the field is there and not `null`.
    pub(super) fn has(self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether the field is there and `null`.
    pub(super) fn is_null(self, key: &str) -> bool {
        self.0.get(key).is_some_and(Value::is_null)
    }

    fn typed<T>(self, key: &str, kind: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, ModelError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| bad(key, format!("this is not {kind}"))),
        }
    }

    pub(super) fn u32(self, key: &str) -> Result<Option<u32>, ModelError> {
        self.typed(key, "a whole number below 2^32", |value| value.as_u64()?.try_into().ok())
    }

    pub(super) fn usize(self, key: &str) -> Result<Option<usize>, ModelError> {
        Ok(self.u32(key)?.map(|value| value as usize))
    }

    pub(super) fn f32(self, key: &str) -> Result<Option<f32>, ModelError> {
        self.typed(key, "a number", |value| value.as_f64().map(|value| value as f32))
    }

    pub(super) fn bool(self, key: &str) -> Result<Option<bool>, ModelError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub(super) fn str(self, key: &str) -> Result<Option<&'a str>, ModelError> {
        self.typed(key, "a string", Value::as_str)
    }

    pub(super) fn list(self, key: &str) -> Result<Option<&'a [Value]>, ModelError> {
        self.typed(key, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    pub(super) fn object(self, key: &str) -> Result<Option<Self>, ModelError> {
        self.typed(key, "an object", |value| value.as_object().map(Self))
    }

    /// One token id, or a list of at most 1024.
    pub(super) fn ids(self, key: &str) -> Result<Vec<u32>, ModelError> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let read = |value: &Value| match value {
            Value::Array(ids) if ids.len() <= 1024 => ids.iter().map(id).collect(),
            Value::Array(_) => None,
            single => Some(vec![id(single)?]),
        };
        Ok(self.typed(key, "a token id or a list of them", read)?.unwrap_or_default())
    }

    pub(super) fn require_u32(self, key: &str) -> Result<u32, ModelError> {
        self.u32(key)?.ok_or_else(|| missing(key))
    }

    pub(super) fn require_usize(self, key: &str) -> Result<usize, ModelError> {
        self.usize(key)?.ok_or_else(|| missing(key))
    }

    pub(super) fn require_str(self, key: &str) -> Result<&'a str, ModelError> {
        self.str(key)?.ok_or_else(|| missing(key))
    }

    /// A positive number that must be there.
    pub(super) fn require_f32(self, key: &str) -> Result<f32, ModelError> {
        self.f32(key)?.ok_or_else(|| missing(key))
    }
}

fn missing(key: &str) -> ModelError {
    ModelError::MissingSetting { key: key.into() }
}
