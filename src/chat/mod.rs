//! Our own words for a conversation: a request, an answer, a stream event, a failure.
//!
//! Every dialect translates to and from these, so that N formats need N translators, not N². Nothing in here
//! is any provider's format. A request borrows from the bytes it was read from, because prompts are large and
//! most of them are passed on unchanged; an answer's pieces are owned, because they are small and travel.
//!
//! Raw JSON (tool schemas, arguments) stays the bytes it was: reading it into a tree would reorder keys, which
//! loses providers' prompt caches, and round integers beyond 2^53.
//!
//! Not here: any wire format (`dialects/`), and the facts a route may ask about (`classify/`).

mod answer;
mod collect;
mod event;
mod failure;
mod reasoning;
mod request;

pub use answer::{
    Alternative, Answer, Citation, DocumentPlace, FinishReason, PlaceUnit, TokenLogprob, ToolCall,
    Usage, char_count,
};
pub use collect::Collector;
pub use event::Event;
pub use failure::{AttemptFailure, Phase, ProviderError, RequestError};
pub use reasoning::{Effort, Reasoning, Seal, SealForm, Signer};
pub use request::{
    AssistantMessage, Audio, CacheMarker, Document, DocumentSource, Format, Image, Message, Part,
    Request, RequestedCall, Tool, ToolChoice, ToolResult,
};
