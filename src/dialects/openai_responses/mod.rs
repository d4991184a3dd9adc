//! OpenAI's Responses API, as OpenAI and the providers that are compatible with it speak it.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/responses> and, for its streams,
//! <https://platform.openai.com/docs/api-reference/responses-streaming>. What the API keeps at OpenAI (former answers,
//! conversations, prompts) or runs there (its own tools) is for targets that speak it; the outline says so.

mod answer;
mod encode;
mod error;
mod outline;
mod request;
mod stream;
mod stream_out;
mod usage;
mod wire;

pub(super) use answer::{encode_answer, parse_answer};
pub(super) use encode::encode_request;
pub(super) use error::encode_error_event;
pub(super) use outline::outline;
pub(super) use request::{each_message, parse_request};
pub(super) use stream::StreamDecoder;
pub(super) use stream_out::StreamEncoder;
