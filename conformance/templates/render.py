#!/usr/bin/env python3
"""Renders chats with jinja2, set up as transformers' apply_chat_template does, for comparing ours against.

    pip install jinja2==3.1.6
    render.py FOLDER     renders every chat of chats.json with each NAME.jinja, into NAME.renders.json beside it

The repository's own small templates are in crates/model/tests/fixtures/templates; another folder can be compared by
COMPUTEPOOL_TEMPLATE_ORACLE=FOLDER and the ignored test of that name. A result is {"text": …}, {"refused": …} where the
template raised, or {"failed": …} where it broke.
"""

import argparse
import datetime
import json
import pathlib

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

# 23 November 2026, 13:00:45 UTC: both sides use this moment.
NOW = datetime.datetime.fromtimestamp(1_795_438_845, datetime.timezone.utc)


class Refused(Exception):
    pass


class GenerationTag(Extension):
    """`{% generation %}…{% endgeneration %}` shows its content."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(line)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols]
    )

    def refuse(message):
        raise Refused(message)

    def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = to_json
    env.globals["raise_exception"] = refuse
    env.globals["strftime_now"] = NOW.strftime
    return env


def render(source, case):
    try:
        template = environment().from_string(source)
        text = template.render(
            messages=case["messages"],
            tools=case.get("tools"),
            documents=None,
            add_generation_prompt=case.get("add_generation_prompt", False),
            bos_token="<s>",
            eos_token="</s>",
            **case.get("variables", {}),
        )
    except Refused as refused:
        return {"refused": str(refused)}
    except Exception as failed:  # whatever jinja or Python says
        return {"failed": f"{type(failed).__name__}: {failed}"}
    return {"text": text}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    cases = json.loads(pathlib.Path(__file__).with_name("chats.json").read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        rows = ",\n".join(" " + json.dumps(render(source, case), ensure_ascii=False) for case in cases)
        path.with_suffix(".renders.json").write_text(f"[\n{rows}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
