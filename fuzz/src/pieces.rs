//! What providers say, piece by piece: the streams and whole answers that programs are made of.

use waypost::dialects::ClientDialect;

/// How many pieces each dialect has. A number beyond them starts again.
const COUNT: usize = 32;

/// The piece of this number in this dialect. The same number means the same in all.
pub fn piece(dialect: ClientDialect, number: usize) -> Vec<u8> {
    let number = number % COUNT;
    match dialect {
        ClientDialect::OpenaiChat => openai(number),
        ClientDialect::Anthropic => anthropic(number),
        ClientDialect::OpenaiResponses => responses(number),
        ClientDialect::Gemini => gemini(number),
    }
    .into_bytes()
}

/// An event that says this text.
pub fn text(dialect: ClientDialect, text: &str) -> Vec<u8> {
    let text = serde_json::to_string(text).expect("a string is JSON");
    match dialect {
        ClientDialect::OpenaiChat => chunk(&format!("{{\"content\":{text}}}"), "null"),
        ClientDialect::Anthropic => {
            delta(0, &format!("{{\"type\":\"text_delta\",\"text\":{text}}}"))
        }
        ClientDialect::OpenaiResponses => said(&text),
        ClientDialect::Gemini => parts(&format!("{{\"text\":{text}}}"), "null"),
    }
    .into_bytes()
}

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":\
         [{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn call(index: u32, fields: &str) -> String {
    let call = format!("{{\"tool_calls\":[{{\"index\":{index},{fields}}}]}}");
    chunk(&call, "null")
}

fn openai(number: usize) -> String {
    let usage = "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}";
    match number {
        0 => chunk("{\"role\":\"assistant\",\"content\":\"\"}", "null"),
        1 => chunk("{\"content\":\"Hello\"}", "null"),
        2 => chunk("{\"content\":\" world \\n\"}", "null"),
        3 => chunk("{\"reasoning_content\":\"Hm\"}", "null"),
        4 => call(0, "\"id\":\"k0\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}"),
        5 => call(0, "\"function\":{\"arguments\":\"{\\\"a\\\":\"}"),
        6 => call(0, "\"function\":{\"arguments\":\"1}\"}"),
        7 => call(1, "\"id\":\"k1\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}"),
        8 => chunk("{}", "\"stop\""),
        9 => chunk("{}", "\"length\""),
        10 => chunk("{}", "\"tool_calls\""),
        11 => chunk("{}", "\"content_filter\""),
        12 => format!("data: {{\"id\":\"c1\",\"model\":\"m\",\"choices\":[],{usage}}}\n\n"),
        13 => "data: [DONE]\n\n".to_owned(),
        14 => ": ping\n\n".to_owned(),
        15 => "data: {\"error\":{\"message\":\"down\",\"type\":\"server_error\"}}\n\n".to_owned(),
        16 => "event: error\ndata: {\"message\":\"slow\",\"code\":429}\n\n".to_owned(),
        17 => "data: {\"id\":\n\n".to_owned(),
        18 => chunk("{\"content\":\"cr\"}", "null").replace('\n', "\r"),
        19 => chunk("{\"content\":\"crlf\"}", "null").replace('\n', "\r\n"),
        20 => "data: [DONE]".to_owned(),
        21 => chunk("{}", "\"stop\"").trim_end().to_owned(),
        22 => format!(
            "{{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\
             \"message\":{{\"role\":\"assistant\",\"content\":\"Whole\"}},\"finish_reason\":\"stop\"}}],{usage}}}"
        ),
        23 => "{\"id\":\"c1\",\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\
               \"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"k0\",\"type\":\"function\",\"function\":{\
               \"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}]},\"finish_reason\":\"tool_calls\"}]}"
            .to_owned(),
        24 => "{\"id\":\"c1\",\"choices\":[]}".to_owned(),
        25 => "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\"}}"
            .to_owned(),
        26 => "\u{feff}".to_owned(),
        27 => "\n".to_owned(),
        28 => "\r".to_owned(),
        29 => chunk("{\"refusal\":\"No\"}", "null"),
        30 => "<html>gateway</html>".to_owned(),
        _ => whole_stream(openai, &[0, 1, 8, 12, 13]),
    }
}

fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn delta(index: u32, delta: &str) -> String {
    let data = format!("{{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{delta}}}");
    event("content_block_delta", &data)
}

fn block(index: u32, block: &str) -> String {
    let data =
        format!("{{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{block}}}");
    event("content_block_start", &data)
}

fn stop(reason: &str) -> String {
    let data = format!(
        "{{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{reason}\"}},\"usage\":{{\"output_tokens\":2}}}}"
    );
    event(
        "content_block_stop",
        "{\"type\":\"content_block_stop\",\"index\":0}",
    ) + &event("message_delta", &data)
}

