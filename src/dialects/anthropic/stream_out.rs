//! Writes a stream of message events, as Anthropic's own looks.
//!
//! The format is stricter than what comes in: blocks are numbered, open one at a time, and hold one thing each;
//! the reason to stop and the usage come together, once, at the end. So the reason and the usage are held until
//! [`Event::End`], since OpenAI tells usage after the reason.
//!
//! A provider may weave two calls' arguments into each other. The block that is open goes on at once; the other
//! call waits until the open one's arguments are a whole JSON object, or the answer ends. Closing the first
//! block when a second call begins would be simpler, and would lose the arguments that come later. For the same reason
//! words that come among a call's arguments wait until these are whole.
//!
//! `message_start` waits for the first event that is not usage, so that it can tell the prompt's tokens where
//! the provider told them first. Most tell them last; then it has what is expected, since some clients look there alone, and
//! `message_delta` has the true figure.

use serde::Serialize;

use super::super::read;
use super::super::stream::Stage;
use super::answer::{Input, WireBlock, WireMessage, stop_reason};
use super::citation::{WireCitation, wire_citation};
use super::usage::WireUsage;
use crate::chat::{Citation, Event, FinishReason, Seal, SealForm, Signer, Usage};
use crate::sse::write_event;
use crate::units::Tokens;

#[derive(Debug, Default)]
pub(in super::super) struct StreamEncoder {
    id: String,
    model: String,
    /// What the prompt is expected to count.
    expected: Tokens,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    open: Option<Open>,
    waiting: Vec<Call>,
    /// What was said among the arguments of a call.
    held: Vec<Words>,
    /// The number of the next block.
    blocks: u32,
    has_calls: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Open {
    Text,
    Thinking,
    Call(Call),
}

#[derive(Debug)]
enum Words {
    Text(String),
    Thinking(String),
    Seal(Seal<'static>),
    Citation(Citation),
}

#[derive(Debug)]
struct Call {
    index: u32,
    id: String,
    name: String,
    arguments: String,
}

impl Call {
    fn is_whole(&self) -> bool {
        read::is_object(&self.arguments)
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Wire<'a> {
    MessageStart {
        message: WireMessage<'a>,
    },
    ContentBlockStart {
        index: u32,
        content_block: WireBlock<'a>,
    },
    ContentBlockDelta {
        index: u32,
        delta: Delta<'a>,
    },
    ContentBlockStop {
        index: u32,
    },
    MessageDelta {
        delta: End,
        usage: WireUsage,
    },
    MessageStop,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "citations_delta")]
    Citation { citation: WireCitation<'a> },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: &'a str },
}

#[derive(Serialize)]
struct End {
    stop_reason: &'static str,
    stop_sequence: Option<()>,
}

impl Wire<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop => "message_stop",
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Ok(data) = serde_json::to_vec(self) {
            write_event(out, Some(self.name()), &data);
        }
    }
}

impl StreamEncoder {
    pub(in super::super) fn expect(&mut self, prompt: Tokens) {
        self.expected = prompt;
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
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Text(piece) | Event::Refusal(piece) => self.text(piece, out),
            Event::Seal(seal) => self.seal(seal, out),
            Event::Citation(citation) => self.citation(citation, out),
            Event::Logprobs(_) | Event::CallSignature { .. } => {}
            Event::Reasoning(piece) => self.reasoning(piece, out),
            Event::CallStart { index, id, name } => {
                self.call(
                    Call {
                        index: *index,
                        id: id.clone(),
                        name: name.clone(),
                        arguments: String::new(),
                    },
                    out,
                );
            }
            Event::CallArguments { index, piece } => self.arguments(*index, piece, out),
            Event::Finish(reason) => {
                self.finish.get_or_insert(*reason);
                // Some say so before they have told all of a call's arguments.
                if !self.is_within_calls() {
                    self.close_calls(out);
                    self.close(out);
                }
            }
            Event::End => self.end(out),
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.stage.reach(Stage::Started) {
            return;
        }
        let expected = Usage {
            prompt: self.expected,
            ..Usage::default()
        };
        let message = WireMessage {
            id: &self.id,
            kind: "message",
            role: "assistant",
            model: &self.model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage: self.usage.unwrap_or(expected).into(),
        };
        Wire::MessageStart { message }.write(out);
    }

    fn text(&mut self, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        if self.is_within_calls() {
            self.held.push(Words::Text(piece.to_owned()));
            return;
        }
        if !matches!(self.open, Some(Open::Text)) {
            self.close(out);
            self.open_text(out);
        }
        self.delta(Delta::Text { text: piece }, out);
    }

    fn open_text(&mut self, out: &mut Vec<u8>) {
        let block = WireBlock::Text {
            text: "",
            citations: Vec::new(),
        };
        self.open_block(block, out);
        self.open = Some(Open::Text);
    }

    fn open_thinking(&mut self, out: &mut Vec<u8>) {
        let block = WireBlock::Thinking {
            thinking: "",
            signature: "",
        };
        self.open_block(block, out);
        self.open = Some(Open::Thinking);
    }

