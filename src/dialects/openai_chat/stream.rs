//! Reads a stream of chat completion chunks.
//!
//! What compatible providers do with it: usage in every chunk, or in one without choices; whole calls in one
//! piece, calls without an index, with the id repeated, or all with index 0; reasoning under two names; a
//! finish reason that is an empty string; errors as objects or strings, with or without `event: error`, or as a reason to finish. Azure
//! sends a first chunk without id or choices. All of these have a fixture.

use serde::Deserialize;

use super::super::StreamFault;
use super::super::fault;
use super::super::read::{Loose, Object, Raw};
use super::super::stream::Stage;
use super::answer::{Call, Function, ReadLogprobs, Said, call_id, failure, finish, signature};
use super::thought::seals;
use super::usage::ReadUsage;
use crate::chat::{AttemptFailure, Event, ProviderError};
use crate::sse;

/// The end marker. It is no JSON.
const DONE: &str = "[DONE]";

#[derive(Debug, Default)]
pub(in super::super) struct StreamDecoder {
    /// Whether a piece had the shape of Workers AI's own.
    is_of_workers_ai: bool,
    id: String,
    calls: Vec<OpenCall>,
    has_refused: bool,
    stage: Stage,
}

#[derive(Debug)]
struct OpenCall {
    wire_index: Option<u32>,
    id: String,
    /// Its number among the calls that were told; absent while it has no name.
    told: Option<u32>,
    /// Arguments that came before the name.
    held: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Chunk<'a> {
    id: Loose<String>,
    model: Loose<String>,
    #[serde(borrow)]
    choices: Loose<Vec<Choice<'a>>>,
    usage: Loose<ReadUsage>,
    /// Where Groq puts usage.
    x_groq: Loose<Groq>,
    #[serde(borrow)]
    error: Option<Raw<'a>>,
    #[serde(borrow)]
    response: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_calls: Loose<Vec<Function<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Groq {
    usage: Loose<ReadUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice<'a> {
    index: Loose<u32>,
    #[serde(borrow)]
    delta: Loose<Said<'a>>,
    /// Instead of `delta` in a legacy completion.
    text: Loose<String>,
    logprobs: Loose<ReadLogprobs>,
    finish_reason: Loose<String>,
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
            // Workers AI's own shape has no reason, but this end.
            if self.is_of_workers_ai && self.stage.reach(Stage::Finished) {
                out.push(Event::Finish(finish("", !self.calls.is_empty(), false)));
            }
            self.stage = Stage::Ended;
            out.push(Event::End);
            return Ok(());
        }
        if event.name == "error" {
            return Err(failed(fault::inside_event(data)));
        }
        let chunk: Object<Chunk> = serde_json::from_str(data).map_err(|_| StreamFault::Garbled)?;
        self.chunk(chunk.0, out)
    }

    fn chunk(&mut self, chunk: Chunk, out: &mut Vec<Event>) -> Result<(), StreamFault> {
        if let Some(error) = chunk.error
            && fault::is_error(error)
        {
            return Err(failed(fault::inside(error)));
        }
        let choices = chunk.choices.0.unwrap_or_else(|| {
            let said = Said::of_workers_ai(chunk.response, chunk.tool_calls.0);
            self.is_of_workers_ai |= said.is_some();
            let choice = said.map(|said| Choice {
                delta: Loose(Some(said)),
                ..Choice::default()
            });
            choice.into_iter().collect()
        });
        let id = chunk.id.0.unwrap_or_default();
        let first = |choice: &&Choice| choice.index.0.unwrap_or_default() == 0;
        if let Some(choice) = choices.iter().find(first)
            && let Some(told) = failure(choice.error, choice.finish_reason.0.as_deref())
        {
            return Err(failed(told));
        }
        let is_start = !id.is_empty() || !choices.is_empty();
        if is_start && self.stage.reach(Stage::Started) {
            self.id.clone_from(&id);
            out.push(Event::Start {
                id,
                model: chunk.model.0.unwrap_or_default(),
            });
        }
        let mut choices = choices.into_iter();
        if let Some(choice) = choices.find(|choice| first(&choice)) {
            self.choice(choice, out);
        }
        let groq = chunk.x_groq.0.and_then(|groq| groq.usage.0);
        let usage = chunk.usage.0.or(groq).and_then(ReadUsage::usage);
        out.extend(usage.map(Event::Usage));
        Ok(())
    }

    fn choice(&mut self, choice: Choice, out: &mut Vec<Event>) {
        let mut said = choice.delta.0.unwrap_or_default();
        let (reasoning, mut text) = said.words();
        if let Some(legacy) = choice.text.0 {
            text = legacy + &text;
        }
        if !reasoning.is_empty() {
            out.push(Event::Reasoning(reasoning));
        }
        if let Some(details) = said.reasoning_details {
            out.extend(
                seals(details)
                    .into_iter()
                    .map(|(_, seal)| Event::Seal(seal)),
            );
        }
        if !text.is_empty() {
            out.push(Event::Text(text));
        }
        if let Some(refusal) = said.refusal.0.take().filter(|words| !words.is_empty()) {
            self.has_refused = true;
            out.push(Event::Refusal(refusal));
        }
        let tokens = choice.logprobs.0.unwrap_or_default().tokens();
        if !tokens.is_empty() {
            out.push(Event::Logprobs(tokens));
        }
        out.extend(said.citations().map(Event::Citation));
        for call in said.tool_calls.0.unwrap_or_default() {
            self.call(call, out);
        }
        if let Some(function) = said.function_call.0 {
            // The legacy form has one call at most.
            self.call(
                Call {
                    index: Loose(Some(0)),
                    id: Loose(None),
                    function: Loose(Some(function)),
                    extra_content: Loose(None),
                },
                out,
            );
        }
        let reason = choice.finish_reason.0.filter(|reason| !reason.is_empty());
        if let Some(reason) = reason
            && self.stage.reach(Stage::Finished)
        {
            let has_calls = self.calls.iter().any(|call| call.told.is_some());
            out.push(Event::Finish(finish(&reason, has_calls, self.has_refused)));
        }
    }

    fn call(&mut self, call: Call, out: &mut Vec<Event>) {
        let function = call.function.0.unwrap_or_default();
        let id = call.id.0.filter(|id| !id.is_empty());
        let name = function.name.0.as_deref().filter(|name| !name.is_empty());
        let place = match self.find(call.index.0, id.as_deref(), name.is_some()) {
            Some(place) => place,
            None => self.open(call.index.0, id),
        };
        self.continue_call(place, name, &function, out);
        let told = self.calls.get(place).and_then(|call| call.told);
        if let Some(index) = told
            && let Some(signature) = call.extra_content.0.and_then(signature)
        {
            out.push(Event::CallSignature { index, signature });
        }
    }

    /// Which open call a piece continues.
    fn find(&self, index: Option<u32>, id: Option<&str>, has_name: bool) -> Option<usize> {
        let of_index = |call: &OpenCall| call.wire_index == index;
        let of_id = |call: &OpenCall| id == Some(call.id.as_str());
        let found = match (index, id) {
            (Some(_), _) => self.calls.iter().rposition(of_index),
            (None, Some(_)) => self.calls.iter().rposition(of_id),
            (None, None) if has_name => None,
            (None, None) => self.calls.len().checked_sub(1),
        }?;
        // Another id and a name under a known index are another call: some number all their calls 0.
        let is_other = has_name && id.is_some() && !self.calls.get(found).is_some_and(of_id);
        (!is_other).then_some(found)
    }

    fn open(&mut self, wire_index: Option<u32>, id: Option<String>) -> usize {
        let place = self.calls.len();
        self.calls.push(OpenCall {
            wire_index,
            id: call_id(id, &self.id, place),
            told: None,
            held: String::new(),
        });
        place
    }

    fn continue_call(
        &mut self,
        place: usize,
        name: Option<&str>,
        function: &Function,
        out: &mut Vec<Event>,
    ) {
        let next = self.calls.iter().filter(|call| call.told.is_some()).count();
        let Some(call) = self.calls.get_mut(place) else {
            return;
        };
        call.held.push_str(&function.arguments());
        if call.told.is_none()
            && let Some(name) = name
        {
            let index = u32::try_from(next).unwrap_or(u32::MAX);
            call.told = Some(index);
            out.push(Event::CallStart {
                index,
                id: call.id.clone(),
                name: name.to_owned(),
            });
        }
        if let Some(index) = call.told
            && !call.held.is_empty()
        {
            out.push(Event::CallArguments {
                index,
                piece: std::mem::take(&mut call.held),
            });
        }
    }
}

fn failed((failure, told): (AttemptFailure, ProviderError)) -> StreamFault {
    StreamFault::Failed(failure, told)
}
