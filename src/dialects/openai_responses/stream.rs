//! Reads a stream of the Responses API.
//!
//! What is said comes in deltas, and again whole when its item is done. The deltas count; an item of which there
//! were none is taken when it is done, because some servers write short items in one piece. The last event,
//! `response.completed` or `response.incomplete`, has the usage and is the end marker too. Some servers add the
//! `[DONE]` of chat completions. Events of OpenAI's own tools are ignored.

use serde::Deserialize;

use super::super::StreamFault;
use super::super::fault;
use super::super::openai_chat::{ReadAnnotation, ReadLogprob};
use super::super::read::{Loose, Object, Raw, Text};
use super::super::stream::Stage;
use super::answer::{PARAGRAPH, ReadItem, ReadResponse, tokens};
use super::usage::ReadUsage;
use crate::chat::{AttemptFailure, Event, ProviderError, TokenLogprob};
use crate::sse;

/// The end marker of chat completions.
const DONE: &str = "[DONE]";

#[derive(Debug, Default)]
pub(in super::super) struct StreamDecoder {
    /// In the order of their places.
    calls: Vec<OpenCall>,
    /// The places of messages and of reasoning of which something was told, in order.
    told: Vec<u32>,
    /// The place of the message that was told of last.
    text_place: Option<u32>,
    has_refused: bool,
    stage: Stage,
}

