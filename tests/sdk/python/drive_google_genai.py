"""The `google-genai` package from PyPI; see `drive_openai.py`."""

from asked import QUESTION, WEATHER, WEATHER_ANSWER, Person
from google import genai
from google.genai import types

USER = types.Content(role="user", parts=[types.Part(text=QUESTION)])


def connect(call):
    # The SDK closes its connection once nobody holds the client.
    return genai.Client(api_key=call["key"], http_options=types.HttpOptions(base_url=call["url"], timeout=20_000))


def usage_of(answer):
    return [answer.usage_metadata.prompt_token_count, answer.usage_metadata.candidates_token_count]


class Models:
    def complete(self, call, heard):
        client = connect(call)
        answer = client.models.generate_content(model=call["model"], contents=QUESTION)
        return {"text": answer.text, "finish": answer.candidates[0].finish_reason.value, "usage": usage_of(answer)}

    def stream(self, call, heard):
        client = connect(call)
        usage = None
        for chunk in client.models.generate_content_stream(model=call["model"], contents=QUESTION):
            if chunk.text:
                heard.append(chunk.text)
            if chunk.usage_metadata:
                usage = usage_of(chunk)
        return {"usage": usage}

    def tool(self, call, heard):
        client = connect(call)
        declaration = {"name": WEATHER["name"], "description": WEATHER["description"], "parameters_json_schema": WEATHER["schema"]}
        config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declaration])])
        said = client.models.generate_content(model=call["model"], contents=[USER], config=config)
        asked = said.function_calls[0]
        response = types.FunctionResponse(id=asked.id, name=asked.name, response={"output": WEATHER_ANSWER})
        result = types.Content(role="user", parts=[types.Part(function_response=response)])
        contents = [USER, said.candidates[0].content, result]
        answer = client.models.generate_content(model=call["model"], contents=contents, config=config)
        return {"name": asked.name, "args": asked.args, "text": answer.text}

    def schema(self, call, heard):
        client = connect(call)
        config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
        return client.models.generate_content(model=call["model"], contents=QUESTION, config=config).parsed.model_dump()

    def mistake(self, call, heard):
        client = connect(call)
        robot = types.Content(role="robot", parts=USER.parts)
        client.models.generate_content(model=call["model"], contents=[robot])


CLIENTS = {"google-genai": Models()}
