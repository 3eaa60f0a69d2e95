"""LangChain's ChatOpenAI, run in an environment of its own: questions in, what it made of the
answers out, a line of JSON each.
"""

import json
import sys
from typing import Any

from langchain_openai import ChatOpenAI  # type: ignore[import-not-found,unused-ignore] # only there


def made(message: Any) -> dict[str, Any]:
    calls = [[call["name"], call["args"]] for call in message.tool_calls]
    finish = message.response_metadata.get("finish_reason")
    usage = message.usage_metadata or {}
    return {
        "text": message.content,
        "calls": calls,
        "finish": finish,
        "usage": [usage.get("input_tokens"), usage.get("output_tokens")],
    }


def ask(question: dict[str, Any]) -> dict[str, Any]:
    llm = ChatOpenAI(
        base_url=question["url"],
        api_key="x",
        model=question["model"],
        max_retries=0,
        stream_usage=True,
    )
    offered = llm.bind_tools(question["tools"], **question["asked"])
    try:
        if not question["streamed"]:
            return made(offered.invoke(question["name"]))
        whole: Any = None
        for chunk in offered.stream(question["name"]):
            whole = chunk if whole is None else whole + chunk
        return made(whole)
    except Exception as error:
        return {"error": str(error), "status": getattr(error, "status_code", None)}


for line in sys.stdin:
    print(json.dumps(ask(json.loads(line))), flush=True)
