//! Reads a stream of `ConverseStream`, whose events are named by their messages' headers.
//!
//! There is no end marker but the last event, `metadata`, which counts the answer. Pieces carry a field `p` of random
//! length, which hides how long they are from whoever sees the encrypted bytes; it is ignored, as is whatever else is not
//! read here. An exception ends the stream.

use serde::Deserialize;

use super::super::StreamFault;
use super::super::fault;
use super::super::read::{Loose, Object};
use super::super::stream::Stage;
use super::answer::{ReadToolUse, ReadUsage, finish};
use super::citation::ReadCitation;
use crate::chat::{AttemptFailure, Event, ProviderError, Seal, SealForm, Signer, char_count};
use crate::{eventstream, sse};

#[derive(Debug, Default)]
pub(in super::super) struct StreamDecoder {
    calls: Vec<OpenCall>,
    stage: Stage,
    /// Of the answer's text so far.
    chars: u32,
    /// Where the text of the block that is open begins.
    block_start: u32,
    /// What that block cites; told at its end, when it is known how far it goes.
    cited: Vec<ReadCitation>,
}

#[derive(Debug)]
struct OpenCall {
    /// The block's number among all blocks; the call's own is its place in the list.
    block: u64,
    has_input: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Data<'a> {
    content_block_index: Loose<u64>,
    #[serde(borrow)]
    start: Loose<Start<'a>>,
    delta: Loose<Delta>,
    stop_reason: Loose<String>,
    usage: Loose<ReadUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Start<'a> {
    #[serde(borrow)]
    tool_use: Loose<ReadToolUse<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Delta {
    text: Loose<String>,
    tool_use: Loose<Input>,
    reasoning_content: Loose<Reasoning>,
    citation: Loose<ReadCitation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Input {
    input: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reasoning {
    text: Loose<String>,
    signature: Loose<String>,
    redacted_content: Loose<String>,
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
        if event.name == eventstream::ERROR {
            return Err(failed(fault::inside_event(&event.data)));
        }
        if event.name.ends_with("Exception") {
            let judged = fault::of_exception(&event.name, event.data.as_bytes());
            return Err(failed(judged));
        }
        let data: Object<Data> =
            serde_json::from_str(event.data.trim()).map_err(|_| StreamFault::Garbled)?;
        let data = data.0;
        let block = data.content_block_index.0.unwrap_or_default();
        match event.name.as_str() {
            "messageStart" => self.start(out),
            "contentBlockStart" => {
                let start = data.start.0.unwrap_or_default();
                if let Some(call) = start.tool_use.0.filter(|call| call.kind.0.is_none()) {
                    self.open_call(block, call, out);
                }
            }
            "contentBlockDelta" => self.delta(block, data.delta.0.unwrap_or_default(), out),
            "contentBlockStop" => self.close_block(block, out),
            "messageStop" => {
                let reason = finish(&data.stop_reason.0.unwrap_or_default()).map_err(failed)?;
                self.start(out);
                self.tell_citations(out);
                if self.stage.reach(Stage::Finished) {
                    out.push(Event::Finish(reason));
                }
            }
            "metadata" => {
                let usage = data.usage.0.and_then(ReadUsage::usage);
                out.extend(usage.map(Event::Usage));
                // Before the reason to finish it is no end.
                if self.stage == Stage::Finished {
                    self.stage = Stage::Ended;
                    out.push(Event::End);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, out: &mut Vec<Event>) {
        if self.stage.reach(Stage::Started) {
            out.push(Event::Start {
                id: String::new(),
                model: String::new(),
            });
        }
    }

    fn open_call(&mut self, block: u64, call: ReadToolUse, out: &mut Vec<Event>) {
        self.start(out);
        let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.calls.push(OpenCall {
            block,
            has_input: false,
        });
        out.push(Event::CallStart {
            index,
            id: call.tool_use_id.0.unwrap_or_default(),
            name: call.name.0.unwrap_or_default(),
        });
    }

    fn delta(&mut self, block: u64, delta: Delta, out: &mut Vec<Event>) {
        let reasoning = delta.reasoning_content.0.unwrap_or_default();
        self.say(reasoning.text.0, Event::Reasoning, out);
        self.seal(SealForm::Signature, reasoning.signature.0, out);
        self.seal(SealForm::Encrypted, reasoning.redacted_content.0, out);
        let told = char_count(delta.text.0.as_deref().unwrap_or_default());
        self.chars = self.chars.saturating_add(told);
        self.say(delta.text.0, Event::Text, out);
        self.cited.extend(delta.citation.0);
        let input = delta.tool_use.0.unwrap_or_default().input.0;
        if let Some(piece) = input.filter(|piece| !piece.is_empty())
            && let Some((index, call)) = self.call(block)
        {
            call.has_input = true;
            out.push(Event::CallArguments { index, piece });
        }
    }

    fn say(&mut self, piece: Option<String>, event: fn(String) -> Event, out: &mut Vec<Event>) {
        if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
            self.start(out);
            out.push(event(piece));
        }
    }

    fn seal(&mut self, form: SealForm, words: Option<String>, out: &mut Vec<Event>) {
        if let Some(seal) = Seal::of(Signer::Anthropic, form, words) {
            self.start(out);
            out.push(Event::Seal(seal));
        }
    }

    fn tell_citations(&mut self, out: &mut Vec<Event>) {
        let span = (self.block_start, self.chars);
        self.block_start = self.chars;
        let told = self.cited.drain(..);
        let told = told.filter_map(|cited| cited.citation(span));
        out.extend(told.map(Event::Citation));
    }

    /// A call without input has that of the whole answer: none.
    fn close_block(&mut self, block: u64, out: &mut Vec<Event>) {
        self.tell_citations(out);
        if let Some((index, call)) = self.call(block)
            && !std::mem::replace(&mut call.has_input, true)
        {
            let piece = "{}".to_owned();
            out.push(Event::CallArguments { index, piece });
        }
    }

    fn call(&mut self, block: u64) -> Option<(u32, &mut OpenCall)> {
        let place = self.calls.iter().rposition(|call| call.block == block)?;
        let index = u32::try_from(place).unwrap_or(u32::MAX);
        Some((index, self.calls.get_mut(place)?))
    }
}

fn failed((failure, told): (AttemptFailure, ProviderError)) -> StreamFault {
    StreamFault::Failed(failure, told)
}
