//! Gemini's `generateContent` and `streamGenerateContent`, as Google's AI Studio and Vertex AI speak them.
//!
//! Reference: <https://ai.google.dev/api/generate-content>,
//! <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference> and the types of Google's own
//! SDKs. What Google keeps or runs there (cached contents, files, its own tools) is for targets that speak it; the
//! outline says so.
//!
//! A call names its model, and says whether it streams, in the URL alone. `address.rs` writes both into the body, as
//! `model` and `stream`, where the other dialects have them; nothing behind it knows the difference, and no provider
//! gets to see them.
//!
//! Google's JSON parser takes every field in camel and in snake case. So do we, and neither may come beside the other.

mod address;
mod answer;
mod citation;
mod encode;
mod error;
mod generation;
mod generation_out;
mod logprob;
mod media;
mod outline;
mod part_out;
mod request;
mod schema;
mod stream;
mod stream_out;
mod usage;
mod wire;

pub use address::GeminiAddress;

pub(super) use address::path;
pub(super) use answer::{encode_answer, parse_answer};
pub(super) use encode::encode_request;
pub(super) use error::encode_error;
pub(super) use outline::outline;
pub(super) use request::{each_message, parse_request};
pub(super) use schema::with_json_schemas;
pub(super) use stream::StreamDecoder;
pub(super) use stream_out::StreamEncoder;
