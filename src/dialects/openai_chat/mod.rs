//! OpenAI's chat completions, as OpenAI and the many compatible providers speak it.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/chat>. As a client's dialect we follow that page;
//! as a provider's we accept what the compatible ones do with it, each quirk with a fixture in
//! `tests/dialects/openai-chat/`.

mod answer;
mod citation;
mod encode;
mod error;
mod logprob;
mod message_edit;
mod outline;
mod request;
mod setting;
mod stream;
mod stream_out;
mod thought;
mod usage;

pub(super) use answer::{encode_answer, finish_word, parse_answer};
pub(super) use citation::{ReadAnnotation, WireCitation, flat};
pub(super) use encode::{FILE_NAME, encode_request, end_user, titled};
pub(super) use error::{WireError, encode_error};
pub(super) use logprob::{ReadLogprob, WireLogprob, wire_logprobs};
pub(super) use message_edit::{join_texts, shorten_ids};
pub(super) use outline::{
    Typed, note_file, note_format, note_setting, note_strict, note_temperature, note_tool_choice,
    note_top_p, outline,
};
pub(super) use request::{
    IMAGE_EXPECTED, NamedFunction, WireFile, WireFunction, WireSchema, cache_marker, document_of,
    each_message, image_of, parse_request,
};
pub(super) use setting::{effort, labels, read_setting};
pub(super) use stream::StreamDecoder;
pub(super) use stream_out::StreamEncoder;
pub(super) use usage::WireUsage;