    /// A signature ends its block; what is encrypted is a block of its own.
    fn seal(&mut self, seal: &Seal<'static>, out: &mut Vec<u8>) {
        if seal.by != Signer::Anthropic {
            return;
        }
        if self.is_within_calls() {
            self.held.push(Words::Seal(seal.clone()));
            return;
        }
        match seal.form {
            SealForm::Signature => {
                if !matches!(self.open, Some(Open::Thinking)) {
                    self.close(out);
                    self.open_thinking(out);
                }
                let signature = &seal.words;
                self.delta(Delta::Signature { signature }, out);
            }
            SealForm::Encrypted => {
                self.close(out);
                let block = WireBlock::RedactedThinking { data: &seal.words };
                self.open_block(block, out);
                self.open = Some(Open::Thinking);
            }
        }
        self.close(out);
    }

    fn citation(&mut self, citation: &Citation, out: &mut Vec<u8>) {
        let Some(wire) = wire_citation(citation) else {
            return;
        };
        if self.is_within_calls() {
            self.held.push(Words::Citation(citation.clone()));
            return;
        }
        if !matches!(self.open, Some(Open::Text)) {
            self.close(out);
            self.open_text(out);
        }
        self.delta(Delta::Citation { citation: wire }, out);
    }

    fn reasoning(&mut self, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        if self.is_within_calls() {
            self.held.push(Words::Thinking(piece.to_owned()));
            return;
        }
        if !matches!(self.open, Some(Open::Thinking)) {
            self.close(out);
            self.open_thinking(out);
        }
        self.delta(Delta::Thinking { thinking: piece }, out);
    }

    fn call(&mut self, call: Call, out: &mut Vec<u8>) {
        self.has_calls = true;
        let may_go_on = match &self.open {
            Some(Open::Call(open)) => !open.is_whole() || !self.waiting.is_empty(),
            _ => false,
        };
        if may_go_on {
            self.waiting.push(call);
        } else {
            self.close(out);
            self.open_call(call, out);
        }
    }

    fn arguments(&mut self, index: u32, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        if let Some(Open::Call(open)) = &mut self.open
            && open.index == index
        {
            open.arguments.push_str(piece);
            self.delta(
                Delta::Input {
                    partial_json: piece,
                },
                out,
            );
            self.advance(out);
            if !self.held.is_empty() && !self.is_within_calls() {
                self.close_calls(out);
            }
        } else if let Some(call) = self.waiting.iter_mut().find(|call| call.index == index) {
            call.arguments.push_str(piece);
        }
    }

    /// Opens the calls that wait, as far as the ones before them are whole.
    fn advance(&mut self, out: &mut Vec<u8>) {
        while !self.waiting.is_empty()
            && matches!(&self.open, Some(Open::Call(open)) if open.is_whole())
        {
            self.close(out);
            let call = self.waiting.remove(0);
            self.open_call(call, out);
        }
    }

    fn open_call(&mut self, call: Call, out: &mut Vec<u8>) {
        let block = WireBlock::ToolUse {
            id: &call.id,
            name: &call.name,
            input: Input::Object(read::Json("{}")),
        };
        self.open_block(block, out);
        if !call.arguments.is_empty() {
            let partial_json = &call.arguments;
            self.delta(Delta::Input { partial_json }, out);
        }
        self.open = Some(Open::Call(call));
    }

    fn open_block(&mut self, content_block: WireBlock, out: &mut Vec<u8>) {
        self.start(out);
        let index = self.blocks;
        Wire::ContentBlockStart {
            index,
            content_block,
        }
        .write(out);
    }

    /// Adds to the open block.
    fn delta(&self, delta: Delta, out: &mut Vec<u8>) {
        let index = self.blocks;
        Wire::ContentBlockDelta { index, delta }.write(out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            Wire::ContentBlockStop { index: self.blocks }.write(out);
            self.blocks += 1;
        }
    }

    /// Whether arguments are still to come, as far as one sees.
    fn is_within_calls(&self) -> bool {
        let is_open = matches!(&self.open, Some(Open::Call(open)) if !open.is_whole());
        is_open || !self.waiting.is_empty()
    }

