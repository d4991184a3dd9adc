//! Writes a stream of Gemini's chunks.
//!
//! Words go out as they come. A call is one part here, and others tell its arguments in pieces, woven with those of other
//! calls, so all calls go out whole with the last chunk, which also has the reason to finish, the usage and all sources.
//! Probabilities come behind the words that they are of, in a chunk of their own.

use super::super::stream::Stage;
use super::answer::{WireCandidate, WireChunk, WireContent, WirePart, finish_reason};
use super::citation::Sources;
use super::logprob::{WireLogprobs, logprobs};
use super::usage::WireUsage;
use crate::chat::{Event, FinishReason, ToolCall, Usage};
use crate::sse::write_event;

#[derive(Debug, Default)]
pub(in super::super) struct StreamEncoder {
    id: String,
    model: String,
    usage: Usage,
    finish: Option<FinishReason>,
    calls: Vec<ToolCall>,
    sources: Sources,
    /// The stream's index of each call, sorted, and its place.
    places: Vec<(u32, usize)>,
    stage: Stage,
}

/// Google's SDK drops a chat's turn in which a chunk has no part.
const NOTHING: WirePart = WirePart::Text { text: "" };

impl StreamEncoder {
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
                if self.stage.reach(Stage::Started) {
                    if !id.is_empty() {
                        self.id.clone_from(id);
                    }
                    self.model.clone_from(model);
                }
            }
            Event::Text(piece) | Event::Refusal(piece) if !piece.is_empty() => {
                self.sources.hear(piece);
                self.write(vec![WirePart::Text { text: piece }], None, false, out);
            }
            Event::Reasoning(piece) if !piece.is_empty() => {
                self.write(vec![WirePart::thought(piece)], None, false, out);
            }
            Event::Text(_) | Event::Refusal(_) | Event::Reasoning(_) => {}
            Event::Citation(citation) => self.sources.keep(citation),
            Event::Logprobs(tokens) => self.write(vec![NOTHING], logprobs(tokens), false, out),
            Event::Seal(seal) => {
                if let Some(part) = WirePart::sealed("", seal) {
                    self.write(vec![part], None, false, out);
                }
            }
            Event::CallSignature { index, signature } => {
                if let Some(call) = self.known(*index) {
                    call.signature = Some(signature.clone());
                }
            }
            Event::CallStart { index, id, name } => self.call(*index, id, name),
            Event::CallArguments { index, piece } => {
                if let Some(call) = self.known(*index) {
                    call.arguments.push_str(piece);
                }
            }
            Event::Finish(reason) => {
                self.finish.get_or_insert(*reason);
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::End => {
                let mut parts: Vec<_> = self.calls.iter().map(WirePart::call).collect();
                if parts.is_empty() {
                    parts.push(NOTHING);
                }
                self.write(parts, None, true, out);
                self.stage = Stage::Ended;
            }
        }
    }

    /// Where the call is among the calls, or would be.
    fn find(&self, index: u32) -> Result<usize, usize> {
        self.places.binary_search_by_key(&index, |call| call.0)
    }

    fn known(&mut self, index: u32) -> Option<&mut ToolCall> {
        let found = self.find(index).ok()?;
        let (_, place) = self.places.get(found)?;
        self.calls.get_mut(*place)
    }

    fn call(&mut self, index: u32, id: &str, name: &str) {
        let place = self.calls.len();
        self.calls.push(ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: String::new(),
            signature: None,
        });
        match self.find(index) {
            Ok(old) => {
                if let Some(known) = self.places.get_mut(old) {
                    known.1 = place;
                }
            }
            Err(new) => self.places.insert(new, (index, place)),
        }
    }

    fn write(
        &self,
        parts: Vec<WirePart>,
        logprobs_result: Option<WireLogprobs>,
        is_last: bool,
        out: &mut Vec<u8>,
    ) {
        let finish = self.finish.unwrap_or(FinishReason::Stop);
        let chunk = WireChunk {
            candidates: [WireCandidate {
                content: WireContent {
                    parts,
                    role: "model",
                },
                finish_reason: is_last.then_some(finish_reason(finish)),
                logprobs_result,
                grounding_metadata: is_last.then(|| self.sources.write()).flatten(),
                index: 0,
            }],
            usage_metadata: is_last.then(|| WireUsage::from(self.usage)),
            model_version: &self.model,
            response_id: &self.id,
        };
        if let Ok(data) = serde_json::to_vec(&chunk) {
            write_event(out, None, &data);
        }
    }
}
