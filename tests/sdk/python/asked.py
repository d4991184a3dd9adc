"""What every SDK is given to ask, in the words of this language; `../npm/asked.mjs` has the same."""

import typing

import pydantic

QUESTION = "hi"
EMBEDDED = ["hi", "there"]
WEATHER_ANSWER = "It rains."
WEATHER = {
    "name": "weather",
    "description": "The weather in a city.",
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
}


class Weather(pydantic.BaseModel):
    """The weather in a city."""

    city: str
    unit: typing.Literal["celsius", "kelvin"]


class Person(pydantic.BaseModel):
    name: str
    age: int
    tags: list[str]