fn anthropic(number: usize) -> String {
    let input = "\"type\":\"input_json_delta\",\"partial_json\"";
    match number {
        0 => event(
            "message_start",
            "{\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\
             \"model\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}",
        ),
        1 => delta(0, "{\"type\":\"text_delta\",\"text\":\"Hello\"}"),
        2 => delta(0, "{\"type\":\"text_delta\",\"text\":\" world \\n\"}"),
        3 => delta(0, "{\"type\":\"thinking_delta\",\"thinking\":\"Hm\"}"),
        4 => block(1, "{\"type\":\"tool_use\",\"id\":\"k0\",\"name\":\"f\",\"input\":{}}"),
        5 => delta(1, &format!("{{{input}:\"{{\\\"a\\\":\"}}")),
        6 => delta(1, &format!("{{{input}:\"1}}\"}}")),
        7 => block(2, "{\"type\":\"tool_use\",\"id\":\"k1\",\"name\":\"g\",\"input\":{\"b\":2}}"),
        8 => stop("end_turn"),
        9 => stop("max_tokens"),
        10 => stop("tool_use"),
        11 => stop("refusal"),
        12 => event("message_delta", "{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":3}}"),
        13 => event("message_stop", "{\"type\":\"message_stop\"}"),
        14 => event("ping", "{\"type\":\"ping\"}"),
        15 => event("error", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}"),
        16 => "data: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"down\"}}\n\n".to_owned(),
        17 => "event: content_block_delta\ndata: {\"type\":\n\n".to_owned(),
        18 => delta(0, "{\"type\":\"text_delta\",\"text\":\"cr\"}").replace('\n', "\r"),
        19 => delta(0, "{\"type\":\"text_delta\",\"text\":\"crlf\"}").replace('\n', "\r\n"),
        20 => "event: message_stop\ndata: {\"type\":\"message_stop\"}".to_owned(),
        21 => stop("end_turn").trim_end().to_owned(),
        22 => "{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[{\"type\":\"text\",\
               \"text\":\"Whole\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":9,\"output_tokens\":2}}"
            .to_owned(),
        23 => "{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[{\"type\":\"tool_use\",\
               \"id\":\"k0\",\"name\":\"f\",\"input\":{\"a\":1}}],\"stop_reason\":\"tool_use\"}"
            .to_owned(),
        24 => "{\"id\":\"m1\",\"type\":\"message\",\"content\":[]}".to_owned(),
        25 => "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long\"}}"
            .to_owned(),
        26 => "\u{feff}".to_owned(),
        27 => "\n".to_owned(),
        28 => "\r".to_owned(),
        29 => block(0, "{\"type\":\"text\",\"text\":\"\"}"),
        30 => "<html>gateway</html>".to_owned(),
        _ => whole_stream(anthropic, &[0, 29, 1, 8, 13]),
    }
}

fn typed(name: &str, fields: &str) -> String {
    event(name, &format!("{{\"type\":\"{name}\",{fields}}}"))
}

/// `text` is a JSON string.
fn said(text: &str) -> String {
    typed(
        "response.output_text.delta",
        &format!("\"item_id\":\"i0\",\"output_index\":0,\"delta\":{text}"),
    )
}

fn function(index: u32, id: &str, name: &str, arguments: &str) -> String {
    format!(
        "\"output_index\":{index},\"item\":{{\"type\":\"function_call\",\"id\":\"f{index}\",\"call_id\":\"{id}\",\
         \"name\":\"{name}\",\"arguments\":\"{arguments}\"}}"
    )
}

fn ended(status: &str, details: &str) -> String {
    let fields = format!(
        "\"response\":{{\"id\":\"r1\",\"model\":\"m\",\"status\":\"{status}\",\"incomplete_details\":{details},\
         \"output\":[],\"usage\":{{\"input_tokens\":9,\"output_tokens\":2,\"total_tokens\":11}}}}"
    );
    typed(&format!("response.{status}"), &fields)
}

