//! The grammars that hold a model to its tools, tried with the parser that enforces them.

use std::sync::Arc;

use computepool_api::testkit::{FakeInference, TOOL_CALLS_TOKEN};
use computepool_core::Constraint;
use computepool_core::ports::ToolDialect;
use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

use crate::endpoint::Endpoint;

const END: u32 = 257;

/// The scripted model's vocabulary, as the parser wants it.
fn vocabulary() -> TokEnv {
    let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    words.extend((256..=TOOL_CALLS_TOKEN).map(|id| format!("\u{fffd}<|{id}|>").into_bytes()));
    for word in &mut words[256..] {
        word.splice(..3, [0xff]);
    }
    let info = TokRxInfo::new(words.len() as u32, END);
    Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)))
}

struct Grammar {
    text: String,
    factory: ParserFactory,
}

impl Grammar {
    async fn of(dialect: ToolDialect, request: Value) -> Self {
        let endpoint = Endpoint::new(FakeInference::answering_questions("fake").dialect(dialect));
        // Whatever the model would have answered: only what it was held to matters here.
        let _ = endpoint.chat(request).await;
        let Some(Constraint::Lark(text)) = endpoint.fake.asked()[0].constraint.clone() else { panic!("no grammar") };
        let mut factory = ParserFactory::new_simple(&vocabulary()).unwrap();
        factory.quiet();
        Self { text, factory }
    }

    fn matcher(&self) -> Matcher {
        let matcher = Matcher::new(self.factory.create_parser(TopLevelGrammar::from_lark(self.text.clone())));
        assert!(!matcher.is_error(), "{:?}\n{}", matcher.get_error(), self.text);
        matcher
    }

    /// How many bytes of the text are allowed, and whether the answer may end there.
    fn follow(&self, tokens: &[u32]) -> (usize, bool) {
        let mut matcher = self.matcher();
        let taken = matcher.try_consume_tokens(tokens).unwrap();
        let may_end = matcher.is_accepting().unwrap_or(false);
        (taken, may_end)
    }

    fn accepts(&self, text: &str) -> bool {
        let tokens: Vec<u32> = text.bytes().map(u32::from).collect();
        self.follow(&tokens) == (tokens.len(), true)
    }
}

fn tools(strict: bool) -> Value {
    let parameters = json!({
        "type": "object",
        "properties": {"place": {"$ref": "#/$defs/place"}, "days": {"type": "integer"}},
        "required": ["place"],
        "additionalProperties": false,
        "$defs": {"place": {"type": "string", "enum": ["Bern", "Zürich"]}},
    });
    json!([
        {"type": "function", "function": {"name": "weather", "parameters": parameters, "strict": strict}},
        {"type": "function", "function": {"name": "now"}},
    ])
}