    /// Ends the calls, whole or not, and says what was held back for them.
    fn close_calls(&mut self, out: &mut Vec<u8>) {
        let waiting = std::mem::take(&mut self.waiting);
        if matches!(self.open, Some(Open::Call(_))) {
            self.close(out);
        }
        for call in waiting {
            self.open_call(call, out);
            self.close(out);
        }
        for words in std::mem::take(&mut self.held) {
            match words {
                Words::Text(piece) => self.text(&piece, out),
                Words::Thinking(piece) => self.reasoning(&piece, out),
                Words::Seal(seal) => self.seal(&seal, out),
                Words::Citation(citation) => self.citation(&citation, out),
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close_calls(out);
        self.close(out);
        let unsaid = if self.has_calls {
            FinishReason::ToolCalls
        } else {
            FinishReason::Stop
        };
        let delta = End {
            stop_reason: stop_reason(self.finish.unwrap_or(unsaid)),
            stop_sequence: None,
        };
        let usage = self.usage.unwrap_or_default().into();
        Wire::MessageDelta { delta, usage }.write(out);
        Wire::MessageStop.write(out);
        self.stage = Stage::Ended;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::super::StreamDecoder;
    use super::*;
    use crate::chat::Collector;
    use crate::sse;

    #[derive(Deserialize)]
    struct Seen {
        #[serde(rename = "type")]
        kind: String,
        index: Option<u32>,
    }

    fn written(events: &[Event]) -> Vec<sse::Event> {
        let mut encoder = StreamEncoder::default();
        let mut bytes = Vec::new();
        for event in events {
            encoder.push(event, &mut bytes);
        }
        let mut seen = Vec::new();
        sse::Decoder::new().push(&bytes, &mut seen).unwrap();
        seen
    }

    /// Whether the events are a start, blocks one after the other, and an end.
    fn is_well_formed(events: &[sse::Event]) -> Result<(), String> {
        let mut open = None;
        let mut blocks = 0;
        for (place, event) in events.iter().enumerate() {
            let seen: Seen = serde_json::from_str(&event.data).unwrap();
            let left = events.len() - place;
            let is_good = seen.kind == event.name
                && match seen.kind.as_str() {
                    "message_start" => place == 0,
                    "content_block_start" => {
                        let is_next = open.is_none() && seen.index == Some(blocks);
                        open = seen.index;
                        is_next && place > 0
                    }
                    "content_block_delta" => open.is_some() && seen.index == open,
                    "content_block_stop" => {
                        blocks += 1;
                        open.take().is_some_and(|open| seen.index == Some(open))
                    }
                    "message_delta" => open.is_none() && left == 2,
                    "message_stop" => left == 1,
                    _ => false,
                };
            if !is_good {
                return Err(format!("event {place}: {event:?}"));
            }
        }
        Ok(())
    }

    fn event() -> impl Strategy<Value = Event> {
        let usage = Usage {
            prompt: Tokens(7),
            ..Usage::default()
        };
        let text = || "[a{}\"]{0,2}".prop_map(String::from);
        prop_oneof![
            Just(Event::Start {
                id: "id".to_owned(),
                model: "model".to_owned()
            }),
            text().prop_map(Event::Text),
            text().prop_map(Event::Reasoning),
            (0..3_u32, text()).prop_map(|(index, id)| Event::CallStart {
                index,
                id,
                name: "f".to_owned()
            }),
            (0..3_u32, text()).prop_map(|(index, piece)| Event::CallArguments { index, piece }),
            Just(Event::Finish(FinishReason::Stop)),
            Just(Event::Finish(FinishReason::ToolCalls)),
            Just(Event::Usage(usage)),
        ]
    }

    /// Calls whose arguments are woven into each other in any way.
    fn woven() -> impl Strategy<Value = Vec<Event>> {
        let order = prop::collection::vec(0..3_u32, 12..30);
        (order, "[a-z{}]{0,9}").prop_map(|(order, word)| {
            let arguments = format!("{{\"word\":[\"{word}\"]}}");
            let mut rests = [arguments.as_str(); 3].map(Some);
            let mut events = Vec::new();
            let mut started = [false; 3];
            for index in order.into_iter().chain([0, 1, 2].repeat(arguments.len())) {
                let place = index as usize;
                if !std::mem::replace(&mut started[place], true) {
                    events.push(Event::CallStart {
                        index,
                        id: format!("call_{index}"),
                        name: "f".to_owned(),
                    });
                } else if let Some(rest) = rests[place].take_if(|rest| !rest.is_empty()) {
                    let (piece, rest) = rest.split_at(rest.len().min(3));
                    rests[place] = Some(rest);
                    events.push(Event::CallArguments {
                        index,
                        piece: piece.to_owned(),
                    });
                }
            }
            events.push(Event::Finish(FinishReason::ToolCalls));
            events.push(Event::End);
            events
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_the_blocks_are_well_formed(
            mut events in prop::collection::vec(event(), 0..24),
            more in prop::collection::vec(event(), 0..3),
        ) {
            events.push(Event::End);
            events.extend(more);
            prop_assert_eq!(is_well_formed(&written(&events)), Ok(()));
        }

        #[test]
        fn woven_calls_lose_nothing(events in woven()) {
            let seen = written(&events);
            prop_assert_eq!(is_well_formed(&seen), Ok(()));
            let mut again = Vec::new();
            let mut decoder = StreamDecoder::default();
            for event in &seen {
                decoder.push(event, &mut again).unwrap();
            }
            let [one, other] = [events, again].map(|events| {
                let mut collector = Collector::default();
                for event in events {
                    collector.push(event);
                }
                collector.finish().calls
            });
            prop_assert_eq!(one, other);
        }
    }
}
