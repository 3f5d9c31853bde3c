//! Chat templates against jinja2 set up as transformers does, and what is done where a template cannot show something.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use computepool_core::ports::{ChatPrompt, Clock, ToolDialect};
use computepool_core::{Fault, FaultCode};
use computepool_model::template::{ChatTemplate, TemplateError, TemplateSource};
use serde_json::{Map, Value, json};

/// The moment that `conformance/templates/render.py` renders at.
struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> u64 {
        1_795_438_845_000
    }
}

fn compile(source: &str) -> Result<ChatTemplate, TemplateError> {
    let source =
        TemplateSource { chat: Some(source), bos_token: "<s>", eos_token: "</s>", ..TemplateSource::default() };
    ChatTemplate::new(&source, Arc::new(Fixed))
}

fn render(template: &ChatTemplate, messages: Value, tools: Value) -> Result<String, TemplateError> {
    let (messages, tools) = (messages.as_array().unwrap(), tools.as_array().unwrap());
    template.render(&ChatPrompt { messages, tools, add_generation_prompt: true, variables: &Map::new() })
}

fn own(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates");
    std::fs::read_to_string(folder.join(format!("{name}.jinja"))).unwrap()
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}})
}

/// Renders the chats of `conformance/templates/chats.json` with a template, and compares with what jinja2 made of them.
/// Gives the number of renders compared.
fn compare(path: &Path, failures: &mut Vec<String>) -> usize {
    let chats: Vec<Value> = serde_json::from_str(include_str!("../../../../conformance/templates/chats.json")).unwrap();
    let renders = std::fs::read_to_string(path.with_extension("renders.json")).unwrap();
    let renders: Vec<Value> = serde_json::from_str(&renders).unwrap();
    assert_eq!(chats.len(), renders.len(), "{} belongs to other chats", path.display());
    let name = path.file_stem().unwrap().to_string_lossy();
    let template = match compile(&std::fs::read_to_string(path).unwrap()) {
        Ok(template) => template,
        Err(error) => {
            failures.push(format!("{name}: {error}"));
            return 0;
        }
    };
    let mut compared = 0;
    for (index, (chat, expected)) in chats.iter().zip(&renders).enumerate() {
        let messages = chat["messages"].as_array().unwrap();
        let tools = chat["tools"].as_array().cloned().unwrap_or_default();
        // Where the template does not know tools, we say more than it does; where it breaks, anything goes.
        if (template.tool_dialect() == ToolDialect::Described && !tools.is_empty()) || expected.get("failed").is_some()
        {
            continue;
        }
        compared += 1;
        let got = template.render(&ChatPrompt {
            messages,
            tools: &tools,
            add_generation_prompt: chat["add_generation_prompt"].as_bool().unwrap_or(false),
            variables: &chat["variables"].as_object().cloned().unwrap_or_default(),
        });
        let got = match got {
            Ok(text) => json!({"text": text}),
            Err(TemplateError::Refused { message }) => json!({"refused": message}),
            Err(error) => json!({"failed": error.to_string()}),
        };
        if got != *expected {
            failures.push(format!("{name}, chat {index}\n  got    {got}\n  wanted {expected}"));
        }
    }
    compared
}

fn compare_folder(folder: &Path) -> (usize, Vec<String>) {
    let (mut compared, mut failures) = (0, Vec::new());
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "jinja")) {
        compared += compare(path, &mut failures);
    }
    (compared, failures)
}

/// `tests/fixtures/templates/*.renders.json` are the output of `conformance/templates/render.py`.
#[test]
fn templates_render_as_transformers_renders_them() {
    let (compared, failures) = compare_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates"));
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
    assert!(compared > 70, "{compared}");
}

