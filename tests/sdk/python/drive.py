"""Runs operations of one SDK: a line of JSON each on stdin, and how it ended as a line of JSON on stdout.

`python drive.py drive_openai` takes `{"client", "op", "call"}` and gives `{"value", "heard"}` or `{"error", "heard"}`; see
`../npm/drive.mjs`.
"""

import importlib
import json
import sys
import warnings


def described(error):
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    headers = getattr(getattr(error, "response", None), "headers", {})
    return {
        "classes": [kind.__name__ for kind in type(error).__mro__],
        "status": getattr(error, "status_code", None),
        "code": getattr(error, "code", None),
        "param": getattr(error, "param", None),
        "type": inner.get("type") if isinstance(inner, dict) else None,
        "message": str(error),
        "retry_after": headers.get("retry-after"),
    }


def main():
    warnings.simplefilter("ignore")
    clients = importlib.import_module(sys.argv[1]).CLIENTS
    for line in sys.stdin:
        job = json.loads(line)
        heard = []
        try:
            ended = {"value": getattr(clients[job["client"]], job["op"])(job["call"], heard)}
        except Exception as error:
            ended = {"error": described(error)}
        print(json.dumps({**ended, "heard": heard}), flush=True)


main()
