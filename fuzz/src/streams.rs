//! A provider's stream, read, written for a client, and read again as that client would.
//!
//! The first byte picks both dialects and whether the client asked for usage; the rest are the provider's bytes.
//! What went in must come out, as far as the client's dialect has words for it.

use serde_json::Value;
use waypost::chat::{Answer, Collector, Event, FinishReason, Usage};
use waypost::dialects::{
    ClientDialect, ClientError, Dialect, StreamDecoder, StreamEncoder, StreamFault,
    encode_error_event,
};
use waypost::sse;
use waypost::units::{Tokens, UnixMillis};

/// Above what any model can count, sums saturate and parts no longer add up.
const TOKENS_SANE_MAX: u64 = 1 << 40;

/// What a reader makes of a stream.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    pub events: Vec<Event>,
    pub garbled: usize,
    /// The provider said that it failed; nothing is read after it.
    pub has_failed: bool,
    /// Bytes of an event that never ended.
    pub pending: usize,
    /// Events after the end marker, whatever they say.
    pub after_end: usize,
}

impl Reading {
    pub fn has_ended(&self) -> bool {
        self.events.contains(&Event::End)
    }

    /// Text and refusals, in their order: Anthropic's have no place of their own.
    fn words(&self) -> String {
        let word = |event: &Event| match event {
            Event::Text(piece) | Event::Refusal(piece) => Some(piece.clone()),
            _ => None,
        };
        self.events.iter().filter_map(word).collect()
    }

    fn answer(&self) -> Answer {
        let mut collector = Collector::default();
        for event in &self.events {
            collector.push(event.clone());
        }
        collector.finish()
    }
}

/// A streamed answer, translated.
pub fn streams(bytes: &[u8]) {
    let Some((first, stream)) = bytes.split_first() else {
        return;
    };
    // The others came later, and must not change what older inputs mean.
    let dialect = |bit: u8, third: u8, fourth: u8| match (first >> third & 1, first >> fourth & 1) {
        (_, 1) => ClientDialect::Gemini,
        (0, _) => ClientDialect::ALL[usize::from(first >> bit & 1)],
        _ => ClientDialect::OpenaiResponses,
    };
    let (provider, client) = (dialect(0, 6, 3), dialect(1, 7, 4));
    let wants_usage = first & 4 == 0;
    let said = read(provider.into(), stream);
    check_order(&said.events);

    let written = write(client, wants_usage, &said.events);
    check_json(client, &written);
    let heard = read(client.into(), &written);
    assert_eq!(
        (heard.garbled, heard.pending),
        (0, 0),
        "we write no garbage"
    );
    assert!(!heard.has_failed, "we invent no failure");
    check_order(&heard.events);
    assert_eq!(said.has_ended(), heard.has_ended(), "an end is an end");
    let (said_answer, heard_answer) = (said.answer(), heard.answer());
    if said.has_ended() {
        assert_eq!(said.words(), heard.words());
        assert_eq!(said_answer.reasoning, heard_answer.reasoning);
        check_same(client, wants_usage, &said_answer, &heard_answer);
    } else {
        // What waits for the end of a call is not told where there is none.
        assert!(said.words().starts_with(&heard.words()));
        assert!(said_answer.reasoning.starts_with(&heard_answer.reasoning));
        check_broken(client, written);
    }
}

/// Reads a stream as the exchange does.
pub fn read(dialect: Dialect, stream: &[u8]) -> Reading {
    let mut lines = sse::Decoder::new();
    let mut blocks = Vec::new();
    if lines.push(stream, &mut blocks).is_err() {
        return Reading::default();
    }
    let mut reading = Reading {
        pending: lines.pending_bytes(),
        ..Reading::default()
    };
    lines.finish(&mut blocks);
    let mut decoder = StreamDecoder::new(dialect);
    for block in &blocks {
        let before = reading.events.len();
        reading.after_end += usize::from(reading.has_ended());
        let outcome = decoder.push(block, &mut reading.events);
        if let Err(fault) = outcome {
            assert_eq!(reading.events.len(), before, "a fault says nothing");
            if let StreamFault::Failed(..) = fault {
                reading.has_failed = true;
                return reading;
            }
            reading.garbled += 1;
        }
    }
    reading
}

/// What `chat::Event` promises of every translator.
fn check_order(events: &[Event]) {
    let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
    let place = |is: fn(&Event) -> bool| events.iter().position(is);
    let is_start = |event: &Event| matches!(event, Event::Start { .. });
    assert!(count(is_start) <= 1, "started twice: {events:?}");
    assert!(count(|event| matches!(event, Event::Finish(_))) <= 1);
    assert!(count(|event| *event == Event::End) <= 1);
    if let Some(end) = place(|event| *event == Event::End) {
        assert_eq!(end + 1, events.len(), "more after the end: {events:?}");
    }
    let content = place(|event| event.is_good_token() || matches!(event, Event::Finish(_)));
    if let Some(content) = content {
        let start = place(is_start);
        assert!(
            start.is_some_and(|start| start < content),
            "no start: {events:?}"
        );
    }
    let mut calls = 0;
    for event in events {
        match event {
            Event::CallStart { index, .. } => {
                assert_eq!(*index, calls, "calls are counted from 0: {events:?}");
                calls += 1;
            }
            Event::CallArguments { index, .. } => assert!(*index < calls, "{events:?}"),
            _ => {}
        }
    }
}

