//! Reads a stream of Gemini's chunks.
//!
//! Each is an answer like a whole one, with what is new. There is no end marker: "if empty, the model has not stopped
//! generating tokens" is said of `finishReason` (<https://ai.google.dev/api/generate-content#candidate>), so the chunk that
//! has it is the end, or, where it tells no usage, the next that does: providers that imitate Google send the two apart.
//! The first Gemini models said `STOP` in every chunk; they are gone. A call comes whole, in one part. `[DONE]` is the end
//! too, because some servers add it.

use super::super::StreamFault;
use super::super::read::{self, Kind, Raw};
use super::super::stream::Stage;
use super::answer::{ReadChunk, Said};
use super::citation::Sources;
use crate::chat::Event;
use crate::sse;

/// The end marker of chat completions.
const DONE: &str = "[DONE]";

#[derive(Debug, Default)]
pub(in super::super) struct StreamDecoder {
    calls: u32,
    has_usage: bool,
    sources: Sources,
    stage: Stage,
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
            self.end(out);
            return Ok(());
        }
        let raw: Raw = serde_json::from_str(data).map_err(|_| StreamFault::Garbled)?;
        if read::kind(raw) != Kind::Object {
            return Err(StreamFault::Garbled);
        }
        let chunk = ReadChunk::read(raw);
        let calls = usize::try_from(self.calls).unwrap_or(usize::MAX);
        let spoken = chunk
            .speak(calls)
            .map_err(|(failure, told)| StreamFault::Failed(failure, told))?;
        let usage = chunk.usage();
        if self.stage.reach(Stage::Started) {
            out.push(Event::Start {
                id: chunk.id,
                model: chunk.model,
            });
        }
        for said in spoken.said {
            self.say(said, out);
        }
        if !spoken.logprobs.is_empty() {
            out.push(Event::Logprobs(spoken.logprobs));
        }
        let [quoted, grounded] = spoken.sources;
        let citations = self.sources.read(quoted, grounded);
        out.extend(citations.into_iter().map(Event::Citation));
        if let Some(reason) = spoken.finish
            && self.stage.reach(Stage::Finished)
        {
            out.push(Event::Finish(reason));
        }
        if let Some(usage) = usage {
            self.has_usage = true;
            out.push(Event::Usage(usage));
        }
        if self.stage == Stage::Finished && self.has_usage {
            self.end(out);
        }
        Ok(())
    }

    fn say(&mut self, said: Said, out: &mut Vec<Event>) {
        match said {
            Said::Text(piece) => {
                self.sources.hear(&piece);
                out.push(Event::Text(piece));
            }
            Said::Thought(piece) => out.push(Event::Reasoning(piece)),
            Said::Seal(seal) => out.push(Event::Seal(seal)),
            Said::Call(call) => {
                let index = self.calls;
                self.calls = self.calls.saturating_add(1);
                out.push(Event::CallStart {
                    index,
                    id: call.id,
                    name: call.name,
                });
                out.push(Event::CallArguments {
                    index,
                    piece: call.arguments,
                });
                out.extend(
                    call.signature
                        .map(|signature| Event::CallSignature { index, signature }),
                );
            }
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        self.stage = Stage::Ended;
        out.push(Event::End);
    }
}
