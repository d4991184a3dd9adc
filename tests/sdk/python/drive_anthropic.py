"""The `anthropic` package from PyPI; see `drive_openai.py`."""

import anthropic
from asked import QUESTION, WEATHER, WEATHER_ANSWER, Person

USER = {"role": "user", "content": QUESTION}


def connect(call):
    return anthropic.Anthropic(base_url=call["url"], api_key=call["key"], max_retries=0, timeout=20)


def request(call):
    return {"model": call["model"], "max_tokens": 1000}


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


class Messages:
    def complete(self, call, heard):
        answer = connect(call).messages.create(messages=[USER], **request(call))
        usage = [answer.usage.input_tokens, answer.usage.output_tokens]
        return {"text": text_of(answer), "finish": answer.stop_reason, "usage": usage}

    def stream(self, call, heard):
        with connect(call).messages.stream(messages=[USER], **request(call)) as stream:
            for piece in stream.text_stream:
                heard.append(piece)
            usage = stream.get_final_message().usage
        return {"usage": [usage.input_tokens, usage.output_tokens]}

    def tool(self, call, heard):
        tools = [{"name": WEATHER["name"], "description": WEATHER["description"], "input_schema": WEATHER["schema"]}]
        with connect(call).messages.stream(messages=[USER], tools=tools, **request(call)) as stream:
            said = stream.get_final_message()
        asked = next(block for block in said.content if block.type == "tool_use")
        result = {"type": "tool_result", "tool_use_id": asked.id, "content": WEATHER_ANSWER}
        messages = [USER, {"role": "assistant", "content": said.content}, {"role": "user", "content": [result]}]
        answer = connect(call).messages.create(messages=messages, tools=tools, **request(call))
        return {"name": asked.name, "args": asked.input, "text": text_of(answer)}

    def schema(self, call, heard):
        answer = connect(call).messages.parse(messages=[USER], output_format=Person, **request(call))
        return answer.parsed_output.model_dump()

    def mistake(self, call, heard):
        connect(call).messages.create(messages=[], **request(call))


CLIENTS = {"anthropic": Messages()}
