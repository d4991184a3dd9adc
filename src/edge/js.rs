//! The few words of JavaScript that the edge speaks: get a property, call a method, await a promise.
//!
//! Bindings are called through these and not through the `worker` crate's wrappers where those serialise a value
//! field by field, or have no such call (KV's bulk get).

use js_sys::futures::JsFuture;
use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

/// JavaScript threw. What it threw is dropped: its text may hold anything, a secret among it.
#[derive(Debug)]
pub struct Thrown;

impl From<JsValue> for Thrown {
    fn from(_: JsValue) -> Self {
        Self
    }
}

pub fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

pub fn get_text(object: &JsValue, name: &str) -> Option<String> {
    get(object, name).as_string()
}

/// Calls a method and awaits what it returns.
pub async fn call(
    object: &JsValue,
    method: &str,
    arguments: &[JsValue],
) -> Result<JsValue, Thrown> {
    let promise = call_now(object, method, arguments)?;
    Ok(JsFuture::from(Promise::resolve(&promise)).await?)
}

/// Calls a method and gives what it returns.
pub fn call_now(object: &JsValue, method: &str, arguments: &[JsValue]) -> Result<JsValue, Thrown> {
    let function: Function = get(object, method).dyn_into().map_err(|_| Thrown)?;
    let arguments: Array = arguments.iter().collect();
    Ok(Reflect::apply(&function, object, &arguments)?)
}

/// An object with these fields.
pub fn object(fields: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in fields {
        // Setting a field of a new plain object cannot fail.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object
}

/// Makes an instance of a class of the runtime.
pub fn construct(class: &str, arguments: &[JsValue]) -> Result<JsValue, Thrown> {
    let class: Function = get(&js_sys::global(), class)
        .dyn_into()
        .map_err(|_| Thrown)?;
    let arguments: Array = arguments.iter().collect();
    Ok(Reflect::construct(&class, &arguments)?)
}

/// The bytes of an `ArrayBuffer` that is promised.
pub async fn bytes(promise: Promise) -> Result<Vec<u8>, Thrown> {
    Ok(Uint8Array::new(&JsFuture::from(promise).await?).to_vec())
}

/// Whether a text can be a header's value as it is.
pub fn is_header_value(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A value as JavaScript has it, by way of JSON: one crossing, however many fields there are.
pub fn parse(value: &impl serde::Serialize) -> Result<JsValue, Thrown> {
    let text = serde_json::to_string(value).map_err(|_| Thrown)?;
    Ok(js_sys::JSON::parse(&text)?)
}

/// Headers as an object. The runtime reads a list of pairs through two iterators a pair, which costs several times as much.
/// Of a name that comes twice the last counts.
pub fn header_object<'a, S: serde::Serializer>(
    headers: &'a [(impl AsRef<str> + 'a, impl AsRef<str> + 'a)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_ref()));
    serializer.collect_map(pairs)
}
