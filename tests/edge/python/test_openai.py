"""What a program with the PyPI SDK gets: the same answers and exceptions as from OpenAI itself.

`tests/edge/python.mjs` starts the edge and names its routes in the environment. Each case runs against a target
that speaks OpenAI's dialect and one that speaks Anthropic's.
"""

import asyncio
import json
import os

import openai
import pydantic
import pytest

URL = os.environ["WAYPOST_URL"]
ROUTES = json.loads(os.environ["WAYPOST_ROUTES"])
QUESTION = [{"role": "user", "content": "hi"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "kelvin"]},
                "hours": {"type": "array", "items": {"type": "number"}},
            },
            "required": ["city", "unit"],
        },
    },
}


class Person(pydantic.BaseModel):
    name: str
    age: int
    tags: list[str]


@pytest.fixture
def client():
    with openai.OpenAI(base_url=URL, api_key=os.environ["WAYPOST_KEY"], max_retries=0, timeout=20) as client:
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
    answer = client.chat.completions.create(model=model, messages=QUESTION)
    assert answer.choices[0].message.content.startswith(said(model))
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 24, 28)


@pytest.mark.parametrize("options", [None, {"include_usage": True}])
def test_streams_with_usage(client, model, options):
    more = {} if options is None else {"stream_options": options}
    chunks = list(client.chat.completions.create(model=model, messages=QUESTION, stream=True, **more))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) == 24
    assert "".join(pieces).startswith(said(model))
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert reasons == ["stop"]
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [24]


def test_satisfies_the_stream_helper(client, model):
    with client.chat.completions.stream(model=model, messages=QUESTION) as stream:
        done = [event for event in stream if event.type == "content.done"]
        final = stream.get_final_completion()
    assert done[0].content == final.choices[0].message.content
    assert final.choices[0].message.content.startswith(said(model))


def test_async_client_streams(model):
    async def read():
        async with openai.AsyncOpenAI(base_url=URL, api_key=os.environ["WAYPOST_KEY"], max_retries=0) as client:
            stream = await client.chat.completions.create(model=model, messages=QUESTION, stream=True)
            return [chunk async for chunk in stream]

    text = "".join(chunk.choices[0].delta.content or "" for chunk in asyncio.run(read()) if chunk.choices)
    assert text.startswith(said(model))


def test_calls_a_tool_and_takes_its_result(client, model):
    call_id, name, arguments, pieces = None, None, "", 0
    for chunk in client.chat.completions.create(model=model, messages=QUESTION, tools=[WEATHER], stream=True):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                assert call.index == 0
                call_id = call_id or call.id
                name = name or call.function.name
                arguments += call.function.arguments or ""
                pieces += 1
    assert name == "weather"
    assert pieces > 3
    assert json.loads(arguments) == {"city": "lab", "unit": "celsius", "hours": [1]}

    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    turn = [
        *QUESTION,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "It rains."},
    ]
    answer = client.chat.completions.create(model=model, messages=turn, tools=[WEATHER])
    assert "The tool said: It rains." in answer.choices[0].message.content


def test_answers_in_a_schema(client, model):
    answer = client.chat.completions.parse(model=model, messages=QUESTION, response_format=Person)
    assert answer.choices[0].message.parsed == Person(name="lab", age=1, tags=["lab"])


def test_fails_over(client, dialect):
    model = ROUTES[f"{dialect} fails over"]
    raw = client.chat.completions.with_raw_response.create(model=model, messages=QUESTION)
    assert (raw.headers["x-waypost-target"], raw.headers["x-waypost-attempts"]) == ("second", "2")
    assert raw.parse().choices[0].message.content.startswith("second here")


def test_cut_stream_raises_after_its_first_tokens(client, dialect):
    text = ""
    with pytest.raises(openai.APIError) as raised:
        for chunk in client.chat.completions.create(model=ROUTES[f"{dialect} is cut"], messages=QUESTION, stream=True):
            text += chunk.choices[0].delta.content or ""
            assert chunk.choices[0].finish_reason is None
    assert text.startswith("first here")
    assert raised.value.code == "cut_off"
    assert not isinstance(raised.value, openai.APIConnectionError)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("route", "error", "code"),
    [
        ("limited", openai.RateLimitError, "rate_limited"),
        ("broken", openai.InternalServerError, "unreachable"),
        ("mistaken", openai.BadRequestError, None),
    ],
)
def test_failure_raises_its_class(client, route, error, code, stream):
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=ROUTES[route], messages=QUESTION, stream=stream)
    assert raised.value.code == code
    if route == "limited":
        assert raised.value.response.headers["retry-after"] == "7"
    if route == "broken":
        assert "first: " in raised.value.message and "second: " in raised.value.message


def test_refusals_raise_their_class(client, model):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="nowhere", messages=QUESTION)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model=model, messages=[])
    assert raised.value.param == "messages"
    with pytest.raises(openai.AuthenticationError) as raised:
        client.with_options(api_key="sk-nobody").chat.completions.create(model=model, messages=QUESTION)
    assert raised.value.status_code == 401


def test_lists_the_routes(client):
    assert set(ROUTES.values()) <= {model.id for model in client.models.list()}
