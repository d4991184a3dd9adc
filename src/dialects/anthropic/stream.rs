//! Reads a stream of message events.
//!
//! Reference: <https://platform.claude.com/docs/en/build-with-claude/streaming>. It asks that unknown events be
//! ignored. The type is read from the data, because compatible servers leave `event:` out. A call without
//! arguments sends no piece of input; it means an empty object, which the whole answer spells out.

use serde::Deserialize;

use super::super::StreamFault;
use super::super::fault;
use super::super::read::{Loose, Object, Raw};
use super::super::stream::Stage;
use super::answer::{ReadBlock, finish};
use super::citation::ReadCitation;
use super::usage::{Count, ReadUsage};
use crate::chat::{Event, Seal, SealForm, Signer, char_count};
use crate::sse;

#[derive(Debug, Default)]
pub(in super::super) struct StreamDecoder {
    count: Count,
    calls: Vec<OpenCall>,
    /// Characters of text so far, and where the open block begins among them.
    chars: u32,
    block_start: u32,
    /// Of the open block; told when its end is known.
    cited: Vec<ReadCitation>,
    stage: Stage,
}

#[derive(Debug)]
struct OpenCall {
    /// The block's number among all blocks; the call's own is its place in the list.
    block: u64,
    has_input: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(rename = "type")]
    kind: Loose<String>,
    index: Loose<u64>,
    message: Loose<Start>,
    #[serde(borrow)]
    content_block: Loose<ReadBlock<'a>>,
    delta: Loose<Delta>,
    usage: Loose<ReadUsage>,
    #[serde(borrow)]
    error: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Start {
    id: Loose<String>,
    model: Loose<String>,
    usage: Loose<ReadUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    text: Loose<String>,
    thinking: Loose<String>,
    partial_json: Loose<String>,
    signature: Loose<String>,
    citation: Loose<ReadCitation>,
    stop_reason: Loose<String>,
}

impl StreamDecoder {
    /// Apart from the other dialects', because workerd compiles a function when it is first called.
    #[inline(never)]
    pub(in super::super) fn push(
        &mut self,
        event: &sse::Event,
        out: &mut Vec<Event>,
    ) -> Result<(), StreamFault> {
        if self.stage == Stage::Ended {
            return Ok(());
        }
        if event.name == "error" {
            return Err(failed(&event.data));
        }
        let data: Object<Data> =
            serde_json::from_str(event.data.trim()).map_err(|_| StreamFault::Garbled)?;
        let data = data.0;
        let kind = data.kind.0.as_deref().unwrap_or(&event.name);
        match kind {
            "error" => return Err(failed(&event.data)),
            "message_start" => self.start(data.message.0.unwrap_or_default(), out),
            "content_block_start" => {
                self.open_block(data.index.0, data.content_block.0.unwrap_or_default(), out);
            }
            "content_block_delta" => {
                self.delta(data.index.0, data.delta.0.unwrap_or_default(), out);
            }
            "content_block_stop" => self.close_block(data.index.0, out),
            "message_delta" => {
                let delta = data.delta.0.unwrap_or_default();
                self.finish(delta.stop_reason.0, data.usage.0, out);
            }
            "message_stop" => {
                self.stage = Stage::Ended;
                out.push(Event::End);
            }
            _ if data.error.is_some_and(fault::is_error) => return Err(failed(&event.data)),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, start: Start, out: &mut Vec<Event>) {
        if !self.stage.reach(Stage::Started) {
            return;
        }
        out.push(Event::Start {
            id: start.id.0.unwrap_or_default(),
            model: start.model.0.unwrap_or_default(),
        });
        self.usage(start.usage.0, out);
    }

    /// Totals so far.
    fn usage(&mut self, usage: Option<ReadUsage>, out: &mut Vec<Event>) {
        if let Some(usage) = usage {
            self.count.update(usage);
            out.extend(self.count.usage().map(Event::Usage));
        }
    }

    fn open_block(&mut self, block: Option<u64>, content: ReadBlock, out: &mut Vec<Event>) {
        self.start(Start::default(), out);
        match content.kind.0.as_deref() {
            Some("text") => {
                self.block_start = self.chars;
                self.text(content.text.0, out);
                let cited = content.citations.0.unwrap_or_default().into_iter();
                self.cited.extend(cited.filter_map(|cited| cited.0));
            }
            Some("thinking") => {
                push_reasoning(content.thinking.0, out);
                out.extend(
                    Seal::of(Signer::Anthropic, SealForm::Signature, content.signature.0)
                        .map(Event::Seal),
                );
            }
            Some("redacted_thinking") => {
                out.extend(
                    Seal::of(Signer::Anthropic, SealForm::Encrypted, content.data.0)
                        .map(Event::Seal),
                );
            }
            Some("tool_use") => {
                let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
                out.push(Event::CallStart {
                    index,
                    id: content.id.0.unwrap_or_default(),
                    name: content.name.0.unwrap_or_default(),
                });
                // Compatible servers may send the whole input at once.
                let input = content.input.map(serde_json::value::RawValue::get);
                let piece = input.filter(|input| !is_blank_object(input));
                self.calls.push(OpenCall {
                    block: block.unwrap_or_default(),
                    has_input: piece.is_some(),
                });
                out.extend(piece.map(|piece| Event::CallArguments {
                    index,
                    piece: piece.to_owned(),
                }));
            }
            _ => {}
        }
    }

    fn delta(&mut self, block: Option<u64>, delta: Delta, out: &mut Vec<Event>) {
        self.start(Start::default(), out);
        self.text(delta.text.0, out);
        push_reasoning(delta.thinking.0, out);
        out.extend(
            Seal::of(Signer::Anthropic, SealForm::Signature, delta.signature.0).map(Event::Seal),
        );
        self.cited.extend(delta.citation.0);
        let piece = delta.partial_json.0.filter(|piece| !piece.is_empty());
        if let Some(piece) = piece
            && let Some((index, call)) = self.call(block)
        {
            call.has_input = true;
            out.push(Event::CallArguments { index, piece });
        }
    }

    fn text(&mut self, piece: Option<String>, out: &mut Vec<Event>) {
        if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
            self.chars = self.chars.saturating_add(char_count(&piece));
            out.push(Event::Text(piece));
        }
    }

