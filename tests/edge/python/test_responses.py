"""What `client.responses` of the PyPI SDK gets, from targets of the other dialects; see `test_openai.py`."""

import json
import os

import openai
import pydantic
import pytest

ROUTES = json.loads(os.environ["WAYPOST_ROUTES"])
WEATHER = {
    "type": "function",
    "name": "weather",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}},
        "required": ["city", "unit"],
    },
}


class Person(pydantic.BaseModel):
    name: str
    age: int


@pytest.fixture
def client():
    url, key = os.environ["WAYPOST_URL"], os.environ["WAYPOST_KEY"]
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture(params=["openai-chat", "anthropic"])
def dialect(request):
    return request.param


@pytest.fixture
def model(dialect):
    return ROUTES[dialect]


def said(model):
    return f"first here, model {model}-0. You said: hi."


def test_completes_with_usage(client, model):
    answer = client.responses.create(model=model, input="hi")
    assert answer.output_text.startswith(said(model))
    assert answer.status == "completed"
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (4, 24, 28)


def test_streams_with_usage(client, model):
    events = list(client.responses.create(model=model, input="hi", stream=True))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(pieces) == 24
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "".join(pieces)
    assert events[-1].response.usage.output_tokens == 24


def test_satisfies_the_stream_helper(client, model):
    with client.responses.stream(model=model, input="hi") as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text.startswith(said(model))


def test_calls_a_tool_and_takes_its_result(client, model):
    question = [{"role": "user", "content": "hi"}]
    with client.responses.stream(model=model, input=question, tools=[WEATHER]) as stream:
        for _ in stream:
            pass
        (call,) = stream.get_final_response().output
    assert (call.type, call.name) == ("function_call", "weather")
    assert json.loads(call.arguments) == {"city": "lab", "unit": "celsius"}
    asked = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}
    answer = client.responses.create(model=model, input=[*question, asked, result], tools=[WEATHER])
    assert "The tool said: It rains." in answer.output_text


def test_answers_in_a_schema(client, model):
    parsed = client.responses.parse(model=model, input="hi", text_format=Person)
    assert parsed.output_parsed.name == "lab"


def test_cut_stream_raises_after_its_first_tokens(client, dialect):
    text = ""
    with pytest.raises(openai.APIError) as raised:
        for event in client.responses.create(model=ROUTES[f"{dialect} is cut"], input="hi", stream=True):
            if event.type == "response.output_text.delta":
                text += event.delta
    assert text
    assert raised.value.code == "cut_off"


def test_refusals_raise_their_class(client, model):
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model=model, input="hi", previous_response_id="resp_1")
    assert "previous_response_id" in str(raised.value)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="nowhere", input="hi")
