//! The path of a call, with the model in it.

use super::super::{Shape, path_segment};

/// `/model/{model}/converse`. A model may be an ARN: AWS's SDKs encode its colons and slashes, and sign the path as it is
/// then.
pub(in super::super) fn path(shape: &Shape) -> String {
    let model = path_segment(shape.model);
    let call = if shape.is_streaming {
        "converse-stream"
    } else {
        "converse"
    };
    format!("/model/{model}/{call}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::{Features, Quirks};
    use crate::units::Tokens;

    #[test]
    fn a_models_colons_and_slashes_are_encoded() {
        let path = |model, is_streaming| {
            path(&Shape {
                model,
                is_streaming,
                answer_tokens_default: Tokens(9),
                prefill: None,
                quirks: Quirks::NONE,
                carried: Features::NONE,
            })
        };
        assert_eq!(
            path("anthropic.claude-sonnet-4-5-20250929-v1:0", false),
            "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
        );
        assert_eq!(
            path(
                "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x?#é",
                true
            ),
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.x%3F%23%C3%A9/converse-stream"
        );
    }
}
