//! Anthropic's messages.
//!
//! Reference: <https://platform.claude.com/docs/en/api/messages>.

mod answer;
mod citation;
mod encode;
mod error;
mod outline;
mod request;
mod stream;
mod stream_out;
mod unsigned;
mod usage;

pub(super) use answer::{encode_answer, parse_answer};
pub(super) use encode::encode_request;
pub(super) use error::encode_error;
pub(super) use outline::{outline, outline_of_count};
pub(super) use request::{each_message, parse_request};
pub(super) use stream::StreamDecoder;
pub(super) use stream_out::StreamEncoder;
pub(super) use unsigned::remove_unsigned;

/// The version of the API, which every request must name.
pub(super) const VERSION: &str = "2023-06-01";
