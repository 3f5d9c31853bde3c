"""The official Python client against an endpoint: python openai_client.py BASE_URL KEY MODEL [LIMITED_KEY]

Prints one line a check and exits with 1 if any failed. Checks shapes and constraints, not wit, so that a tiny model
passes too. LIMITED_KEY is a key that may ask only a few times a minute; without it the check for 429 is skipped.
Written for PyPI openai 3.51.0.
"""

import json
import sys
import time

import openai
from openai import OpenAI

if len(sys.argv) < 4:
    sys.exit(__doc__)
BASE, KEY, MODEL = sys.argv[1:4]
LIMITED = sys.argv[4] if len(sys.argv) > 4 else None
client = OpenAI(base_url=BASE, api_key=KEY, max_retries=0, timeout=300)
ASK = [{"role": "user", "content": "Say hello."}]
SLOW = [{"role": "user", "content": "Count slowly from one to one thousand, in words."}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
PARAMETERS = {
    "type": "object",
    "properties": {"location": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["location"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "strict": True, "parameters": PARAMETERS}}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}, "big": {"type": "boolean"}},
    "required": ["city", "big"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}}
checks = []


def check(function):
    checks.append(function)
    return function


def ask(**more):
    return client.chat.completions.create(**{"model": MODEL, "messages": ASK, "max_tokens": 24, **more})


def expect(error, function, **fields):
    """`function` must raise `error`, with these values in OpenAI's error body."""
    try:
        function()
    except error as caught:
        assert isinstance(caught.body, dict) and caught.body.get("message"), caught.body
        for name, value in fields.items():
            assert getattr(caught, name) == value, f"{name} is {getattr(caught, name)!r}, not {value!r}"
        return caught
    raise AssertionError(f"no {error.__name__}")


@check
def models():
    listed = list(client.models.list())
    assert MODEL in [model.id for model in listed]
    assert client.models.retrieve(MODEL).object == "model"


@check
def chat():
    answer = ask(temperature=0)
    choice = answer.choices[0]
    assert answer.object == "chat.completion" and answer.model == MODEL and answer.id.startswith("chatcmpl-")
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length") and answer.system_fingerprint
    usage = answer.usage
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= 24
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@check
def same_seed_same_answer():
    said = [ask(seed=7, temperature=1.0).choices[0].message.content for _ in range(2)]
    assert said[0] == said[1], said


@check
def several_answers():
    answer = ask(n=2, seed=1)
    assert [choice.index for choice in answer.choices] == [0, 1]