fn responses(number: usize) -> String {
    let arguments = "response.function_call_arguments.delta";
    let whole = "{\"id\":\"r1\",\"object\":\"response\",\"status\":\"completed\",\"model\":\"m\",\"output\"";
    match number {
        0 => typed("response.created", "\"response\":{\"id\":\"r1\",\"model\":\"m\",\"status\":\"in_progress\",\"output\":[]}"),
        1 => said("\"Hello\""),
        2 => said("\" world \\n\""),
        3 => typed("response.reasoning_summary_text.delta", "\"output_index\":3,\"summary_index\":0,\"delta\":\"Hm\""),
        4 => typed("response.output_item.added", &function(1, "k0", "f", "")),
        5 => typed(arguments, "\"output_index\":1,\"delta\":\"{\\\"a\\\":\""),
        6 => typed(arguments, "\"output_index\":1,\"delta\":\"1}\""),
        7 => typed("response.output_item.done", &function(2, "k1", "g", "{\\\"b\\\":2}")),
        8 | 12 => ended("completed", "null"),
        9 => ended("incomplete", "{\"reason\":\"max_output_tokens\"}"),
        10 => typed("response.output_item.done", &function(1, "k0", "f", "{}")) + &ended("completed", "null"),
        11 => ended("incomplete", "{\"reason\":\"content_filter\"}"),
        13 => "data: [DONE]\n\n".to_owned(),
        14 => ": ping\n\n".to_owned(),
        15 => typed("error", "\"code\":\"server_error\",\"message\":\"down\",\"param\":null"),
        16 => typed("response.failed", "\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow\"}}"),
        17 => "event: response.output_text.delta\ndata: {\"type\":\n\n".to_owned(),
        18 => said("\"cr\"").replace('\n', "\r"),
        19 => said("\"crlf\"").replace('\n', "\r\n"),
        20 | 21 => ended("completed", "null").trim_end().to_owned(),
        22 => format!(
            "{whole}:[{{\"type\":\"message\",\"content\":[{{\"type\":\"output_text\",\"text\":\"Whole\"}}]}}],\
             \"usage\":{{\"input_tokens\":9,\"output_tokens\":2}}}}"
        ),
        23 => format!(
            "{whole}:[{{\"type\":\"function_call\",\"call_id\":\"k0\",\"name\":\"f\",\"arguments\":\"{{\\\"a\\\":1}}\"}}]}}"
        ),
        24 => format!("{whole}:[]}}"),
        25 => "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\"}}"
            .to_owned(),
        26 => "\u{feff}".to_owned(),
        27 => "\n".to_owned(),
        28 => "\r".to_owned(),
        29 => typed("response.refusal.delta", "\"output_index\":0,\"delta\":\"No\""),
        30 => "<html>gateway</html>".to_owned(),
        _ => whole_stream(responses, &[0, 1, 8]),
    }
}

fn parts(parts: &str, finish: &str) -> String {
    format!(
        "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{parts}],\"role\":\"model\"}},\"finishReason\":{finish},\"index\":0}}],\
         \"modelVersion\":\"m\",\"responseId\":\"g1\"}}\r\n\r\n"
    )
}

fn gemini(number: usize) -> String {
    let usage = "\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":2,\"totalTokenCount\":11}";
    let whole = |content: &str| {
        format!(
            "{{\"candidates\":[{{\"content\":{content},\"finishReason\":\"STOP\"}}],{usage},\"responseId\":\"g1\"}}"
        )
    };
    match number {
        0 => format!("data: {{{usage},\"modelVersion\":\"m\",\"responseId\":\"g1\"}}\n\n"),
        1 => parts("{\"text\":\"Hello\"}", "null"),
        2 => parts("{\"text\":\" world \\n\"}", "null"),
        3 => parts("{\"text\":\"Hm\",\"thought\":true}", "null"),
        4 => parts("{\"functionCall\":{\"id\":\"k0\",\"name\":\"f\"}}", "null"),
        5 => parts(
            "{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}},\"thoughtSignature\":\"c2ln\"}",
            "null",
        ),
        6 => parts("{\"functionCall\":{\"args\":[7]}}", "null"),
        7 => parts(
            "{\"functionCall\":{\"id\":\"k1\",\"name\":\"g\",\"args\":{}}},{\"text\":\"and\"}",
            "null",
        ),
        8 => parts("{\"text\":\"\"}", "\"STOP\""),
        9 => parts("", "\"MAX_TOKENS\""),
        10 => parts("{\"functionCall\":{\"name\":\"f\"}}", "\"STOP\""),
        11 => parts("", "\"SAFETY\""),
        12 => format!("data: {{{usage}}}\n\n"),
        13 => "data: [DONE]\n\n".to_owned(),
        14 => ": ping\n\n".to_owned(),
        15 => {
            "data: {\"error\":{\"code\":503,\"message\":\"down\",\"status\":\"UNAVAILABLE\"}}\n\n"
                .to_owned()
        }
        16 => parts("", "\"MALFORMED_FUNCTION_CALL\""),
        17 => "data: {\"candidates\":\n\n".to_owned(),
        18 => parts("{\"text\":\"cr\"}", "null").replace("\r\n", "\r"),
        19 => parts("{\"text\":\"lf\"}", "null").replace("\r\n", "\n"),
        20 => format!("data: {{\"promptFeedback\":{{\"blockReason\":\"SAFETY\"}},{usage}}}\n\n"),
        21 => parts("", "\"STOP\"").trim_end().to_owned(),
        22 => whole("{\"parts\":[{\"text\":\"Whole\"}]}"),
        23 => whole("{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}}}]}"),
        24 => whole("{}"),
        25 => "{\"error\":{\"code\":400,\"message\":\"no\",\"status\":\"INVALID_ARGUMENT\"}}"
            .to_owned(),
        26 => "\u{feff}".to_owned(),
        27 => "\n".to_owned(),
        28 => "\r".to_owned(),
        29 => parts(
            "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"iVBO\"}}",
            "null",
        ),
        30 => "<html>gateway</html>".to_owned(),
        _ => whole_stream(gemini, &[0, 1, 8]),
    }
}

fn whole_stream(piece: fn(usize) -> String, numbers: &[usize]) -> String {
    numbers.iter().map(|number| piece(*number)).collect()
}
