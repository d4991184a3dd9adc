//! Reads JSON of others: a client's with the path of every mistake, a provider's with tolerance.
//!
//! A client's field is first the raw bytes, then what we expect of them, so that a mistake is named by its
//! path and never by its contents: serde's own messages quote the value, which may be a prompt. A provider's
//! field of the wrong type is as if it were absent ([`Loose`]).
//!
//! Not a `serde_json::Value`: it would copy every prompt, reorder keys and round large integers.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::chat::RequestError;
use crate::units::Tokens;

/// Fields of an object that is spliced, each of which is remembered. The providers' longest has some forty.
pub(super) const FIELDS_MAX: usize = 1_024;

/// Any JSON value, unread.
pub(super) type Raw<'a> = &'a RawValue;

/// A JSON string, borrowed unless it has escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

/// A provider's field: absent if it has another type than the one we use.
#[derive(Clone, Debug)]
pub(super) struct Loose<T>(pub Option<T>);

impl<T> Default for Loose<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).ok()))
    }
}

/// A JSON object. A derived `Deserialize` alone would also take an array for the fields in their order.
#[derive(Clone, Debug)]
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }
        deserializer
            .deserialize_map(ObjectVisitor(PhantomData))
            .map(Self)
    }
}

/// A text that holds JSON, written as the JSON it is. Whoever makes one has checked it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<'a>(pub &'a str);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// Whether a text holds one JSON object and nothing else.
pub(super) fn is_object(text: &str) -> bool {
    serde_json::from_str::<Object<serde::de::IgnoredAny>>(text).is_ok()
}

/// What kind of value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Text,
    Array,
    Object,
    Scalar,
}

pub(super) fn kind(raw: Raw) -> Kind {
    match raw.get().as_bytes().first() {
        Some(b'n') => Kind::Null,
        Some(b'"') => Kind::Text,
        Some(b'[') => Kind::Array,
        Some(b'{') => Kind::Object,
        _ => Kind::Scalar,
    }
}

pub(super) fn invalid(at: fmt::Arguments, expected: &str) -> RequestError {
    RequestError::Invalid {
        field: at.to_string(),
        expected: expected.to_owned(),
    }
}

pub(super) fn missing(at: fmt::Arguments, remedy: &'static str) -> RequestError {
    RequestError::Missing {
        field: at.to_string(),
        remedy,
    }
}

/// A value that serde reads whole, or a mistake at `at`.
pub(super) fn value<'a, T: Deserialize<'a>>(
    raw: Raw<'a>,
    at: fmt::Arguments,
    expected: &str,
) -> Result<T, RequestError> {
    serde_json::from_str(raw.get()).map_err(|_| invalid(at, expected))
}

pub(super) fn text<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Cow<'a, str>, RequestError> {
    value::<Text>(raw, at, "a string").map(|text| text.0)
}

pub(super) fn flag(raw: Raw, at: fmt::Arguments) -> Result<bool, RequestError> {
    value(raw, at, "true or false")
}

pub(super) fn number(raw: Raw, at: fmt::Arguments) -> Result<f64, RequestError> {
    value(raw, at, "a number")
}

/// A number within a range, ends included.
pub(super) fn number_within(
    raw: Raw,
    at: fmt::Arguments,
    (least, most): (f64, f64),
) -> Result<f64, RequestError> {
    let number = number(raw, at)?;
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(invalid(at, &format!("a number from {least} to {most}")))
}

pub(super) fn tokens(raw: Raw, at: fmt::Arguments) -> Result<Tokens, RequestError> {
    value(raw, at, "a whole number, 0 or more").map(Tokens)
}

/// An object whose fields serde reads.
pub(super) fn object<'a, T: Deserialize<'a>>(
    raw: Raw<'a>,
    at: fmt::Arguments,
    expected: &str,
) -> Result<T, RequestError> {
    value::<Object<T>>(raw, at, expected).map(|object| object.0)
}

/// A client's `messages`, where there are any.
pub(super) fn messages(body: &[u8]) -> Result<Option<Raw<'_>>, RequestError> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        messages: Option<Raw<'a>>,
    }
    let body: Object<Body> = serde_json::from_str(utf8(body)?).map_err(|error| not_json(&error))?;
    Ok(body.0.messages)
}

