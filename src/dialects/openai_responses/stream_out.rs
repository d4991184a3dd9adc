//! Writes a stream of the Responses API, as OpenAI's own looks.
//!
//! The output is a list of items, each announced, told in pieces, and told again whole when it is done; the last
//! event tells all of it once more. So the whole answer is held here until its end, bounded by what the exchange
//! takes from a provider.
//!
//! An item is done when the next one begins, with one exception: a provider may weave two calls' arguments into each
//! other, and events name their item, so a call whose arguments are no whole JSON object yet stays open until the
//! answer ends.

use serde::Serialize;

use super::super::openai_chat::{WireCitation, WireLogprob, flat, wire_logprobs};
use super::super::read;
use super::super::stream::Stage;
use super::wire::{
    COMPLETED, IN_PROGRESS, WireItem, WirePart, WireResponse, arguments, item_id, status,
};
use crate::chat::{Citation, Event, FinishReason, Seal, Signer, TokenLogprob, Usage};
use crate::sse::write_event;
use crate::units::UnixMillis;

#[derive(Debug)]
pub(in super::super) struct StreamEncoder {
    created: UnixMillis,
    id: String,
    model: String,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    items: Vec<Item>,
    /// The index of each call, in order, and where it is among the items.
    calls: Vec<(u32, usize)>,
    /// The number of the next event.
    sequence: u64,
    stage: Stage,
}

/// An item of the output.
#[derive(Debug)]
struct Item {
    id: String,
    content: Content,
    /// What it says, or a call's arguments.
    text: String,
    citations: Vec<Citation>,
    logprobs: Vec<TokenLogprob>,
    /// What OpenAI wants back of a thought.
    sealed: Option<String>,
    status: &'static str,
}

#[derive(Debug)]
enum Content {
    Reasoning,
    Message,
    Refusal,
    Call { id: String, name: String },
}

impl Item {
    fn is_open(&self) -> bool {
        self.status == IN_PROGRESS
    }

    fn is_text(&self) -> bool {
        matches!(self.content, Content::Message)
    }

    /// Whether nothing more of it can come when another item begins.
    fn is_whole(&self) -> bool {
        match self.content {
            Content::Reasoning | Content::Message | Content::Refusal => true,
            Content::Call { .. } => read::is_object(&self.text),
        }
    }

    fn wire(&self) -> WireItem<'_> {
        let id = self.id.as_str().into();
        let parts = if self.is_open() {
            Vec::new()
        } else {
            vec![self.part(&self.text)]
        };
        match &self.content {
            Content::Reasoning => WireItem::Reasoning {
                id,
                summary: parts,
                encrypted_content: self.sealed.as_deref(),
            },
            Content::Message | Content::Refusal => WireItem::Message {
                id,
                status: self.status,
                role: "assistant",
                content: parts,
            },
            Content::Call { id: call_id, name } => WireItem::FunctionCall {
                id,
                status: self.status,
                call_id,
                name,
                arguments: &self.text,
            },
        }
    }

    fn part<'a>(&'a self, text: &'a str) -> WirePart<'a> {
        match self.content {
            Content::Reasoning => WirePart::SummaryText { text },
            Content::Refusal => WirePart::Refusal { refusal: text },
            Content::Message | Content::Call { .. } => {
                WirePart::output(text, &self.citations, &self.logprobs)
            }
        }
    }

    /// What stands in every event about the item.
    fn event(&self, name: &'static str, place: usize) -> Wire<'_> {
        let is_reasoning = matches!(self.content, Content::Reasoning);
        let is_message = matches!(self.content, Content::Message | Content::Refusal);
        Wire {
            kind: name,
            item_id: Some(&self.id),
            output_index: Some(place),
            content_index: is_message.then_some(0),
            summary_index: is_reasoning.then_some(0),
            ..Wire::default()
        }
    }

    /// The names of the events of a piece, of the whole text, and of the part that holds it.
    fn names(&self) -> (&'static str, &'static str, Option<[&'static str; 2]>) {
        match self.content {
            Content::Reasoning => (
                "response.reasoning_summary_text.delta",
                "response.reasoning_summary_text.done",
                Some([
                    "response.reasoning_summary_part.added",
                    "response.reasoning_summary_part.done",
                ]),
            ),
            Content::Message => (
                "response.output_text.delta",
                "response.output_text.done",
                Some(["response.content_part.added", "response.content_part.done"]),
            ),
            Content::Refusal => (
                "response.refusal.delta",
                "response.refusal.done",
                Some(["response.content_part.added", "response.content_part.done"]),
            ),
            Content::Call { .. } => (
                "response.function_call_arguments.delta",
                "response.function_call_arguments.done",
                None,
            ),
        }
    }
}

/// Any event: each has some of these fields.
#[derive(Default, Serialize)]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sequence_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<WireResponse<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<WireItem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<WirePart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation: Option<WireCitation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Vec<WireLogprob<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
}

