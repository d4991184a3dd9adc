//! Cohere's own chat API, version 2, which providers speak and no client does.
//!
//! Reference: <https://docs.cohere.com/v2/reference/chat> and, for its streams,
//! <https://docs.cohere.com/v2/docs/streaming>. Its safety modes have no counterpart in `chat`: a request cannot ask for
//! them.

mod answer;
mod encode;
mod source;
mod stream;

pub(super) use answer::parse_answer;
pub(super) use encode::encode_request;
pub(super) use stream::StreamDecoder;