/// Calls `visit` with each element of an array, keeping none of them.
pub(super) fn each<'a>(
    raw: Raw<'a>,
    at: fmt::Arguments,
    visit: &mut dyn FnMut(usize, Raw<'a>) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    struct Each<'v, 'a> {
        visit: &'v mut dyn FnMut(usize, Raw<'a>) -> Result<(), RequestError>,
        failure: &'v mut Option<RequestError>,
    }
    impl<'a> Visitor<'a> for Each<'_, 'a> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
            let mut index = 0;
            while let Some(raw) = elements.next_element::<Raw<'a>>()? {
                if let Err(failure) = (self.visit)(index, raw) {
                    *self.failure = Some(failure);
                    return Err(A::Error::custom("stopped"));
                }
                index += 1;
            }
            Ok(())
        }
    }
    let mut failure = None;
    let outcome = serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Each {
        visit,
        failure: &mut failure,
    });
    match (failure, outcome) {
        (Some(failure), _) => Err(failure),
        (None, Err(_)) => Err(invalid(at, "an array")),
        (None, Ok(())) => Ok(()),
    }
}

/// Calls `visit` with each field of an object, keeping none of them.
pub(super) fn each_field<'a>(
    raw: Raw<'a>,
    visit: &mut dyn FnMut(&str, Raw<'a>),
) -> Result<(), serde_json::Error> {
    struct EachField<'v, 'a>(&'v mut dyn FnMut(&str, Raw<'a>));
    impl<'a> Visitor<'a> for EachField<'_, 'a> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<(), A::Error> {
            while let Some((Text(name), value)) = fields.next_entry::<Text<'a>, Raw<'a>>()? {
                (self.0)(&name, value);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(raw.get()).deserialize_map(EachField(visit))
}

/// The fields of a provider's object that are called so; one that is not there, or null, is absent.
///
/// Not a derived `Deserialize` for what is rare: each is some kilobytes of wasm.
pub(super) fn fields<'a, const N: usize>(
    raw: Option<Raw<'a>>,
    names: [&str; N],
) -> [Option<Raw<'a>>; N] {
    let mut found = [None; N];
    if let Some(raw) = raw {
        // What is no object has no fields.
        pick(raw, &names, |key, name| key == name, &mut found);
    }
    found
}

/// Finds the fields whose key is, as `is_name` says, one of the names; what is null is absent. Returns whether it is an
/// object in which none of them comes twice.
pub(super) fn pick<'a>(
    raw: Raw<'a>,
    names: &[&str],
    is_name: fn(&str, &str) -> bool,
    found: &mut [Option<Raw<'a>>],
) -> bool {
    let mut is_once = true;
    let read = each_field(raw, &mut |key, value| {
        let mut places = names.iter().zip(&mut *found);
        if let Some((_, place)) = places.find(|(name, _)| is_name(key, name)) {
            is_once &= place.is_none();
            *place = Some(value);
        }
    });
    for place in found {
        *place = place.filter(|value| kind(value) != Kind::Null);
    }
    read.is_ok() && is_once
}

/// Calls `visit` with each element of a provider's array; what is none has none.
pub(super) fn each_of<'a>(raw: Option<Raw<'a>>, visit: &mut dyn FnMut(Raw<'a>)) {
    if let Some(raw) = raw {
        let _ = each(raw, format_args!(""), &mut |_, raw| {
            visit(raw);
            Ok(())
        });
    }
}

/// A provider's string; none where it is none.
pub(super) fn owned(raw: Option<Raw>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// A provider's whole number; none where it is none.
pub(super) fn natural(raw: Option<Raw>) -> Option<u32> {
    serde_json::from_str(raw?.get()).ok()
}

/// What stands between the quotes of a JSON string; nothing, where it is none.
pub(super) fn inside(raw: Raw<'_>) -> &[u8] {
    let bytes = raw.get().as_bytes();
    bytes
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or_default()
}

/// What a client's body that does not parse is told. `error` holds no content in its syntax messages.
pub(super) fn not_json(error: &serde_json::Error) -> RequestError {
    let words = error.to_string();
    let reason = words.split(" at line ").next().unwrap_or_default();
    RequestError::NotJson {
        reason: reason.to_owned(),
        line: error.line(),
        column: error.column(),
    }
}

/// A client's body as text.
pub(super) fn utf8(body: &[u8]) -> Result<&str, RequestError> {
    std::str::from_utf8(body).map_err(|error| {
        let good = body.get(..error.valid_up_to()).unwrap_or_default();
        let mut lines = good.split(|byte| *byte == b'\n');
        RequestError::NotJson {
            reason: "not UTF-8".to_owned(),
            line: lines.clone().count(),
            column: lines.next_back().map_or(0, <[u8]>::len) + 1,
        }
    })
}

/// Reads a field that may be absent.
pub(super) fn optional<'a, T>(
    raw: Option<Raw<'a>>,
    at: fmt::Arguments,
    read: fn(Raw<'a>, fmt::Arguments) -> Result<T, RequestError>,
) -> Result<Option<T>, RequestError> {
    raw.map(|raw| read(raw, at)).transpose()
}
