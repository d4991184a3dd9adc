//! Writes a stream of Gemini's chunks.
//!
//! Words go out as they come. A call is one part here, and others tell its arguments in pieces, woven with those of other
//! calls, so all calls go out whole with the last chunk, which also has the reason to finish and the usage.

use super::super::stream::Stage;
use super::answer::{WireCandidate, WireChunk, WireContent, WirePart, finish_reason};
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
    /// The stream's index of each call, sorted, and its place.
    places: Vec<(u32, usize)>,
    stage: Stage,
}

impl StreamEncoder {
    pub(in super::super) fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.stage == Stage::Ended {
            return;
        }
        match event {
            Event::Start { id, model } => {
                if self.stage.reach(Stage::Started) {
                    self.id.clone_from(id);
                    self.model.clone_from(model);
                }
            }
            Event::Text(piece) | Event::Refusal(piece) if !piece.is_empty() => {
                self.write(vec![WirePart::Text { text: piece }], false, out);
            }
            Event::Reasoning(piece) if !piece.is_empty() => {
                self.write(vec![WirePart::thought(piece)], false, out);
            }
            Event::Text(_)
            | Event::Refusal(_)
            | Event::Reasoning(_)
            | Event::Citation(_)
            | Event::Logprobs(_) => {}
            Event::Seal(seal) => {
                if let Some(part) = WirePart::sealed("", seal) {
                    self.write(vec![part], false, out);
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
                    // Google's SDK drops a chat's turn in which a chunk has no part.
                    parts.push(WirePart::Text { text: "" });
                }
                self.write(parts, true, out);
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

    fn write(&self, parts: Vec<WirePart>, is_last: bool, out: &mut Vec<u8>) {
        let finish = self.finish.unwrap_or(FinishReason::Stop);
        let chunk = WireChunk {
            candidates: [WireCandidate {
                content: WireContent {
                    parts,
                    role: "model",
                },
                finish_reason: is_last.then_some(finish_reason(finish)),
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
