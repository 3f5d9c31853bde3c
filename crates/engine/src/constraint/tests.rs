use super::*;

const END: u32 = 300;

/// One token per byte, some longer ones, a control token and an end token.
fn vocabulary() -> GrammarVocabulary {
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    for text in ["{\"", "\":", "\"}", "}}", "    ", "\n\n", "name", " \"", "true", "]]", "12", "é", ", \""] {
        tokens.push(text.as_bytes().to_vec());
    }
    tokens.resize(299, b"never".to_vec());
    tokens.push(b"<|tool|>".to_vec());
    tokens.push(b"</s>".to_vec());
    // Longer than a trie may be deep, and one that looks like a marker.
    tokens.push(vec![b' '; 4_000]);
    tokens.push(b"\xFF[1]".to_vec());
    let mut control = vec![false; tokens.len()];
    control[299] = true;
    GrammarVocabulary { tokens, control, end: vec![END, 1_000_000] }
}

fn token(text: &[u8]) -> u32 {
    vocabulary().tokens.iter().position(|token| token == text).unwrap() as u32
}

/// Feeds the text byte by byte; how far it came and whether it was complete there.
fn feed(state: &mut ConstraintState, text: &str) -> (usize, Progress) {
    let mut progress = Progress::Open;
    for (at, byte) in text.bytes().enumerate() {
        let mask = state.mask().unwrap();
        if progress == Progress::Complete || !mask.allows(u32::from(byte)) {
            return (at, progress);
        }
        progress = state.accept(u32::from(byte)).unwrap();
    }
    (text.len(), progress)
}

fn accepts(grammar: &Grammar, constraint: &Constraint, text: &str) -> bool {
    feed(&mut grammar.compile(constraint).unwrap(), text) == (text.len(), Progress::Complete)
}

#[test]
fn any_json_object_and_nothing_else() {
    let grammar = Grammar::new(vocabulary());
    let object = Constraint::JsonObject;
    for good in [
        "{}",
        r#"{"a":1}"#,
        r#"{"a": [1, 2.5e3, {"b": null}], "ü": "\n\u0001é"}"#,
        "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": 2\n  }\n}",
    ] {
        assert!(accepts(&grammar, &object, good), "{good}");
    }
    for bad in ["[1]", "1", r#"{"a" 1}"#, "{a:1}", "{,}", r#"{"a":01}"#, "{}}"] {
        assert!(!accepts(&grammar, &object, bad), "{bad}");
    }
}

#[test]
fn white_space_is_bounded() {
    let grammar = Grammar::new(vocabulary());
    let mut state = grammar.compile(&Constraint::JsonObject).unwrap();
    assert_eq!(feed(&mut state, "{\n    \"a\": 1").0, 12);
    let mut state = grammar.compile(&Constraint::JsonObject).unwrap();
    assert_eq!(feed(&mut state, "{  \"a\": 1").0, 2, "two spaces are not indentation");
    let mut state = grammar.compile(&Constraint::JsonObject).unwrap();
    assert!(feed(&mut state, &format!("{{\n{}", " ".repeat(200))).0 < 40);
    let mut state = grammar.compile(&Constraint::JsonObject).unwrap();
    feed(&mut state, "{");
    assert!(!state.mask().unwrap().allows(token(b"\n\n")));
}

