"""What Google's PyPI SDK gets, from targets of the other dialects; see `test_openai.py`."""

import json
import os

import pydantic
import pytest
from google import genai
from google.genai import errors, types

ROUTES = json.loads(os.environ["WAYPOST_ROUTES"])


class Person(pydantic.BaseModel):
    name: str
    age: int


@pytest.fixture
def client():
    url = os.environ["WAYPOST_URL"].removesuffix("/v1")
    options = types.HttpOptions(base_url=url, timeout=20_000)
    with genai.Client(api_key=os.environ["WAYPOST_KEY"], http_options=options) as client:
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
    answer = client.models.generate_content(model=model, contents="hi")
    assert answer.text.startswith(said(model))
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (4, 24, 28)


def test_streams_with_usage(client, model):
    chunks = list(client.models.generate_content_stream(model=model, contents="hi"))
    assert "".join(chunk.text or "" for chunk in chunks).startswith(said(model))
    assert len([chunk for chunk in chunks if chunk.text]) == 24
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.candidates_token_count == 24


def test_calls_a_function_by_itself(client, model):
    asked = []

    def weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "It rains."

    config = types.GenerateContentConfig(tools=[weather])
    answer = client.models.generate_content(model=model, contents="hi", config=config)
    assert asked == ["lab"]
    assert "It rains." in answer.text


def test_answers_in_a_schema(client, model):
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    answer = client.models.generate_content(model=model, contents="hi", config=config)
    assert answer.parsed.name == "lab"


def test_cut_stream_raises_after_its_first_tokens(client, dialect):
    text = ""
    with pytest.raises(errors.ServerError) as raised:
        for chunk in client.models.generate_content_stream(model=ROUTES[f"{dialect} is cut"], contents="hi"):
            text += chunk.text or ""
    assert text
    assert (raised.value.code, raised.value.status) == (502, "UNAVAILABLE")


def test_refusals_raise_their_class(client, model):
    with pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model="nowhere", contents="hi")
    assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")
    config = types.GenerateContentConfig(cached_content="cachedContents/1")
    with pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model=model, contents="hi", config=config)
    assert raised.value.code == 400
    assert "cachedContent" in raised.value.message
    with pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model=ROUTES["limited"], contents="hi")
    assert raised.value.code == 429