impl Wire<'_> {
    fn write(mut self, sequence: &mut u64, out: &mut Vec<u8>) {
        self.sequence_number = *sequence;
        *sequence += 1;
        if let Ok(data) = serde_json::to_vec(&self) {
            write_event(out, Some(self.kind), &data);
        }
    }
}

impl StreamEncoder {
    pub(in super::super) fn new(created: UnixMillis) -> Self {
        Self {
            created,
            id: String::new(),
            model: String::new(),
            usage: None,
            finish: None,
            items: Vec::new(),
            calls: Vec::new(),
            sequence: 0,
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
            Event::Text(piece) => self.words(Content::Message, piece, out),
            Event::Reasoning(piece) => self.words(Content::Reasoning, piece, out),
            Event::Refusal(piece) => self.words(Content::Refusal, piece, out),
            Event::Seal(seal) => self.seal(seal, out),
            Event::Citation(citation) => self.citation(citation, out),
            Event::Logprobs(tokens) => self.logprobs(tokens, out),
            Event::CallSignature { .. } => {}
            Event::CallStart { index, id, name } => {
                let (id, name) = (id.clone(), name.clone());
                self.open(Content::Call { id, name }, out);
                let place = self.items.len().saturating_sub(1);
                let found = self.find(*index);
                if let Ok(old) = found {
                    self.calls.remove(old);
                }
                let (Ok(new) | Err(new)) = found;
                self.calls.insert(new, (*index, place));
            }
            Event::CallArguments { index, piece } => {
                let found = self.find(*index).ok();
                if let Some((_, place)) = found.and_then(|found| self.calls.get(found)) {
                    self.piece(*place, piece, out);
                }
            }
            // More may come: some providers tell the reason before the last of the arguments.
            Event::Finish(reason) => {
                self.finish.get_or_insert(*reason);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => self.end(out),
        }
    }

    /// Where the call is among the calls, or would be.
    fn find(&self, index: u32) -> Result<usize, usize> {
        self.calls.binary_search_by_key(&index, |call| call.0)
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.stage.reach(Stage::Started) {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            let response = WireResponse::new(&self.id, &self.model, self.created);
            Wire {
                kind,
                response: Some(response),
                ..Wire::default()
            }
            .write(&mut self.sequence, out);
        }
    }

    fn words(&mut self, content: Content, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let is_same = |item: &Item| {
            item.is_open()
                && std::mem::discriminant(&item.content) == std::mem::discriminant(&content)
        };
        if !self.items.last().is_some_and(is_same) {
            self.open(content, out);
        }
        self.piece(self.items.len().saturating_sub(1), piece, out);
    }

    /// The open text, where it is the last item.
    fn open_text(items: &mut [Item]) -> Option<(usize, &mut Item)> {
        let place = items.len().checked_sub(1)?;
        let item = items.last_mut()?;
        (item.is_open() && item.is_text()).then_some((place, item))
    }

    /// It ends its item.
    fn seal(&mut self, seal: &Seal, out: &mut Vec<u8>) {
        if seal.by != Signer::Openai {
            return;
        }
        let is_open = |item: &Item| item.is_open() && matches!(item.content, Content::Reasoning);
        if !self.items.last().is_some_and(is_open) {
            self.open(Content::Reasoning, out);
        }
        if let Some(item) = self.items.last_mut() {
            item.sealed = Some(seal.words.to_string());
        }
        self.close(self.items.len().saturating_sub(1), COMPLETED, out);
    }

    fn citation(&mut self, citation: &Citation, out: &mut Vec<u8>) {
        let open = Self::open_text(&mut self.items);
        let Some((place, item)) = open.filter(|_| !citation.url.is_empty()) else {
            return;
        };
        item.citations.push(citation.clone());
        let mut event = item.event("response.output_text.annotation.added", place);
        event.annotation_index = item.citations.len().checked_sub(1);
        event.annotation = Some(flat(citation));
        event.write(&mut self.sequence, out);
    }

    /// In a delta without text: they come behind what they are about.
    fn logprobs(&mut self, tokens: &[TokenLogprob], out: &mut Vec<u8>) {
        let Some((place, item)) = Self::open_text(&mut self.items) else {
            return;
        };
        item.logprobs.extend_from_slice(tokens);
        let mut event = item.event("response.output_text.delta", place);
        event.delta = Some("");
        event.logprobs = Some(wire_logprobs(tokens));
        event.write(&mut self.sequence, out);
    }

    /// Announces an item. The one before it is done, if it is whole.
    fn open(&mut self, content: Content, out: &mut Vec<u8>) {
        self.start(out);
        if self.items.last().is_some_and(Item::is_whole) {
            self.close(self.items.len().saturating_sub(1), COMPLETED, out);
        }
        let place = self.items.len();
        let kind = match content {
            Content::Reasoning => "rs",
            Content::Message | Content::Refusal => "msg",
            Content::Call { .. } => "fc",
        };
        let item = Item {
            id: item_id(kind, &self.id, place),
            content,
            text: String::new(),
            citations: Vec::new(),
            logprobs: Vec::new(),
            sealed: None,
            status: IN_PROGRESS,
        };
        Wire {
            kind: "response.output_item.added",
            output_index: Some(place),
            item: Some(item.wire()),
            ..Wire::default()
        }
        .write(&mut self.sequence, out);
        if let (.., Some([added, _])) = item.names() {
            let mut event = item.event(added, place);
            event.part = Some(item.part(""));
            event.write(&mut self.sequence, out);
        }
        self.items.push(item);
    }

    /// Adds to an item, if it is not done.
    fn piece(&mut self, place: usize, piece: &str, out: &mut Vec<u8>) {
        let item = self.items.get_mut(place);
        let Some(item) = item.filter(|item| item.is_open() && !piece.is_empty()) else {
            return;
        };
        item.text.push_str(piece);
        let (delta, ..) = item.names();
        let mut event = item.event(delta, place);
        event.delta = Some(piece);
        event.logprobs = item.is_text().then(Vec::new);
        event.write(&mut self.sequence, out);
    }

    fn close(&mut self, place: usize, status: &'static str, out: &mut Vec<u8>) {
        self.end_arguments(place, out);
        let item = self.items.get_mut(place);
        let Some(item) = item.filter(|item| item.is_open()) else {
            return;
        };
        item.status = status;
        let (_, done, parts) = item.names();
        let mut event = item.event(done, place);
        if let Content::Call { name, .. } = &item.content {
            event.name = Some(name);
            event.arguments = Some(&item.text);
        } else {
            let is_refusal = matches!(item.content, Content::Refusal);
            event.text = (!is_refusal).then_some(&*item.text);
            event.refusal = is_refusal.then_some(&*item.text);
            event.logprobs = item.is_text().then(|| wire_logprobs(&item.logprobs));
        }
        event.write(&mut self.sequence, out);
        if let Some([_, done]) = parts {
            let mut event = item.event(done, place);
            event.part = Some(item.part(&item.text));
            event.write(&mut self.sequence, out);
        }
        Wire {
            kind: "response.output_item.done",
            output_index: Some(place),
            item: Some(item.wire()),
            ..Wire::default()
        }
        .write(&mut self.sequence, out);
    }

    /// A call without arguments gets those that a client can read.
    fn end_arguments(&mut self, place: usize, out: &mut Vec<u8>) {
        let item = self.items.get(place);
        let is_blank = item.is_some_and(|item| {
            matches!(item.content, Content::Call { .. }) && item.text.trim().is_empty()
        });
        if is_blank {
            self.piece(place, arguments(""), out);
        }
    }

    fn close_all(&mut self, out: &mut Vec<u8>) {
        let status = self.finish.map_or(COMPLETED, status);
        for place in 0..self.items.len() {
            self.close(place, status, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close_all(out);
        let finish = self.finish.unwrap_or(FinishReason::Stop);
        let items = self.items.iter().map(Item::wire).collect();
        let response = WireResponse::new(&self.id, &self.model, self.created);
        Wire {
            kind: match status(finish) {
                COMPLETED => "response.completed",
                _ => "response.incomplete",
            },
            response: Some(response.ended(items, finish, self.usage)),
            ..Wire::default()
        }
        .write(&mut self.sequence, out);
        self.stage = Stage::Ended;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::Value;

    use super::super::StreamDecoder;
    use super::*;
    use crate::chat::Collector;
    use crate::sse;
    use crate::units::Tokens;

    #[derive(Deserialize)]
    struct Seen {
        #[serde(rename = "type")]
        kind: String,
        sequence_number: usize,
        output_index: Option<usize>,
        delta: Option<String>,
        /// The whole, in the event that ends a text or arguments.
        #[serde(alias = "arguments")]
        text: Option<String>,
        response: Option<Value>,
    }

    fn written(events: &[Event]) -> Vec<sse::Event> {
        let mut encoder = StreamEncoder::new(UnixMillis(1_000));
        let mut bytes = Vec::new();
        for event in events {
            encoder.push(event, &mut bytes);
        }
        let mut seen = Vec::new();
        sse::Decoder::new().push(&bytes, &mut seen).unwrap();
        seen
    }

    /// Whether the events are counted, and each item is announced, told in pieces and whole, and done, in this order.
    fn is_well_formed(events: &[sse::Event]) -> Result<(), String> {
        // What each item has said, while it is open.
        let mut items: Vec<Option<String>> = Vec::new();
        for (place, event) in events.iter().enumerate() {
            let seen: Seen = serde_json::from_str(&event.data).unwrap();
            let is_last = place + 1 == events.len();
            let item = seen.output_index.and_then(|index| items.get_mut(index));
            let is_good = match (seen.kind.as_str(), item) {
                ("response.created", None) => place == 0,
                ("response.in_progress", None) => place == 1,
                ("response.completed" | "response.incomplete", None) => {
                    let output = &seen.response.unwrap()["output"];
                    let is_whole = output.as_array().map(Vec::len) == Some(items.len());
                    is_last && is_whole && items.iter().all(Option::is_none)
                }
                ("response.output_item.added", None) => {
                    let is_next = seen.output_index == Some(items.len());
                    items.push(Some(String::new()));
                    is_next
                }
                ("response.output_item.done", Some(item)) => item.take().is_some(),
                (_, Some(Some(said))) => {
                    said.push_str(&seen.delta.unwrap_or_default());
                    seen.text.is_none_or(|text| text == *said)
                }
                _ => false,
            };
            if !is_good || seen.kind != event.name || seen.sequence_number != place {
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
        let call = (0..3_u32, text()).prop_map(|(index, id)| Event::CallStart {
            index,
            id,
            name: "f".to_owned(),
        });
        prop_oneof![
            Just(Event::Start {
                id: "id".to_owned(),
                model: "model".to_owned()
            }),
            text().prop_map(Event::Text),
            text().prop_map(Event::Reasoning),
            call,
            (0..3_u32, text()).prop_map(|(index, piece)| Event::CallArguments { index, piece }),
            Just(Event::Finish(FinishReason::Length)),
            Just(Event::Finish(FinishReason::ToolCalls)),
            Just(Event::Usage(usage)),
        ]
    }

    /// Three calls, whose arguments come a character at a time, in any order.
    fn woven() -> impl Strategy<Value = Vec<Event>> {
        let order = prop::collection::vec(0..3_u32, 0..40);
        (order, "[a-z{}]{0,9}").prop_map(|(order, word)| {
            let arguments = format!("{{\"word\":[\"{word}\"]}}");
            let mut rests = [(); 3].map(|()| arguments.chars());
            let start = |index: u32| Event::CallStart {
                index,
                id: format!("call_{index}"),
                name: "f".to_owned(),
            };
            let mut events: Vec<Event> = (0..3).map(start).collect();
            let rest = [0, 1, 2].repeat(arguments.len());
            for index in order.into_iter().chain(rest) {
                let piece = rests[index as usize].next().map(String::from);
                events.extend(piece.map(|piece| Event::CallArguments { index, piece }));
            }
            events.extend([Event::Finish(FinishReason::ToolCalls), Event::End]);
            events
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_the_items_are_well_formed(
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

    #[test]
    fn ids_of_items_stay_within_what_openai_takes_back() {
        let id = "a\u{e9}\n".repeat(1_000);
        let start = Event::Start {
            id,
            model: String::new(),
        };
        let seen = written(&[start, Event::Text("hi".to_owned())]);
        let added: Value = serde_json::from_str(&seen[2].data).unwrap();
        let id = added["item"]["id"].as_str().unwrap();
        assert_eq!(id, format!("msg_{}_0", "a".repeat(40)));
    }
}
