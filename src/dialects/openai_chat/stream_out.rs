//! Writes a stream of chat completion chunks, as OpenAI's own looks.
//!
//! The first chunk has the role and an empty content, then come the pieces, one chunk with the reason to finish,
//! if asked for one without choices for the usage, and `[DONE]`. An [`Event::End`] without a reason counts as
//! `stop`: the provider did say that it was done.

use serde::Serialize;

use super::super::stream::Stage;
use super::answer::{WireLogprobs, finish_word, logprobs};
use super::citation::{WireAnnotation, annotation};
use super::thought::{WireDetail, WireExtraContent, details};
use super::usage::WireUsage;
use crate::chat::{Citation, Event, FinishReason, Seal, Usage};
use crate::sse::write_event;
use crate::units::UnixMillis;

#[derive(Debug)]
pub(in super::super) struct StreamEncoder {
    created: UnixMillis,
    include_usage: bool,
    id: String,
    model: String,
    usage: Option<Usage>,
    has_calls: bool,
    /// What was thought since the last seal.
    unsealed: String,
    /// How many seals were told.
    seals: usize,
    stage: Stage,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: Option<WireLogprobs<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<WireDetail<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<[WireAnnotation<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[Call<'a>; 1]>,
}

#[derive(Serialize)]
struct Call<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<WireExtraContent<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl StreamEncoder {
    pub(in super::super) fn new(created: UnixMillis, include_usage: bool) -> Self {
        Self {
            created,
            include_usage,
            id: String::new(),
            model: String::new(),
            usage: None,
            has_calls: false,
            unsealed: String::new(),
            seals: 0,
            stage: Stage::Waiting,
        }
    }

    /// The answer's id, until its provider names one.
    pub(in super::super) fn name(&mut self, id: String) {
        self.id = id;
    }

    pub(in super::super) fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.stage == Stage::Ended {
            return;
        }
        match event {
            Event::Start { id, model } => {
                if self.stage == Stage::Waiting {
                    if !id.is_empty() {
                        self.id.clone_from(id);
                    }
                    self.model.clone_from(model);
                    self.start(out);
                }
            }
            Event::Text(piece) if piece.is_empty() => {}
            Event::Reasoning(piece) if piece.is_empty() => {}
            Event::Text(piece) => self.delta(
                Delta {
                    content: Some(piece),
                    ..Delta::default()
                },
                out,
            ),
            Event::Reasoning(piece) => {
                self.unsealed.push_str(piece);
                self.delta(
                    Delta {
                        reasoning_content: Some(piece),
                        ..Delta::default()
                    },
                    out,
                );
            }
            Event::Seal(seal) => self.seal(seal, out),
            Event::Refusal(piece) if piece.is_empty() => {}
            Event::Refusal(piece) => self.delta(
                Delta {
                    refusal: Some(piece),
                    ..Delta::default()
                },
                out,
            ),
            Event::Citation(citation) => self.citation(citation, out),
            Event::Logprobs(tokens) => {
                self.start(out);
                self.choice(Delta::default(), None, logprobs(tokens), out);
            }
            Event::CallSignature { index, signature } => self.call_delta(
                Call {
                    index: *index,
                    id: None,
                    kind: None,
                    // OpenAI's SDK for Python demands one in every piece of a call.
                    function: Function {
                        name: None,
                        arguments: "",
                    },
                    extra_content: Some(WireExtraContent::new(signature)),
                },
                out,
            ),
            Event::CallStart { index, id, name } => {
                self.has_calls = true;
                self.call(*index, Some((id, name)), "", out);
            }
            Event::CallArguments { index, piece } => self.call(*index, None, piece, out),
            Event::Finish(reason) => self.finish(*reason, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => self.end(out),
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if self.stage.reach(Stage::Started) {
            let first = Delta {
                role: Some("assistant"),
                content: Some(""),
                ..Delta::default()
            };
            self.choice(first, None, None, out);
        }
    }

    fn call(
        &mut self,
        index: u32,
        opened: Option<(&String, &String)>,
        arguments: &str,
        out: &mut Vec<u8>,
    ) {
        let call = Call {
            index,
            id: opened.map(|(id, _)| id.as_str()),
            kind: opened.map(|_| "function"),
            function: Function {
                name: opened.map(|(_, name)| name.as_str()),
                arguments,
            },
            extra_content: None,
        };
        self.call_delta(call, out);
    }

    fn call_delta(&mut self, call: Call, out: &mut Vec<u8>) {
        self.delta(
            Delta {
                tool_calls: Some([call]),
                ..Delta::default()
            },
            out,
        );
    }

    fn citation(&mut self, citation: &Citation, out: &mut Vec<u8>) {
        let annotations = annotation(citation).map(|told| [told]);
        if annotations.is_some() {
            let delta = Delta {
                annotations,
                ..Delta::default()
            };
            self.delta(delta, out);
        }
    }

    /// Its text has been told in pieces; what the client gives back is the whole.
    fn seal(&mut self, seal: &Seal, out: &mut Vec<u8>) {
        let text = std::mem::take(&mut self.unsealed);
        let index = self.seals;
        self.seals += 1;
        self.delta(
            Delta {
                reasoning_details: details(&text, seal, index).collect(),
                ..Delta::default()
            },
            out,
        );
    }

    fn delta(&mut self, delta: Delta, out: &mut Vec<u8>) {
        self.start(out);
        self.choice(delta, None, None, out);
    }

    fn finish(&mut self, reason: FinishReason, out: &mut Vec<u8>) {
        self.start(out);
        if self.stage.reach(Stage::Finished) {
            self.choice(Delta::default(), Some(finish_word(reason)), None, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.finish(
            if self.has_calls {
                FinishReason::ToolCalls
            } else {
                FinishReason::Stop
            },
            out,
        );
        if let Some(usage) = self.usage.filter(|_| self.include_usage) {
            self.chunk(&[], Some(usage.into()), out);
        }
        self.stage = Stage::Ended;
        write_event(out, None, b"[DONE]");
    }

    fn choice(
        &self,
        delta: Delta,
        finish_reason: Option<&'static str>,
        logprobs: Option<WireLogprobs>,
        out: &mut Vec<u8>,
    ) {
        let choice = Choice {
            index: 0,
            delta,
            logprobs,
            finish_reason,
        };
        self.chunk(&[choice], None, out);
    }

    fn chunk(&self, choices: &[Choice], usage: Option<WireUsage>, out: &mut Vec<u8>) {
        let chunk = Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created.seconds(),
            model: &self.model,
            choices,
            usage,
        };
        if let Ok(data) = serde_json::to_vec(&chunk) {
            write_event(out, None, &data);
        }
    }
}
