//! The crate `async-openai` against an endpoint: `async-openai-conformance BASE_URL KEY MODEL [LIMITED_KEY]`.
//!
//! Prints one line a check and exits with 1 if any failed. Every answer goes through the crate's strict types, and only
//! shapes and constraints are checked, so that a tiny model passes too. LIMITED_KEY is a key that may ask only a few
//! times a minute; without it the check for 429 is skipped.

use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::ReqwestService;
use async_openai::types::chat::{
    ChatCompletionMessageToolCalls, CreateChatCompletionRequest, CreateChatCompletionResponse, FinishReason,
};
use async_openai::types::completions::CreateCompletionRequest;
use futures::StreamExt;
use serde_json::{Value, json};

type Outcome = Result<String, Box<dyn std::error::Error>>;

macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+).into());
        }
    };
}

struct Checks {
    base: String,
    key: String,
    model: String,
    limited: Option<String>,
    client: Client<OpenAIConfig>,
}

fn client(base: &str, key: &str) -> Client<OpenAIConfig> {
    // Without the crate's own retries: an error is looked at, not waited out.
    let http = ReqwestService::new(reqwest::Client::new());
    Client::with_config(OpenAIConfig::new().with_api_base(base).with_api_key(key)).with_http_service(http)
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "strict": true,
        "parameters": {"type": "object", "properties": {"location": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["location"], "additionalProperties": false}}}])
}

impl Checks {
    fn request(&self, more: Value) -> Result<CreateChatCompletionRequest, serde_json::Error> {
        let mut request =
            json!({"model": self.model, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 24});
        for (key, value) in more.as_object().into_iter().flatten() {
            request[key] = value.clone();
        }
        serde_json::from_value(request)
    }

    async fn ask(&self, more: Value) -> Result<CreateChatCompletionResponse, Box<dyn std::error::Error>> {
        Ok(self.client.chat().create(self.request(more)?).await?)
    }

    /// The request must be refused with this status and code.
    async fn refused(&self, more: Value, status: u16, code: Option<&str>) -> Outcome {
        let outcome = self.client.chat().create(self.request(more)?).await;
        refusal(outcome.map(|_| ()), status, code)
    }

    async fn models(&self) -> Outcome {
        let list = self.client.models().list().await?;
        ensure!(list.data.iter().any(|model| model.id == self.model), "{list:?}");
        self.client.models().retrieve(&self.model).await?;
        Ok(String::new())
    }

    async fn chat(&self) -> Outcome {
        let answer = self.ask(json!({"temperature": 0, "n": 2})).await?;
        ensure!(answer.choices.len() == 2, "{} answers", answer.choices.len());
        let choice = &answer.choices[0];
        ensure!(choice.message.content.as_ref().is_some_and(|text| !text.is_empty()), "no content");
        ensure!(matches!(choice.finish_reason, Some(FinishReason::Stop | FinishReason::Length)), "{choice:?}");
        let usage = answer.usage.ok_or("no usage")?;
        ensure!(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, "{usage:?}");
        Ok(String::new())
    }