#[test]
fn a_schema_is_followed_to_its_end() {
    let grammar = Grammar::new(vocabulary());
    let schema = Constraint::JsonSchema(
        r#"{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150}},
            "required":["name","age"],"additionalProperties":false}"#
            .to_owned(),
    );
    assert!(accepts(&grammar, &schema, r#"{"name": "Ada", "age": 36}"#));
    assert!(!accepts(&grammar, &schema, r#"{"name": "Ada"}"#));
    assert!(!accepts(&grammar, &schema, r#"{"name": "Ada", "age": 151}"#));
    assert!(!accepts(&grammar, &schema, r#"{"name": "Ada", "age": 3, "x": 1}"#));
    // Tokens of several bytes do as well.
    let mut state = grammar.compile(&schema).unwrap();
    for text in ["{\"", "name", "\":", " \"", "é", "\"", ", \"", "a", "g", "e", "\":", "12"] {
        assert_eq!(state.accept(token(text.as_bytes())), Ok(Progress::Open), "{text}");
    }
    assert!(!state.mask().unwrap().allows(token(b"\"}")));
    assert!(!state.mask().unwrap().allows(END));
    assert_eq!(state.accept(token(b"}")), Ok(Progress::Complete));
}

#[test]
fn a_number_may_grow_until_the_model_ends_it() {
    let grammar = Grammar::new(vocabulary());
    let mut state = grammar.compile(&Constraint::JsonSchema(r#"{"type":"integer"}"#.to_owned())).unwrap();
    assert!(!state.mask().unwrap().allows(END));
    assert_eq!(state.accept(token(b"12")), Ok(Progress::Open));
    assert!(state.mask().unwrap().allows(END) && state.mask().unwrap().allows(token(b"12")));
    assert_eq!(state.accept(END), Ok(Progress::Complete));
    let mut string = grammar.compile(&Constraint::JsonSchema("true".to_owned())).unwrap();
    assert_eq!(feed(&mut string, r#""a\"b""#), (6, Progress::Complete));
}

#[test]
fn control_tokens_and_oversize_tokens_are_never_allowed() {
    let grammar = Grammar::new(vocabulary());
    let mut state = grammar.compile(&Constraint::Lark("start: /(.|\\n)*/".to_owned())).unwrap();
    let mask = state.mask().unwrap();
    assert!(mask.allows(u32::from(b'x')) && mask.allows(END) && mask.allows(token(b"never")));
    assert!(![299, END + 1, END + 2, 0xFF, 100_000].into_iter().any(|id| mask.allows(id)));
    assert_eq!(state.accept(299), Err(ConstraintError::NotAllowed(299)));
}

#[test]
fn lark_is_complete_when_nothing_can_follow() {
    let grammar = Grammar::new(vocabulary());
    let lark = Constraint::Lark(r#"start: "yes" | "no" | "<call>" %json {"type":"boolean"} "</call>""#.to_owned());
    for good in ["yes", "no", "<call>true</call>"] {
        assert!(accepts(&grammar, &lark, good), "{good}");
    }
    assert!(!accepts(&grammar, &lark, "maybe"));
    let mut state = grammar.compile(&lark).unwrap();
    assert_eq!(feed(&mut state, "no"), (2, Progress::Complete));
    assert_eq!(state.mask().unwrap().count(), 1);
    assert!(state.mask().unwrap().allows(END));
    assert_eq!(state.accept(END), Ok(Progress::Complete));
}

#[test]
fn bad_grammars_are_refused_by_name_and_soon() {
    let grammar = Grammar::new(vocabulary());
    grammar.compile(&Constraint::JsonObject).unwrap();
    let wide = |n: usize| {
        let fields: Vec<String> =
            (0..n).map(|i| format!(r#""k{i}":{{"type":"string","pattern":"^(a|b){{1,40}}c{i}$"}}"#)).collect();
        format!(r#"{{"type":"object","properties":{{{}}}}}"#, fields.join(","))
    };
    let any_of = |n: usize| {
        let either = r#"{"anyOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":{"type":"integer"}}}]}"#;
        format!(r#"{{"type":"object","allOf":[{}]}}"#, vec![either; n].join(","))
    };
    let nested =
        |n: usize| format!("{}{}{}", r#"{"type":"array","items":"#.repeat(n), r#"{"type":"null"}"#, "}".repeat(n));
    // Some of these are sound and merely heavy: each is settled one way or the other, within bounds.
    let heavy = [
        Constraint::JsonSchema(any_of(20)),
        Constraint::JsonSchema(wide(2_000)),
        Constraint::JsonSchema(nested(60)),
        Constraint::JsonSchema(r#"{"type":"string","maxLength":1000000000}"#.to_owned()),
        Constraint::JsonSchema(r#"{"type":"array","items":{"type":"string"},"maxItems":100000000}"#.to_owned()),
        Constraint::Lark("start: /((a{1,1000}){1,1000}){1,1000}/".to_owned()),
        Constraint::Lark(format!("start: /{}a{}/", "(".repeat(60), ")*".repeat(60))),
        Constraint::Lark("start: start start | \"a\"".to_owned()),
        Constraint::Lark(format!("start: {}", vec!["\"a\"?"; 20_000].join(" "))),
    ];
    for constraint in &heavy {
        if let Err(error) = grammar.compile(constraint).and_then(|mut state| state.mask()) {
            assert_eq!(Fault::from(error).code, FaultCode::BadGrammar);
        }
    }
    let bad = [
        Constraint::JsonSchema("{".to_owned()),
        Constraint::JsonSchema("[]".to_owned()),
        Constraint::JsonSchema("[".repeat(100_000)),
        Constraint::JsonSchema(r#"{"type":"frog"}"#.to_owned()),
        Constraint::JsonSchema(format!("{{\"title\":\"{}\"}}", "x".repeat(MAX_GRAMMAR_BYTES))),
        // These define themselves by themselves: no text fits them.
        Constraint::JsonSchema(r##"{"$ref":"#"}"##.to_owned()),
        Constraint::JsonSchema(r##"{"allOf":[{"$ref":"#"}]}"##.to_owned()),
        Constraint::JsonSchema(r##"{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}"##.to_owned()),
        Constraint::Lark("start: nowhere".to_owned()),
        Constraint::Lark(String::new()),
        Constraint::Lark(format!("start: {}\"a\"{}", "(".repeat(30_000), ")".repeat(30_000))),
        Constraint::Lark("start: /(/".to_owned()),
    ];
    for constraint in bad {
        let fault = Fault::from(grammar.compile(&constraint).map(|_| ()).unwrap_err());
        assert_eq!(fault.code, FaultCode::BadGrammar);
        assert!(fault.message.len() < 500 && !fault.message.contains('\n'), "{}", fault.message);
    }
}

#[test]
fn a_model_without_end_tokens_and_one_without_text() {
    let vocabulary = GrammarVocabulary { end: Vec::new(), ..vocabulary() };
    let grammar = Grammar::new(vocabulary);
    let mut state = grammar.compile(&Constraint::JsonObject).unwrap();
    assert_eq!(feed(&mut state, "{}"), (2, Progress::Complete));
    let empty = Grammar::new(GrammarVocabulary::default());
    assert_eq!(format!("{empty:?}"), "Grammar(0 tokens, idle)");
    let refused = empty.compile(&Constraint::JsonObject).unwrap_err();
    assert_eq!(Fault::from(refused).code, FaultCode::UnsupportedModel);
}
