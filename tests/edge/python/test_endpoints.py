"""What is no conversation, as the PyPI SDKs of OpenAI and Anthropic call it; see `test_openai.py`."""

import os

import anthropic
import openai
import pytest

from test_openai import ROUTES, URL

KEY = os.environ["WAYPOST_KEY"]
QUESTION = [{"role": "user", "content": "hi"}]


@pytest.fixture
def client():
    with openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def claude():
    url = URL.removesuffix("/v1")
    with anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0, timeout=20) as claude:
        yield claude


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
def test_legacy_completions_are_answered_in_a_conversation(client, dialect):
    model = ROUTES[dialect]
    whole = client.completions.create(model=model, prompt="hi")
    said = whole.choices[0].text
    assert said.startswith(f"first here, model {model}-0. You said: hi.")
    assert (whole.object, whole.usage.completion_tokens) == ("text_completion", 24)
    chunks = list(client.completions.create(model=model, prompt="hi", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == said
    with pytest.raises(openai.BadRequestError, match="suffix"):
        client.completions.create(model=model, prompt="hi", suffix="z")


def test_legacy_completions_that_break_raise(client):
    with pytest.raises(openai.APIError) as raised:
        list(client.completions.create(model=ROUTES["anthropic is cut"], prompt="hi", stream=True))
    assert raised.value.code == "cut_off"


def test_embeddings_that_nobody_makes_are_refused_by_name(client):
    with pytest.raises(openai.BadRequestError, match="/embeddings"):
        client.embeddings.create(model=ROUTES["anthropic"], input="hi")


def test_tokens_are_counted_by_the_provider_or_estimated(claude):
    for dialect, by in [("anthropic", "provider"), ("openai-chat", "estimate")]:
        counted = claude.messages.with_raw_response.count_tokens(model=ROUTES[dialect], messages=QUESTION)
        assert counted.headers["x-waypost-count"] == by
        assert counted.parse().input_tokens > 0


def test_models_are_listed_by_both(client, claude):
    ids = [model.id for model in client.models.list()]
    assert set(ROUTES.values()) <= set(ids)
    assert [model.id for model in claude.models.list(limit=2)] == ids
    assert client.models.retrieve(ROUTES["anthropic"]).owned_by == "waypost"
    assert claude.models.retrieve(ROUTES["anthropic"]).display_name == ROUTES["anthropic"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("nobody")