#[derive(Debug)]
struct OpenCall {
    /// In the output.
    place: u32,
    /// Its number among the calls.
    index: u32,
    has_arguments: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Loose<Text<'a>>,
    output_index: Loose<u32>,
    summary_index: Loose<u32>,
    delta: Loose<String>,
    arguments: Loose<String>,
    annotation: Loose<ReadAnnotation>,
    logprobs: Loose<Vec<Loose<ReadLogprob>>>,
    item: Loose<ReadItem>,
    #[serde(borrow)]
    response: Loose<ReadResponse<'a>>,
    #[serde(borrow)]
    error: Option<Raw<'a>>,
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
        if data == DONE {
            self.stage = Stage::Ended;
            out.push(Event::End);
            return Ok(());
        }
        if event.name == "error" {
            return Err(failed(fault::inside_event(data)));
        }
        let wire: Object<Wire> = serde_json::from_str(data).map_err(|_| StreamFault::Garbled)?;
        let mut wire = wire.0;
        let kind = wire.kind.0.take().unwrap_or_default().0;
        if kind == "error" {
            return Err(failed(fault::inside_event(data)));
        }
        if let Some(error) = wire.error
            && fault::is_error(error)
        {
            return Err(failed(fault::inside(error)));
        }
        let kind = if kind.is_empty() {
            event.name.as_str()
        } else {
            &kind
        };
        self.event(kind, wire, out)
    }

    fn event(&mut self, kind: &str, wire: Wire, out: &mut Vec<Event>) -> Result<(), StreamFault> {
        let place = wire.output_index.0.unwrap_or_default();
        let piece = wire.delta.0.unwrap_or_default();
        match kind {
            "response.created" | "response.queued" | "response.in_progress" => {
                self.start(wire.response.0, out);
            }
            "response.output_text.delta" => {
                self.text(place, piece, out);
                push_logprobs(tokens(wire.logprobs), out);
            }
            "response.output_text.annotation.added" => {
                let citation = wire.annotation.0.and_then(ReadAnnotation::citation);
                out.extend(citation.map(Event::Citation));
            }
            "response.refusal.delta" => {
                self.refusal(place, piece, out);
            }
            "response.reasoning_summary_part.added" if wire.summary_index.0 > Some(0) => {
                self.reasoning(place, PARAGRAPH.to_owned(), out);
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.reasoning(place, piece, out);
            }
            "response.output_item.added" => {
                if let Some(item) = wire.item.0.filter(is_call) {
                    self.call(place, item, out);
                }
            }
            "response.function_call_arguments.delta" => self.arguments(place, piece, out),
            "response.function_call_arguments.done" => {
                self.rest_of_call(place, wire.arguments.0, out);
            }
            "response.output_item.done" => {
                if let Some(item) = wire.item.0 {
                    self.item(place, item, out);
                }
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => {
                return self.end(kind, wire.response.0.unwrap_or_default(), out);
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, response: Option<ReadResponse>, out: &mut Vec<Event>) {
        if self.stage.reach(Stage::Started) {
            let response = response.unwrap_or_default();
            out.push(Event::Start {
                id: response.id.0.unwrap_or_default(),
                model: response.model.0.unwrap_or_default(),
            });
        }
    }

    fn text(&mut self, place: u32, piece: String, out: &mut Vec<Event>) {
        if piece.is_empty() {
            return;
        }
        let last = self.text_place.replace(place);
        if last.is_some_and(|last| last != place) {
            self.tell(place, Event::Text(PARAGRAPH.to_owned()), out);
        }
        self.tell(place, Event::Text(piece), out);
    }

    fn refusal(&mut self, place: u32, piece: String, out: &mut Vec<Event>) {
        if !piece.is_empty() {
            self.has_refused = true;
            self.tell(place, Event::Refusal(piece), out);
        }
    }

    fn reasoning(&mut self, place: u32, piece: String, out: &mut Vec<Event>) {
        if !piece.is_empty() {
            self.tell(place, Event::Reasoning(piece), out);
        }
    }

    fn tell(&mut self, place: u32, event: Event, out: &mut Vec<Event>) {
        self.start(None, out);
        if let Err(new) = self.told.binary_search(&place) {
            self.told.insert(new, place);
        }
        out.push(event);
    }

    /// Where the call is among the calls, or would be.
    fn find(&self, place: u32) -> Result<usize, usize> {
        self.calls.binary_search_by_key(&place, |call| call.place)
    }

    fn call(&mut self, place: u32, mut item: ReadItem, out: &mut Vec<Event>) {
        let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        if let Err(new) = self.find(place) {
            self.start(None, out);
            let call = OpenCall {
                place,
                index,
                has_arguments: false,
            };
            self.calls.insert(new, call);
            out.push(Event::CallStart {
                index,
                id: item.call_id(),
                name: item.name.0.take().unwrap_or_default(),
            });
        }
    }

    fn arguments(&mut self, place: u32, piece: String, out: &mut Vec<Event>) {
        let found = self.find(place).ok().filter(|_| !piece.is_empty());
        if let Some(call) = found.and_then(|found| self.calls.get_mut(found)) {
            call.has_arguments = true;
            let index = call.index;
            out.push(Event::CallArguments { index, piece });
        }
    }

    /// The arguments as a whole, where they did not come in pieces.
    fn rest_of_call(&mut self, place: u32, whole: Option<String>, out: &mut Vec<Event>) {
        let found = self.find(place).ok();
        let found = found.and_then(|found| self.calls.get(found));
        if found.is_some_and(|call| !call.has_arguments) {
            self.arguments(place, whole.unwrap_or_default(), out);
        }
    }

    /// An item is done: what of it was not told yet.
    fn item(&mut self, place: u32, mut item: ReadItem, out: &mut Vec<Event>) {
        let is_new = self.told.binary_search(&place).is_err();
        match item.kind.0.as_deref() {
            Some("message") if is_new => {
                let said = item.said();
                self.text(place, said.text, out);
                self.refusal(place, said.refusal, out);
                push_logprobs(said.logprobs, out);
                out.extend(said.citations.into_iter().map(Event::Citation));
            }
            Some("reasoning") => {
                let reasoning = item.reasoning();
                if is_new {
                    self.reasoning(place, reasoning, out);
                }
                out.extend(item.seal().map(Event::Seal));
            }
            Some("function_call") => {
                let whole = item.arguments.0.take();
                self.call(place, item, out);
                self.rest_of_call(place, whole, out);
            }
            _ => {}
        }
    }

    fn end(
        &mut self,
        kind: &str,
        mut response: ReadResponse,
        out: &mut Vec<Event>,
    ) -> Result<(), StreamFault> {
        // What the event is called counts, where the response does not say it.
        let status = kind.strip_prefix("response.").unwrap_or(kind);
        response.status.0.get_or_insert_with(|| status.to_owned());
        if let Some(failure) = response.failure() {
            return Err(failed(failure));
        }
        let finish = response.finish(!self.calls.is_empty(), self.has_refused);
        let usage = response.usage.0.take().and_then(ReadUsage::usage);
        self.start(Some(response), out);
        out.push(Event::Finish(finish));
        out.extend(usage.map(Event::Usage));
        out.push(Event::End);
        self.stage = Stage::Ended;
        Ok(())
    }
}

fn push_logprobs(tokens: Vec<TokenLogprob>, out: &mut Vec<Event>) {
    if !tokens.is_empty() {
        out.push(Event::Logprobs(tokens));
    }
}

fn is_call(item: &ReadItem) -> bool {
    item.kind.0.as_deref() == Some("function_call")
}

fn failed((failure, told): (AttemptFailure, ProviderError)) -> StreamFault {
    StreamFault::Failed(failure, told)
}