@check
def stream_with_usage():
    chunks = list(ask(stream=True, temperature=0, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    ends = [chunk.choices[0].finish_reason for chunk in chunks[:-1]]
    assert ends[-1] in ("stop", "length") and set(ends[:-1]) == {None}, ends
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == ask(temperature=0).choices[0].message.content
    assert len({chunk.id for chunk in chunks}) == 1


@check
def stop():
    first = ask(temperature=0).choices[0].message.content
    cut = first[len(first) // 2 :][:3]
    answer = ask(temperature=0, stop=[cut]).choices[0]
    assert cut not in answer.message.content and first.startswith(answer.message.content)
    assert answer.finish_reason == "stop"


@check
def logprobs():
    answer = ask(logprobs=True, top_logprobs=3, temperature=0)
    content = answer.choices[0].logprobs.content
    assert content and all(len(entry.top_logprobs) == 3 and entry.logprob <= 0 for entry in content)
    joined = b"".join(bytes(entry.bytes) for entry in content).decode(errors="replace")
    assert joined == answer.choices[0].message.content, (joined, answer.choices[0].message.content)


@check
def tools_required():
    for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
        answer = ask(messages=WEATHER, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False, max_tokens=100)
        message = answer.choices[0].message
        assert answer.choices[0].finish_reason == "tool_calls" and message.content is None
        call = message.tool_calls[0]
        assert len(message.tool_calls) == 1 and call.id and call.type == "function"
        assert call.function.name == "get_weather"
        assert json.loads(call.function.arguments)["location"] in ("Paris", "Rome")


@check
def tools_streamed():
    stream = ask(messages=WEATHER, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, max_tokens=100, stream=True)
    calls, content, end = {}, "", None
    for chunk in stream:
        choice = chunk.choices[0]
        content += choice.delta.content or ""
        end = choice.finish_reason or end
        for piece in choice.delta.tool_calls or []:
            call = calls.setdefault(piece.index, {"name": "", "arguments": "", "id": piece.id})
            call["name"] += piece.function.name or ""
            call["arguments"] += piece.function.arguments or ""
    assert end == "tool_calls" and content == "" and list(calls) == [0], (end, content, calls)
    assert calls[0]["id"] and calls[0]["name"] == "get_weather"
    assert json.loads(calls[0]["arguments"])["location"] in ("Paris", "Rome")


@check
def tool_results():
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"location": "Paris"}'}}
    messages = WEATHER + [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny, 20 degrees."},
    ]
    answer = ask(messages=messages, tools=TOOLS, tool_choice="auto").choices[0]
    assert answer.message.content is not None or answer.message.tool_calls or answer.finish_reason == "length"
    assert "<tool_call>" not in (answer.message.content or "")


@check
def json_schema():
    value = json.loads(ask(response_format=FORMAT, max_tokens=100).choices[0].message.content)
    assert value["city"] in ("Paris", "Rome") and isinstance(value["big"], bool) and len(value) == 2, value


@check
def json_object():
    answer = ask(response_format={"type": "json_object"}, max_tokens=200).choices[0]
    # A weak model may not come to an end: what is complete must be an object.
    assert answer.finish_reason == "length" or isinstance(json.loads(answer.message.content), dict)


@check
def parsed():
    from pydantic import BaseModel

    class Place(BaseModel):
        big: bool

    parsed = client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Place, max_tokens=100)
    assert isinstance(parsed.choices[0].message.parsed, Place)


@check
def completions():
    answer = client.completions.create(model=MODEL, prompt="Once upon", max_tokens=8, echo=True)
    assert answer.object == "text_completion" and answer.choices[0].text.startswith("Once upon")
    logprobs = client.completions.create(model=MODEL, prompt="Once", max_tokens=4, logprobs=2).choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == len(logprobs.text_offset)
    chunks = list(client.completions.create(model=MODEL, prompt="Once", max_tokens=4, stream=True))
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


def running():
    """Generations running now, as the endpoint's own network view has it."""
    return client.get("/network", cast_to=object)["generations"]


@check
def abort_in_mid_stream():
    before = running()
    with client.chat.completions.create(model=MODEL, messages=SLOW, max_tokens=2000, stream=True, extra_body={"ignore_eos": True}) as stream:
        for count, _ in enumerate(stream):
            if count == 3:
                assert running() > before
                break
    deadline = time.monotonic() + 5
    while running() > before:
        assert time.monotonic() < deadline, "the generation goes on after its client has left"
        time.sleep(0.05)


@check
def error_400():
    expect(openai.BadRequestError, lambda: ask(temperature=9), status_code=400, param="temperature", type="invalid_request_error")
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]
    expect(openai.BadRequestError, lambda: ask(messages=image))
    expect(openai.BadRequestError, lambda: ask(max_tokens=10_000_000), code="context_length_exceeded")
    bad = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": "nonsense"}}}
    expect(openai.BadRequestError, lambda: ask(response_format=bad))


@check
def error_401():
    for key in ("wrong-key", "x" * 1000):
        stranger = OpenAI(base_url=BASE, api_key=key, max_retries=0)
        expect(openai.AuthenticationError, stranger.models.list, status_code=401, code="invalid_api_key")


@check
def error_404():
    expect(openai.NotFoundError, lambda: ask(model="no-such-model"), status_code=404, code="model_not_found")
    expect(openai.NotFoundError, lambda: client.models.retrieve("no-such-model"))
    expect(openai.NotFoundError, lambda: client.embeddings.create(model=MODEL, input="x"))


@check
def error_413():
    large = [{"role": "user", "content": "x" * (5 * 1024 * 1024)}]
    expect(openai.APIStatusError, lambda: ask(messages=large), status_code=413)


@check
def error_429():
    if LIMITED is None:
        return "skipped: no limited key was given"
    limited = OpenAI(base_url=BASE, api_key=LIMITED, max_retries=0)

    def often():
        for _ in range(50):
            limited.models.list()

    caught = expect(openai.RateLimitError, often, status_code=429, code="rate_limit_exceeded")
    assert int(caught.response.headers["retry-after"]) >= 1


failed = 0
for function in checks:
    try:
        note = function()
        print(f"ok    {function.__name__}{' (' + note + ')' if note else ''}", flush=True)
    except Exception as error:  # every kind of failure is a failed check
        failed += 1
        print(f"FAIL  {function.__name__}: {type(error).__name__}: {str(error)[:500]}", flush=True)
print(f"openai-python {openai.__version__}: {len(checks) - failed} of {len(checks)} checks passed")
sys.exit(1 if failed else 0)
