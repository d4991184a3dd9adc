"""LangChain's ChatOpenAI, OpenAIEmbeddings and ChatAnthropic from PyPI; see `drive_openai.py`."""

from asked import EMBEDDED, QUESTION, WEATHER_ANSWER, Person, Weather
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def openai(use_responses_api):
    def connect(call):
        url = call["url"] + "/v1"
        return ChatOpenAI(
            model=call["model"], api_key=call["key"], base_url=url, max_retries=0, timeout=20, stream_usage=True, use_responses_api=use_responses_api
        )

    return connect


def anthropic(call):
    return ChatAnthropic(model=call["model"], api_key=call["key"], base_url=call["url"], max_retries=0, timeout=20, max_tokens=1000)


def usage_of(message):
    return [message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]]


def finish_of(metadata):
    incomplete = metadata.get("incomplete_details") or {}
    return metadata.get("finish_reason") or metadata.get("stop_reason") or incomplete.get("reason") or metadata.get("status")


class LangChain:
    def __init__(self, connect):
        self.connect = connect

    def complete(self, call, heard):
        answer = self.connect(call).invoke(QUESTION)
        return {"text": answer.text, "finish": finish_of(answer.response_metadata), "usage": usage_of(answer)}

    def stream(self, call, heard):
        said = None
        for chunk in self.connect(call).stream(QUESTION):
            if chunk.text:
                heard.append(chunk.text)
            said = chunk if said is None else said + chunk
        return {"usage": usage_of(said)}

    def tool(self, call, heard):
        model = self.connect(call).bind_tools([Weather])
        question = HumanMessage(QUESTION)
        said = None
        for chunk in model.stream([question]):
            said = chunk if said is None else said + chunk
        asked = said.tool_calls[0]
        answer = model.invoke([question, said, ToolMessage(WEATHER_ANSWER, tool_call_id=asked["id"])])
        return {"name": asked["name"].lower(), "args": asked["args"], "text": answer.text}

    def schema(self, call, heard):
        model = self.connect(call).with_structured_output(Person, method="json_schema")
        return model.invoke(QUESTION).model_dump()


class LangChainOpenAI(LangChain):
    def embed(self, call, heard):
        # To cut texts into tokens by itself it would fetch their list from the net.
        embeddings = OpenAIEmbeddings(
            model=call["model"], api_key=call["key"], base_url=call["url"] + "/v1", max_retries=0, check_embedding_ctx_length=False
        )
        return {"vectors": embeddings.embed_documents(EMBEDDED)}


CLIENTS = {
    "langchain ChatOpenAI": LangChainOpenAI(openai(False)),
    "langchain ChatOpenAI responses": LangChain(openai(True)),
    "langchain ChatAnthropic": LangChain(anthropic),
}
