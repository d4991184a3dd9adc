//! Folds stream events into one answer.
//!
//! Used when the client wants the answer whole and the provider is asked for a stream, so that a late first
//! token is noticed in both modes. The sum of all pieces is bounded by whoever feeds it.

use super::answer::{Answer, ToolCall};
use super::event::Event;

/// An answer that grows.
#[derive(Debug, Default)]
pub struct Collector {
    answer: Answer,
    /// The stream's index of each call in `answer.calls`: providers may skip numbers.
    indices: Vec<u32>,
}

impl Collector {
    pub fn push(&mut self, event: Event) {
        match event {
            Event::Start { id, model } => {
                self.answer.id = id;
                self.answer.model = model;
            }
            Event::Text(piece) => self.answer.text.push_str(&piece),
            Event::Reasoning(piece) => self.answer.reasoning.push_str(&piece),
            Event::Seal(seal) => self.answer.seal_thoughts(Some(seal)),
            Event::Refusal(piece) => self.answer.refusal.push_str(&piece),
            Event::Citation(citation) => self.answer.citations.push(citation),
            Event::Logprobs(tokens) => self.answer.logprobs.extend(tokens),
            Event::CallStart { index, id, name } => {
                self.indices.push(index);
                self.answer.calls.push(ToolCall {
                    id,
                    name,
                    ..ToolCall::default()
                });
            }
            Event::CallArguments { index, piece } => {
                if let Some(call) = self.call(index) {
                    call.arguments.push_str(&piece);
                }
            }
            Event::CallSignature { index, signature } => {
                if let Some(call) = self.call(index) {
                    call.signature = Some(signature);
                }
            }
            Event::Finish(reason) => self.answer.finish = Some(reason),
            Event::Usage(usage) => self.answer.usage = Some(usage),
            Event::End => {}
        }
    }

    fn call(&mut self, index: u32) -> Option<&mut ToolCall> {
        let place = self.indices.iter().rposition(|known| *known == index)?;
        self.answer.calls.get_mut(place)
    }

    #[must_use]
    pub fn finish(self) -> Answer {
        self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_arguments_find_their_calls() {
        let mut collector = Collector::default();
        for (index, name) in [(0, "a"), (2, "b")] {
            collector.push(Event::CallStart {
                index,
                id: format!("id-{name}"),
                name: name.to_owned(),
            });
        }
        for (index, piece) in [(2, "{\"b\""), (0, "{}"), (2, ":1}"), (7, "lost")] {
            collector.push(Event::CallArguments {
                index,
                piece: piece.to_owned(),
            });
        }
        let calls = collector.finish().calls;
        let arguments: Vec<_> = calls.iter().map(|call| call.arguments.as_str()).collect();
        assert_eq!(arguments, ["{}", "{\"b\":1}"]);
    }
}
