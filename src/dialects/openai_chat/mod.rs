//! OpenAI's chat completions, as OpenAI and the many compatible providers speak it.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/chat>. As a client's dialect we follow that page;
//! as a provider's we accept what the compatible ones do with it, each quirk with a fixture in
//! `tests/dialects/openai-chat/`.

mod answer;
mod encode;
mod error;
mod outline;
mod request;
mod stream;
mod stream_out;
mod usage;

pub(super) use answer::{encode_answer, finish_word, parse_answer};
pub(super) use encode::encode_request;
pub(super) use error::{WireError, encode_error};
pub(super) use outline::{
    Typed, note_file, note_format, note_setting, note_strict, note_temperature, note_tool_choice,
    outline,
};
pub(super) use request::{
    IMAGE_EXPECTED, NamedFunction, WireFunction, WireSchema, each_message, image_of, parse_request,
};
pub(super) use stream::StreamDecoder;
pub(super) use stream_out::StreamEncoder;
pub(super) use usage::WireUsage;