/// `COMPUTEPOOL_TEMPLATE_ORACLE` names a folder of templates that `conformance/templates/render.py` has rendered.
#[test]
#[ignore = "needs templates and jinja2's renders of them: see conformance/templates"]
fn other_templates_render_as_transformers_renders_them() {
    let folder = std::env::var_os("COMPUTEPOOL_TEMPLATE_ORACLE").expect("COMPUTEPOOL_TEMPLATE_ORACLE");
    let (compared, failures) = compare_folder(Path::new(&folder));
    assert!(failures.is_empty(), "{} of {compared} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn dialects_are_told_from_the_template() {
    let dialect = |name: &str| compile(&own(name)).unwrap().tool_dialect();
    assert_eq!(dialect("hermes"), ToolDialect::Hermes);
    assert_eq!(dialect("llama3"), ToolDialect::Llama3);
    assert_eq!(dialect("mistral"), ToolDialect::Mistral);
    assert_eq!(dialect("chatml"), ToolDialect::Described);
    assert_eq!(dialect("gemma"), ToolDialect::Described);
    // One that only speaks of calls, and one whose calls are no JSON.
    let says = "{# <tool_call> #}{% for m in messages %}{{ m.content }}{% endfor %}";
    assert_eq!(compile(says).unwrap().tool_dialect(), ToolDialect::Described);
    let xml = "{{ tools }}<tool_call><function=f>{% for m in messages %}{{ m.content }}{% endfor %}";
    assert_eq!(compile(xml).unwrap().tool_dialect(), ToolDialect::Described);
}

#[test]
fn templates_without_tools_are_told_of_them_in_words() {
    let chatml = compile(&own("chatml")).unwrap();
    let call = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"at\": \"é\"}"}},
        {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}}]});
    let messages = json!([
        {"role": "user", "content": "Look!"}, call,
        {"role": "tool", "tool_call_id": "call_1", "content": "a tree"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "a house"}]},
        {"role": "user", "content": "And?"}]);
    let shown = render(&chatml, messages.clone(), json!([tool()])).unwrap();
    let (system, rest) = shown.split_once("<|im_end|>\n").unwrap();
    assert!(system.starts_with("<|im_start|>system\nYou can call functions."), "{system}");
    assert!(system.contains(
        "{\"name\": \"look\", \"description\": \"Looks.\", \"parameters\": {\"type\": \"object\"}}\n</tools>"
    ));
    assert!(system.contains("<tool_call>\n{\"name\": "), "{system}");
    assert_eq!(
        rest,
        "<|im_start|>user\nLook!<|im_end|>\n<|im_start|>assistant\n\
         <tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": \"é\"}}\n</tool_call>\n\
         <tool_call>\n{\"name\": \"look\", \"arguments\": {}}\n</tool_call><|im_end|>\n\
         <|im_start|>user\n<tool_response>\na tree\n</tool_response>\n<tool_response>\na house\n</tool_response>\nAnd?<|im_end|>\n\
         <|im_start|>assistant\n"
    );
    // History with tools is worded even when none are offered any more, and strict turns still hold.
    let gemma = compile(&own("gemma")).unwrap();
    let shown = render(&gemma, messages, json!([])).unwrap();
    assert!(shown.contains("<start_of_turn>model\n<tool_call>") && !shown.contains("You can call"), "{shown}");
    // A template that refuses system messages is told in the user's words.
    let refuses = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}\
        [{{ m.role }}]{{ m.content }}{% endfor %}";
    let shown =
        render(&compile(refuses).unwrap(), json!([{"role": "user", "content": "hi"}]), json!([tool()])).unwrap();
    assert!(shown.starts_with("[user]You can call functions.") && shown.ends_with("\n\nhi"), "{shown}");
}