    fn tell_citations(&mut self, out: &mut Vec<Event>) {
        let span = (self.block_start, self.chars);
        let cited = self.cited.drain(..);
        let told = cited.filter_map(|cited| cited.citation(span));
        out.extend(told.map(Event::Citation));
    }

    fn close_block(&mut self, block: Option<u64>, out: &mut Vec<Event>) {
        self.tell_citations(out);
        if let Some((index, call)) = self.call(block)
            && !std::mem::replace(&mut call.has_input, true)
        {
            out.push(Event::CallArguments {
                index,
                piece: "{}".to_owned(),
            });
        }
    }

    /// The call in a block. Deltas without an index belong to the last one.
    fn call(&mut self, block: Option<u64>) -> Option<(u32, &mut OpenCall)> {
        let place = match block {
            Some(block) => self.calls.iter().rposition(|call| call.block == block)?,
            None => self.calls.len().checked_sub(1)?,
        };
        let index = u32::try_from(place).unwrap_or(u32::MAX);
        Some((index, self.calls.get_mut(place)?))
    }

    fn finish(&mut self, reason: Option<String>, usage: Option<ReadUsage>, out: &mut Vec<Event>) {
        self.start(Start::default(), out);
        self.tell_citations(out);
        if let Some(reason) = reason
            && self.stage.reach(Stage::Finished)
        {
            out.push(Event::Finish(finish(&reason)));
        }
        self.usage(usage, out);
    }
}

fn push_reasoning(piece: Option<String>, out: &mut Vec<Event>) {
    out.extend(
        piece
            .filter(|piece| !piece.is_empty())
            .map(Event::Reasoning),
    );
}

fn is_blank_object(json: &str) -> bool {
    json.chars().filter(|c| !c.is_whitespace()).eq("{}".chars())
}

fn failed(data: &str) -> StreamFault {
    let (failure, told) = fault::inside_event(data);
    StreamFault::Failed(failure, told)
}
