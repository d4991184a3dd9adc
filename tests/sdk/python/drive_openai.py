"""The `openai` package from PyPI; `../npm/openai.mjs` is its twin, and `../cases.mjs` says what each function has to give back."""

import json

import openai
from asked import EMBEDDED, QUESTION, WEATHER, WEATHER_ANSWER, Person

USER = {"role": "user", "content": QUESTION}


def connect(call):
    return openai.OpenAI(base_url=call["url"] + "/v1", api_key=call["key"], max_retries=0, timeout=20)


class Chat:
    TOOL = {
        "type": "function",
        "function": {"name": WEATHER["name"], "description": WEATHER["description"], "parameters": WEATHER["schema"]},
    }

    def complete(self, call, heard):
        answer = connect(call).chat.completions.create(model=call["model"], messages=[USER])
        choice = answer.choices[0]
        usage = [answer.usage.prompt_tokens, answer.usage.completion_tokens]
        return {"text": choice.message.content, "finish": choice.finish_reason, "usage": usage}

    def stream(self, call, heard):
        usage = None
        for chunk in connect(call).chat.completions.create(model=call["model"], messages=[USER], stream=True):
            heard += [choice.delta.content for choice in chunk.choices if choice.delta.content]
            if chunk.usage:
                usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
        return {"usage": usage}

    def tool(self, call, heard):
        request = {"model": call["model"], "tools": [self.TOOL]}
        with connect(call).chat.completions.stream(messages=[USER], **request) as stream:
            message = stream.get_final_completion().choices[0].message
        asked = message.tool_calls[0]
        said = {"role": "assistant", "tool_calls": [asked.model_dump(include={"id": True, "type": True, "function": {"name", "arguments"}})]}
        result = {"role": "tool", "tool_call_id": asked.id, "content": WEATHER_ANSWER}
        answer = connect(call).chat.completions.create(messages=[USER, said, result], **request)
        args = json.loads(asked.function.arguments)
        return {"name": asked.function.name, "args": args, "text": answer.choices[0].message.content}

    def schema(self, call, heard):
        answer = connect(call).chat.completions.parse(model=call["model"], messages=[USER], response_format=Person)
        return answer.choices[0].message.parsed.model_dump()

    def embed(self, call, heard):
        answer = connect(call).embeddings.create(model=call["model"], input=EMBEDDED)
        return {"vectors": [each.embedding for each in answer.data]}

    def prompt(self, call, heard):
        answer = connect(call).completions.create(model=call["model"], prompt=QUESTION, max_tokens=100)
        return {"text": answer.choices[0].text, "usage": [answer.usage.prompt_tokens, answer.usage.completion_tokens]}

    def promptStream(self, call, heard):
        request = {"model": call["model"], "prompt": QUESTION, "max_tokens": 100}
        usage = None
        for chunk in connect(call).completions.create(stream=True, stream_options={"include_usage": True}, **request):
            heard += [choice.text for choice in chunk.choices if choice.text]
            if chunk.usage:
                usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
        return {"usage": usage}

    def mistake(self, call, heard):
        connect(call).chat.completions.create(model=call["model"], messages=[])


class Responses:
    TOOL = {
        "type": "function",
        "name": WEATHER["name"],
        "description": WEATHER["description"],
        "parameters": WEATHER["schema"],
        "strict": False,
    }

    def complete(self, call, heard):
        answer = connect(call).responses.create(model=call["model"], input=QUESTION)
        finish = answer.incomplete_details.reason if answer.incomplete_details else answer.status
        return {"text": answer.output_text, "finish": finish, "usage": [answer.usage.input_tokens, answer.usage.output_tokens]}

    def stream(self, call, heard):
        usage = None
        for event in connect(call).responses.create(model=call["model"], input=QUESTION, stream=True):
            if event.type == "response.output_text.delta":
                heard.append(event.delta)
            if event.type == "response.completed":
                usage = [event.response.usage.input_tokens, event.response.usage.output_tokens]
        return {"usage": usage}

    def tool(self, call, heard):
        request = {"model": call["model"], "tools": [self.TOOL]}
        with connect(call).responses.stream(input=[USER], **request) as stream:
            stream.until_done()
            asked = stream.get_final_response().output[0]
        said = {"type": "function_call", "call_id": asked.call_id, "name": asked.name, "arguments": asked.arguments}
        result = {"type": "function_call_output", "call_id": asked.call_id, "output": WEATHER_ANSWER}
        answer = connect(call).responses.create(input=[USER, said, result], **request)
        return {"name": asked.name, "args": json.loads(asked.arguments), "text": answer.output_text}

    def schema(self, call, heard):
        answer = connect(call).responses.parse(model=call["model"], input=QUESTION, text_format=Person)
        return answer.output_parsed.model_dump()

    def mistake(self, call, heard):
        connect(call).responses.create(model=call["model"])


CLIENTS = {"openai chat": Chat(), "openai responses": Responses()}
