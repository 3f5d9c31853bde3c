"""llm-comply against an endpoint: python comply.py BASE_URL KEY MODEL

Runs every test that llm-comply has for Chat Completions. One of them, chat-image-input, wants an answer to a picture and
cannot be told that a model reads text only: here it must be refused with a 400, and is told apart from the others.
Some ask without a limit, at temperature 1, and expect the model to come to an end by itself: where all that was
wrong is that it talked on to the end of its context, which a weak model does now and then, it is asked again.
Written for PyPI llm-comply 0.5.0.
"""

import importlib.metadata
import json
import pathlib
import subprocess
import sys

PICTURES = "chat-image-input"
# An answer, or the arguments of a tool call, that the model never came to the end of.
ENDLESS = [[f"finish_reason: expected '{end}', got 'length'"] for end in ("stop", "tool_calls")]

if len(sys.argv) != 4:
    sys.exit(__doc__)
base, key, model = sys.argv[1:]
program = pathlib.Path(sys.executable).with_name("llm-comply")
command = [program, "run", "-u", base, "-k", key, "-m", model, "--format", "openai-chat", "--timeout", "300", "--json"]


def run(*options):
    return json.loads(subprocess.run([*command, *options], stdout=subprocess.PIPE).stdout)["results"]


def settled(result, attempts=4):
    """The result, asked for again while the model only talked too long, and after how many attempts."""
    for attempt in range(1, attempts):
        if result.get("errors") not in ENDLESS:
            return result, attempt
        [result] = run("-f", result["id"])
    return result, attempts


results = run()
count = passed = 0
for first in results:
    result, attempts = settled(first)
    name, status, errors = result["id"], result["status"], result.get("errors", [])
    if name == PICTURES:
        refused = status == "failed" and any("400" in error for error in errors)
        if refused:
            print(f"skip  {name} (this model reads text only, and refused the picture with a 400)")
        else:
            print(f"FAIL  {name}: neither answered nor refused with a 400: {status} {errors}")
        count += not refused
        continue
    if status == "skipped":
        print(f"skip  {name} ({'; '.join(errors)})")
        continue
    count += 1
    passed += status == "passed"
    notes = errors + [f"warning: {warning}" for warning in result.get("warnings", [])]
    if attempts > 1:
        notes.append(f"at attempt {attempts}, after the model had talked on to the end of its context")
    print(f"{'ok   ' if status == 'passed' else 'FAIL '} {name}{': ' + '; '.join(notes)[:500] if notes else ''}")
print(f"llm-comply {importlib.metadata.version('llm-comply')}: {passed} of {count} checks passed")
sys.exit(0 if passed == count and count >= 6 else 1)