#[test]
fn arguments_in_strings_reach_templates_as_objects() {
    let messages = json!([{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [
        {"id": "call_abcdefghijkl", "type": "function", "function": {"name": "look", "arguments": "{\"b\": 1, \"a\": [2.0]}"}}]},
        {"role": "tool", "tool_call_id": "call_abcdefghijkl", "content": "y"}]);
    let hermes = render(&compile(&own("hermes")).unwrap(), messages.clone(), json!([tool()])).unwrap();
    assert!(hermes.contains("{\"name\": \"look\", \"arguments\": {\"b\": 1, \"a\": [2.0]}}\n</tool_call>"), "{hermes}");
    let mistral = render(&compile(&own("mistral")).unwrap(), messages, json!([tool()])).unwrap();
    let id = mistral.split("\"call_id\": \"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(id.len(), 9);
    assert!(mistral.contains(&format!("\"id\": \"{id}\"}}]")), "the call and its result keep one id: {mistral}");
}

#[test]
fn contents_in_parts_are_given_as_the_template_takes_them() {
    let message =
        json!([{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}]);
    let texts = compile("{% for m in messages %}{{ m.content | upper }}{% endfor %}").unwrap();
    assert_eq!(render(&texts, message.clone(), json!([])).unwrap(), "ONE\nTWO");
    let parts =
        compile("{% for m in messages %}{% for p in m.content %}<{{ p.text }}>{% endfor %}{% endfor %}").unwrap();
    assert_eq!(render(&parts, message.clone(), json!([])).unwrap(), "<one><two>");
    assert_eq!(render(&parts, json!([{"role": "user", "content": "one"}]), json!([])).unwrap(), "<one>");
    let both = compile(&own("gemma")).unwrap();
    assert!(render(&both, message, json!([])).unwrap().contains("user\nonetwo<end_of_turn>"));
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]);
    let fault = Fault::from(render(&texts, image, json!([])).unwrap_err());
    assert_eq!(fault.code, FaultCode::InvalidRequest);
    assert_eq!(fault.message, "messages[0]: this model takes text only, not a part of type `image_url`");
}

#[test]
fn a_templates_own_words_reach_the_client() {
    let gemma = compile(&own("gemma")).unwrap();
    let twice = json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]);
    let fault = Fault::from(render(&gemma, twice, json!([])).unwrap_err());
    assert_eq!(fault.code, FaultCode::InvalidRequest);
    assert_eq!(fault.message, "Conversation roles must alternate user/assistant");
    for (bad, reason) in [
        (json!([1]), "not an object"),
        (json!([{"content": "x"}]), "no role"),
        (json!([{"role": "user", "content": 5}]), "neither text"),
    ] {
        let fault = Fault::from(render(&gemma, bad, json!([])).unwrap_err());
        assert!(fault.code == FaultCode::InvalidRequest && fault.message.contains(reason), "{fault}");
    }
    let broken = compile("{% for m in messages %}{{ m.content.nowhere.deeper }}{% endfor %}").unwrap();
    let error = render(&broken, json!([{"role": "user", "content": "a"}]), json!([])).unwrap_err();
    assert!(matches!(error, TemplateError::Failed { line: 1, .. }), "{error}");
}

#[test]
fn variables_of_the_request_are_seen_but_cannot_take_over() {
    let template = compile("{{ mood | default('calm') }}{{ messages | length }}").unwrap();
    let render = |variables: Value| {
        let variables = variables.as_object().unwrap();
        template.render(&ChatPrompt { messages: &[], tools: &[], add_generation_prompt: false, variables })
    };
    assert_eq!(render(json!({})).unwrap(), "calm0");
    assert_eq!(render(json!({"mood": "bright"})).unwrap(), "bright0");
    assert_eq!(render(json!({"messages": []})).unwrap_err(), TemplateError::Reserved { name: "messages" });
}

#[test]
fn templates_cannot_run_away() {
    let doubling =
        "{% set ns = namespace(s='x') %}{% for i in range(90) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}";
    let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}";
    let deep = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}";
    for source in [doubling, loops, deep] {
        let template = compile(source).unwrap();
        let error = render(&template, json!([{"role": "user", "content": "a"}]), json!([])).unwrap_err();
        assert!(matches!(error, TemplateError::Exhausted | TemplateError::Failed { .. }), "{error}");
    }
    assert!(matches!(compile("{% if %}"), Err(TemplateError::Syntax { line: 1, .. })));
    assert!(matches!(compile(&" ".repeat(2 << 20)), Err(TemplateError::TooLarge { .. })));
}