fn request(more: Value) -> Value {
    let mut request = json!({"tools": tools(true)});
    for (key, value) in more.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

const WEATHER: &str =
    "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"place\": \"Zürich\", \"days\": 2}}\n</tool_call>";
const NOW: &str = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";

#[tokio::test]
async fn a_required_hermes_call_is_all_there_may_be() {
    let grammar = Grammar::of(ToolDialect::Hermes, request(json!({"tool_choice": "required"}))).await;
    assert!(grammar.accepts(WEATHER) && grammar.accepts(NOW));
    assert!(grammar.accepts(&format!("{WEATHER}\n{NOW}\n{WEATHER}")));
    for wrong in [
        "Hello",
        "",
        "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"place\": \"Rome\"}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}",
    ] {
        assert!(!grammar.accepts(wrong), "{wrong}\n{}", grammar.text);
    }
    let one =
        Grammar::of(ToolDialect::Hermes, request(json!({"tool_choice": "required", "parallel_tool_calls": false})))
            .await;
    assert!(one.accepts(WEATHER) && !one.accepts(&format!("{WEATHER}\n{NOW}")));
    let named = json!({"tool_choice": {"type": "function", "function": {"name": "now"}}});
    let named = Grammar::of(ToolDialect::Described, request(named)).await;
    assert!(named.accepts(NOW) && !named.accepts(WEATHER));
}

#[tokio::test]
async fn text_is_free_until_a_call_begins() {
    let grammar = Grammar::of(ToolDialect::Hermes, request(json!({}))).await;
    for fine in [
        "",
        "Hello, <tool> you! {}\n\n",
        "I look.\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
        WEATHER,
    ] {
        assert!(grammar.accepts(fine), "{fine}\n{}", grammar.text);
    }
    assert!(grammar.accepts(&format!("Grüezi {WEATHER}\n{NOW}")));
    for wrong in [
        "<tool_call>",
        "<tool_call> hello",
        "x <tool_call>\n{\"name\": \"other\"",
        "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>\nBye",
    ] {
        assert!(!grammar.accepts(wrong), "{wrong}\n{}", grammar.text);
    }
}

#[tokio::test]
async fn llama_and_mistral_are_held_to_their_own_forms() {
    let call = "{\"name\": \"weather\", \"parameters\": {\"place\": \"Bern\"}}";
    let auto = Grammar::of(ToolDialect::Llama3, request(json!({}))).await;
    assert!(auto.accepts(call) && auto.accepts("Hello {}") && auto.accepts(""));
    assert!(!auto.accepts("{\"name\": \"x\"}") && !auto.accepts(" {\"x\": 1}"));
    let required = Grammar::of(ToolDialect::Llama3, request(json!({"tool_choice": "required"}))).await;
    assert!(required.accepts(call) && !required.accepts("Hello"));

    let list =
        "[{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"weather\", \"arguments\": {\"place\": \"Bern\"}}]";
    let required = Grammar::of(ToolDialect::Mistral, request(json!({"tool_choice": "required"}))).await;
    let mut tokens = vec![TOOL_CALLS_TOKEN];
    tokens.extend(list.bytes().map(u32::from));
    assert_eq!(required.follow(&tokens), (tokens.len(), true), "{}", required.text);
    assert!(!required.accepts(list));
    let auto = Grammar::of(ToolDialect::Mistral, request(json!({}))).await;
    assert_eq!(auto.follow(&tokens), (tokens.len(), true), "{}", auto.text);
    assert!(auto.accepts("Hello"));
    let mixed: Vec<u32> = "Hm. ".bytes().map(u32::from).chain(tokens).collect();
    assert_eq!(auto.follow(&mixed), (mixed.len(), true), "{}", auto.text);
}

#[tokio::test]
async fn an_answer_may_be_json_or_a_call() {
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "r", "strict": true, "schema": schema}});
    let grammar = Grammar::of(ToolDialect::Hermes, request(json!({"response_format": format}))).await;
    assert!(grammar.accepts("{\"ok\": true}"), "{}", grammar.text);
    assert!(grammar.accepts(NOW) && !grammar.accepts("Hello"));
}

#[tokio::test]
async fn what_cannot_be_enforced_is_an_error_only_where_it_was_called_strict() {
    let odd = |strict: bool| {
        let parameters = json!({"type": "object", "properties": {"x": {"type": "array", "uniqueItems": true}}});
        json!({"tool_choice": "required", "tools": [
            {"type": "function", "function": {"name": "f", "parameters": parameters, "strict": strict}}]})
    };
    let lenient = Grammar::of(ToolDialect::Hermes, odd(false)).await;
    assert!(
        lenient.accepts("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": [1]}}\n</tool_call>"),
        "{}",
        lenient.text
    );
    let strict = Grammar::of(ToolDialect::Hermes, odd(true)).await;
    let parser = strict.factory.create_parser(TopLevelGrammar::from_lark(strict.text.clone()));
    assert!(Matcher::new(parser).is_error(), "{}", strict.text);
}
