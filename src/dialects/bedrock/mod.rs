//! Converse and `ConverseStream` of Amazon Bedrock's runtime, which providers speak and no client does.
//!
//! Reference: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html> and
//! `API_runtime_ConverseStream.html` beside it. One format for all of Bedrock's models: what only one of them knows would
//! go into `additionalModelRequestFields`, and is not sent. The model stands in the path, and streams are
//! binary (`eventstream.rs`).
//!
//! Not here: AWS's signature (`providers/sigv4.rs`).

mod answer;
mod citation;
mod encode;
mod part;
mod path;
mod stream;

pub(super) use answer::parse_answer;
pub(super) use encode::encode_request;
pub(super) use path::path;
pub(super) use stream::StreamDecoder;