    async fn stream_with_usage(&self) -> Outcome {
        let more = json!({"stream": true, "temperature": 0, "stream_options": {"include_usage": true}});
        let mut stream = self.client.chat().create_stream(self.request(more)?).await?;
        let (mut text, mut end, mut usage) = (String::new(), None, None);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            ensure!(usage.is_none(), "a chunk follows the usage");
            usage = chunk.usage;
            for choice in chunk.choices {
                text.push_str(&choice.delta.content.unwrap_or_default());
                end = choice.finish_reason.or(end);
            }
        }
        ensure!(end.is_some() && usage.is_some(), "{end:?} {usage:?}");
        let whole = self.ask(json!({"temperature": 0})).await?;
        ensure!(whole.choices[0].message.content.as_ref() == Some(&text), "{text:?}");
        Ok(String::new())
    }

    async fn logprobs(&self) -> Outcome {
        let answer = self.ask(json!({"logprobs": true, "top_logprobs": 3})).await?;
        let logprobs = answer.choices[0].logprobs.as_ref().ok_or("no logprobs")?;
        let content = logprobs.content.as_ref().ok_or("no content")?;
        ensure!(content.iter().all(|entry| entry.top_logprobs.len() == 3 && entry.logprob <= 0.0), "{content:?}");
        Ok(String::new())
    }

    async fn tools_required(&self) -> Outcome {
        let more =
            json!({"tools": tools(), "tool_choice": "required", "parallel_tool_calls": false, "max_tokens": 100});
        let answer = self.ask(more).await?;
        let choice = &answer.choices[0];
        ensure!(choice.finish_reason == Some(FinishReason::ToolCalls), "{choice:?}");
        let calls = choice.message.tool_calls.as_ref().ok_or("no calls")?;
        let Some(ChatCompletionMessageToolCalls::Function(call)) = calls.first() else {
            return Err("no function".into());
        };
        check_arguments(&call.function.name, &call.function.arguments)
    }

    async fn tools_streamed(&self) -> Outcome {
        let more = json!({"tools": tools(), "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
            "parallel_tool_calls": false, "max_tokens": 100, "stream": true});
        let mut stream = self.client.chat().create_stream(self.request(more)?).await?;
        let (mut name, mut arguments) = (String::new(), String::new());
        while let Some(chunk) = stream.next().await {
            for choice in chunk?.choices {
                ensure!(choice.delta.content.unwrap_or_default().is_empty(), "content beside a call");
                for piece in choice.delta.tool_calls.unwrap_or_default() {
                    let Some(function) = piece.function else { continue };
                    name.push_str(&function.name.unwrap_or_default());
                    arguments.push_str(&function.arguments.unwrap_or_default());
                }
            }
        }
        check_arguments(&name, &arguments)
    }

    async fn json_schema(&self) -> Outcome {
        let schema = json!({"type": "object", "properties": {"big": {"type": "boolean"}}, "required": ["big"], "additionalProperties": false});
        let format = json!({"type": "json_schema", "json_schema": {"name": "place", "strict": true, "schema": schema}});
        let answer = self.ask(json!({"response_format": format, "max_tokens": 100})).await?;
        let value: Value = serde_json::from_str(answer.choices[0].message.content.as_deref().unwrap_or_default())?;
        ensure!(value["big"].is_boolean(), "{value}");
        Ok(String::new())
    }

    async fn completions(&self) -> Outcome {
        let request = |more: Value| {
            let mut request = json!({"model": self.model, "prompt": "Once upon", "max_tokens": 6});
            for (key, value) in more.as_object().into_iter().flatten() {
                request[key] = value.clone();
            }
            serde_json::from_value::<CreateCompletionRequest>(request)
        };
        let answer = self.client.completions().create(request(json!({"logprobs": 2}))?).await?;
        ensure!(answer.choices.len() == 1 && answer.choices[0].logprobs.is_some(), "{answer:?}");
        let mut stream = self.client.completions().create_stream(request(json!({"stream": true}))?).await?;
        let mut end = None;
        while let Some(chunk) = stream.next().await {
            end = chunk?.choices.into_iter().find_map(|choice| choice.finish_reason).or(end);
        }
        ensure!(end.is_some(), "no finish_reason");
        Ok(String::new())
    }

    async fn running(&self) -> Result<u64, Box<dyn std::error::Error>> {
        let answer = reqwest::Client::new().get(format!("{}/network", self.base)).bearer_auth(&self.key).send().await?;
        Ok(answer.json::<Value>().await?["generations"].as_u64().ok_or("no figure")?)
    }

    async fn abort_in_mid_stream(&self) -> Outcome {
        let before = self.running().await?;
        let ask = json!([{"role": "user", "content": "Count slowly from one to one thousand, in words."}]);
        let request = self.request(json!({"messages": ask, "max_tokens": 2000, "stream": true}))?;
        let mut stream = self.client.chat().create_stream(request).await?;
        for _ in 0..3 {
            stream.next().await.ok_or("the stream ended")??;
        }
        ensure!(self.running().await? > before, "it does not run");
        drop(stream);
        let start = Instant::now();
        while self.running().await? > before {
            ensure!(start.elapsed() < Duration::from_secs(5), "the generation goes on after its client has left");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(String::new())
    }

    async fn error_400(&self) -> Outcome {
        self.refused(json!({"temperature": 9}), 400, None).await?;
        self.refused(json!({"messages": []}), 400, None).await?;
        self.refused(json!({"max_tokens": 10_000_000}), 400, Some("context_length_exceeded")).await
    }

    async fn error_401(&self) -> Outcome {
        refusal(client(&self.base, "wrong-key").models().list().await.map(|_| ()), 401, Some("invalid_api_key"))
    }

    async fn error_404(&self) -> Outcome {
        self.refused(json!({"model": "no-such-model"}), 404, Some("model_not_found")).await
    }

    async fn error_413(&self) -> Outcome {
        let large = json!([{"role": "user", "content": "x".repeat(5 * 1024 * 1024)}]);
        self.refused(json!({"messages": large}), 413, None).await
    }

    async fn error_429(&self) -> Outcome {
        let Some(key) = &self.limited else { return Ok("skipped: no limited key was given".into()) };
        let limited = client(&self.base, key);
        for _ in 0..50 {
            if let Err(error) = limited.models().list().await {
                return refusal(Err(error), 429, Some("rate_limit_exceeded"));
            }
        }
        Err("never refused".into())
    }
}

fn refusal(outcome: Result<(), OpenAIError>, status: u16, code: Option<&str>) -> Outcome {
    match outcome {
        Err(OpenAIError::ApiError(error)) => {
            ensure!(error.status_code.as_u16() == status, "{error}");
            ensure!(code.is_none() || error.api_error.code.as_deref() == code, "{error}");
            Ok(String::new())
        }
        Err(other) => Err(format!("not an error of the API: {other}").into()),
        Ok(()) => Err("it was not refused".into()),
    }
}

fn check_arguments(name: &str, arguments: &str) -> Outcome {
    let value: Value = serde_json::from_str(arguments)?;
    ensure!(
        name == "get_weather" && matches!(value["location"].as_str(), Some("Paris" | "Rome")),
        "{name} {arguments}"
    );
    Ok(String::new())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, key, model, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: async-openai-conformance BASE_URL KEY MODEL [LIMITED_KEY]");
        return std::process::ExitCode::FAILURE;
    };
    let checks = Checks {
        base: base.clone(),
        key: key.clone(),
        model: model.clone(),
        limited: rest.first().cloned(),
        client: client(base, key),
    };
    let (mut passed, mut failed) = (0, 0);
    macro_rules! run {
        ($($check:ident),+ $(,)?) => {
            $(match checks.$check().await {
                Ok(note) => {
                    passed += 1;
                    println!("ok    {}{}", stringify!($check), if note.is_empty() { note } else { format!(" ({note})") });
                }
                Err(error) => {
                    failed += 1;
                    println!("FAIL  {}: {error}", stringify!($check));
                }
            })+
        };
    }
    run!(
        models,
        chat,
        stream_with_usage,
        logprobs,
        tools_required,
        tools_streamed,
        json_schema,
        completions,
        abort_in_mid_stream,
        error_400,
        error_401,
        error_404,
        error_413,
        error_429,
    );
    println!("async-openai 0.43: {passed} of {} checks passed", passed + failed);
    if failed == 0 { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