fn write(client: ClientDialect, wants_usage: bool, events: &[Event]) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(client, UnixMillis(1_000), wants_usage);
    let mut written = Vec::new();
    for event in events {
        let mut piece = Vec::new();
        encoder.push(event, &mut piece);
        let is_whole = piece.is_empty() || piece.ends_with(b"\n\n");
        assert!(is_whole, "half an event for {event:?}");
        written.extend(piece);
    }
    written
}

/// All data is JSON but the end marker of chat completions, and the others' events are named by their type.
fn check_json(client: ClientDialect, written: &[u8]) {
    let mut events = Vec::new();
    assert!(sse::Decoder::new().push(written, &mut events).is_ok());
    for (place, event) in events.iter().enumerate() {
        let is_last = place + 1 == events.len();
        if client == ClientDialect::OpenaiChat && event.data == "[DONE]" {
            assert!(is_last, "written after the end");
            continue;
        }
        let tree: Value = match serde_json::from_str(&event.data) {
            Ok(tree) => tree,
            // Calls' arguments may be deeper, and their numbers larger, than this parser goes.
            Err(error) => {
                let told = error.to_string();
                let is_beyond = ["recursion limit", "number out of range"];
                assert!(is_beyond.iter().any(|words| told.contains(words)), "{told}");
                continue;
            }
        };
        match client {
            ClientDialect::OpenaiChat => assert_eq!(tree["object"], "chat.completion.chunk"),
            ClientDialect::Anthropic => assert_eq!(tree["type"], event.name.as_str()),
            ClientDialect::OpenaiResponses => {
                assert_eq!(tree["type"], event.name.as_str());
                assert_eq!(tree["sequence_number"], place, "events are counted");
            }
            ClientDialect::Gemini => {
                let candidate = &tree["candidates"][0];
                assert!(candidate["content"]["parts"][0].is_object());
                assert!(is_last || candidate.get("finishReason").is_none());
            }
        }
        let is_end = matches!(
            event.name.as_str(),
            "message_stop" | "response.completed" | "response.incomplete"
        );
        assert!(!is_end || is_last);
    }
}

/// An answer that ended is the same answer, but for what the client's dialect cannot say.
fn check_same(client: ClientDialect, wants_usage: bool, said: &Answer, heard: &Answer) {
    assert_eq!((&said.id, &said.model), (&heard.id, &heard.model));
    let has_nameless = said.calls.iter().any(|call| call.name.is_empty());
    if !has_nameless {
        assert_eq!(said.calls.len(), heard.calls.len());
        for (said, heard) in said.calls.iter().zip(&heard.calls) {
            assert_eq!(said.name, heard.name);
            assert!(said.id == heard.id || said.id.is_empty());
            let is_nothing = said.arguments.trim().is_empty();
            let arguments = if is_nothing { "{}" } else { &said.arguments };
            let is_same = heard.arguments == arguments || heard.arguments == said.arguments;
            // Some dialects have no words for what is no JSON.
            let is_broken = serde_json::from_str::<Value>(arguments).is_err();
            assert!(is_same || is_broken, "{said:?} became {heard:?}");
        }
        check_finish(client, said, heard);
    }
    let is_sane = |usage: &Usage| usage.prompt.0.max(usage.answer.0) <= TOKENS_SANE_MAX;
    if let Some(usage) = said.usage.filter(is_sane)
        && (wants_usage || client != ClientDialect::OpenaiChat)
    {
        let figures = |usage: Usage| (usage.prompt, usage.answer, usage.cached);
        let told = heard.usage.map(figures);
        assert_eq!(told, Some(figures(usage)), "of {usage:?}");
        assert!(usage.cached <= usage.prompt && usage.reasoning <= usage.answer);
    }
    if said.usage.is_none() {
        let nothing = heard.usage.unwrap_or_default();
        assert_eq!((nothing.prompt, nothing.answer), (Tokens(0), Tokens(0)));
    }
}

fn check_finish(client: ClientDialect, said: &Answer, heard: &Answer) {
    let has_calls = !said.calls.is_empty();
    match said.finish {
        // Where calls were made, every dialect calls that the reason.
        None | Some(FinishReason::Stop) if has_calls => assert!(matches!(
            heard.finish,
            Some(FinishReason::ToolCalls | FinishReason::Stop)
        )),
        None => assert_eq!(heard.finish, Some(FinishReason::Stop)),
        // Some have no word for calls but the calls.
        Some(FinishReason::ToolCalls)
            if !has_calls
                && matches!(
                    client,
                    ClientDialect::OpenaiResponses | ClientDialect::Gemini
                ) =>
        {
            assert_eq!(heard.finish, Some(FinishReason::Stop));
        }
        reason => assert_eq!(heard.finish, reason),
    }
}

/// An error event after what was written makes it a failure to its reader, and no end.
fn check_broken(client: ClientDialect, mut written: Vec<u8>) {
    let error = ClientError {
        status: 502,
        code: "cut_off".to_owned(),
        message: "the answer broke off".to_owned(),
        param: None,
        retry_after: None,
    };
    written.extend(encode_error_event(client, &error));
    let heard = read(client.into(), &written);
    assert!(heard.has_failed && !heard.has_ended());
}
