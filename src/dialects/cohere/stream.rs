//! Reads a stream of Cohere's chat API.
//!
//! Each event has its type in its data. The last, `message-end`, says why the answer ended and counts it, and is the
//! end marker too. Contents and calls share one numbering, so a call's own number is its place among the calls. The
//! documentation shows a call's pieces both as an object and as a list of one; both are read.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::StreamFault;
use super::super::fault;
use super::super::read::{Loose, Object, Raw, Text};
use super::super::stream::Stage;
use super::answer::{NO_ARGUMENTS, ReadCall, ReadPart, ReadUsage, finish};
use super::source::{ReadCitation, ReadLogprob};
use crate::chat::{AttemptFailure, Event, ProviderError};
use crate::sse;

#[derive(Debug, Default)]
pub(in super::super) struct StreamDecoder {
    calls: Vec<OpenCall>,
    stage: Stage,
}

#[derive(Debug)]
struct OpenCall {
    /// Among contents and calls.
    number: Option<u64>,
    has_arguments: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Loose<Text<'a>>,
    id: Loose<String>,
    index: Loose<u64>,
    #[serde(borrow)]
    delta: Loose<Delta<'a>>,
    logprobs: Loose<ReadLogprob>,
    #[serde(borrow)]
    message: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow)]
    message: Loose<Said<'a>>,
    finish_reason: Loose<String>,
    error: Loose<String>,
    usage: Loose<ReadUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    content: Loose<ReadPart>,
    tool_plan: Loose<String>,
    #[serde(borrow)]
    tool_calls: Option<Raw<'a>>,
    citations: Loose<ReadCitation>,
}

impl Said<'_> {
    fn call(&self) -> ReadCall {
        let text = self.tool_calls.map_or("", RawValue::get);
        let one = serde_json::from_str(text).ok();
        let first = || {
            let list: Vec<ReadCall> = serde_json::from_str(text).ok()?;
            list.into_iter().next()
        };
        one.map(|call: Object<ReadCall>| call.0)
            .or_else(first)
            .unwrap_or_default()
    }
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
        let data = event.data.trim();
        if data == "[DONE]" {
            self.stage = Stage::Ended;
            out.push(Event::End);
            return Ok(());
        }
        let wire: Object<Wire> = serde_json::from_str(data).map_err(|_| StreamFault::Garbled)?;
        let wire = wire.0;
        let delta = wire.delta.0.unwrap_or_default();
        let kind = wire.kind.0.unwrap_or_default().0;
        let kind = if kind.is_empty() { &event.name } else { &*kind };
        let said = delta.message.0.unwrap_or_default();
        match kind {
            "message-start" => self.start(wire.id.0, out),
            "content-start" | "content-delta" => {
                let part = said.content.0.unwrap_or_default();
                self.say(part.thinking.0, Event::Reasoning, out);
                self.say(part.text.0, Event::Text, out);
                if let Some(token) = wire.logprobs.0.and_then(|ReadLogprob(token)| token) {
                    out.push(Event::Logprobs(vec![token]));
                }
            }
            "citation-start" => {
                let ReadCitation(citations) = said.citations.0.unwrap_or(ReadCitation(Vec::new()));
                out.extend(citations.into_iter().map(Event::Citation));
            }
            "tool-plan-delta" => self.say(said.tool_plan.0, Event::Reasoning, out),
            "tool-call-start" => self.open_call(wire.index.0, said.call(), out),
            "tool-call-delta" => {
                let function = said.call().function.0.unwrap_or_default();
                self.arguments(wire.index.0, function.arguments.0, out);
            }
            "tool-call-end" => self.close_call(wire.index.0, out),
            "message-end" => {
                let reason = delta.finish_reason.0.unwrap_or_default();
                let reason = finish(&reason, !self.calls.is_empty(), delta.error.0);
                let reason = reason.map_err(failed)?;
                self.start(wire.id.0, out);
                out.push(Event::Finish(reason));
                out.extend(delta.usage.0.and_then(ReadUsage::usage).map(Event::Usage));
                out.push(Event::End);
                self.stage = Stage::Ended;
            }
            // An error outside of a stream is a bare `message`.
            "error" => return Err(failed(fault::inside_event(data))),
            "" if wire.message.is_some() => return Err(failed(fault::inside_event(data))),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, id: Option<String>, out: &mut Vec<Event>) {
        if self.stage.reach(Stage::Started) {
            out.push(Event::Start {
                id: id.unwrap_or_default(),
                model: String::new(),
            });
        }
    }

    fn say(&mut self, piece: Option<String>, event: fn(String) -> Event, out: &mut Vec<Event>) {
        if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
            self.start(None, out);
            out.push(event(piece));
        }
    }

    fn open_call(&mut self, number: Option<u64>, call: ReadCall, out: &mut Vec<Event>) {
        self.start(None, out);
        let function = call.function.0.unwrap_or_default();
        let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.calls.push(OpenCall {
            number,
            has_arguments: false,
        });
        out.push(Event::CallStart {
            index,
            id: call.id.0.unwrap_or_default(),
            name: function.name.0.unwrap_or_default(),
        });
        self.arguments(number, function.arguments.0, out);
    }

    fn arguments(&mut self, number: Option<u64>, piece: Option<String>, out: &mut Vec<Event>) {
        if let Some(piece) = piece.filter(|piece| !piece.is_empty())
            && let Some((index, call)) = self.call(number)
        {
            call.has_arguments = true;
            out.push(Event::CallArguments { index, piece });
        }
    }

    /// A call without arguments has those of the whole answer.
    fn close_call(&mut self, number: Option<u64>, out: &mut Vec<Event>) {
        if let Some((_, call)) = self.call(number)
            && !call.has_arguments
        {
            self.arguments(number, Some(NO_ARGUMENTS.to_owned()), out);
        }
    }

    fn call(&mut self, number: Option<u64>) -> Option<(u32, &mut OpenCall)> {
        let place = self.calls.iter().rposition(|call| call.number == number)?;
        let index = u32::try_from(place).unwrap_or(u32::MAX);
        Some((index, self.calls.get_mut(place)?))
    }
}

fn failed((failure, told): (AttemptFailure, ProviderError)) -> StreamFault {
    StreamFault::Failed(failure, told)
}
