//! `computepool chat`: a conversation in the terminal.

mod command;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use computepool_core::money::U256;
use computepool_core::ports::Bill;
use computepool_core::{Amount, Asset, Fault, FaultCode};
use rustyline::error::ReadlineError;
use serde_json::{Value, json};

use crate::purse::PaySettings;
use command::Command;
use computepool_app::endpoint::{Endpoint, Piece};

/// What a conversation starts from.
pub(crate) struct ChatOptions {
    /// Base address of the endpoint.
    pub(crate) endpoint: String,
    /// API key, where the endpoint wants one.
    pub(crate) key: Option<String>,
    /// The model; the first one offered when absent.
    pub(crate) model: Option<String>,
    /// System message.
    pub(crate) system: Option<String>,
    /// Sampling temperature.
    pub(crate) temperature: Option<f32>,
    /// Longest answer, in tokens.
    pub(crate) max_tokens: Option<u32>,
    /// The wallet that pays, where the endpoint wants to be paid.
    pub(crate) pay: Option<PaySettings>,
    /// Where typed lines are remembered.
    pub(crate) history: PathBuf,
}

struct Conversation {
    endpoint: Endpoint,
    options: ChatOptions,
    model: String,
    messages: Vec<Value>,
}

/// Talks until the user leaves.
pub(crate) async fn chat(mut options: ChatOptions) -> Result<(), Fault> {
    let endpoint = match options.pay.take() {
        Some(pay) => Endpoint::paying(&options.endpoint, pay.payer().await?),
        None => Endpoint::new(&options.endpoint, options.key.clone()),
    };
    let model = match &options.model {
        Some(model) => model.clone(),
        None => first_model(&endpoint).await?,
    };
    println!(
        "Talking to {model} at {}. /help lists commands, Ctrl-C stops an answer, Ctrl-D leaves.\n",
        options.endpoint
    );
    let mut conversation = Conversation { endpoint, model, messages: Vec::new(), options };
    conversation.restart();
    let mut editor = editor(&conversation.options.history)?;
    loop {
        let (returned, line) = read_line(editor).await?;
        editor = returned;
        match line {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => match Command::parse(&line) {
                None => conversation.ask(&line).await,
                Some(Command::Quit) => break,
                Some(command) => conversation.obey(command).await,
            },
            Err(ReadlineError::Interrupted) => println!("(Ctrl-D or /quit leaves)"),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Fault::new(FaultCode::Io, format!("the terminal cannot be read: {error}"))),
        }
    }
    conversation.settle().await;
    if let Some(folder) = conversation.options.history.parent() {
        std::fs::create_dir_all(folder).ok();
    }
    editor.save_history(&conversation.options.history).ok();
    Ok(())
}

fn editor(history: &Path) -> Result<rustyline::DefaultEditor, Fault> {
    let mut editor = rustyline::DefaultEditor::new()
        .map_err(|error| Fault::new(FaultCode::Io, format!("the terminal cannot be used: {error}")))?;
    editor.load_history(history).ok();
    Ok(editor)
}

type Line = (rustyline::DefaultEditor, Result<String, ReadlineError>);

/// Reading blocks, so it has a thread of its own.
async fn read_line(mut editor: rustyline::DefaultEditor) -> Result<Line, Fault> {
    tokio::task::spawn_blocking(move || {
        let line = editor.readline("> ");
        if let Ok(line) = &line {
            editor.add_history_entry(line).ok();
        }
        (editor, line)
    })
    .await
    .map_err(|error| Fault::new(FaultCode::Internal, error.to_string()))
}

async fn first_model(endpoint: &Endpoint) -> Result<String, Fault> {
    let models = endpoint.get("/models").await?;
    let first = models["data"][0]["id"].as_str();
    first.map(str::to_owned).ok_or_else(|| {
        Fault::new(FaultCode::ModelNotFound, "the endpoint offers no model")
            .hint("start nodes that have one, or wait until they are ready")
    })
}

impl Conversation {
    fn restart(&mut self) {
        self.messages.clear();
        if let Some(system) = &self.options.system {
            self.messages.push(json!({"role": "system", "content": system}));
        }
    }

    /// Sends the conversation with one more message and prints the answer as it comes.
    async fn ask(&mut self, text: &str) {
        self.messages.push(json!({"role": "user", "content": text}));
        let mut body = json!({"model": self.model, "messages": self.messages});
        if let Some(temperature) = self.options.temperature {
            body["temperature"] = json!(temperature);
        }
        if let Some(max_tokens) = self.options.max_tokens {
            body["max_tokens"] = json!(max_tokens);
        }
        let started = Instant::now();
        let (mut answer, mut first, mut usage, mut finish) = (String::new(), None, Value::Null, String::new());
        let stopped = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => None,
            result = self.endpoint.chat(&body, |piece| match piece {
                Piece::Text(text) => {
                    first.get_or_insert_with(|| started.elapsed());
                    print!("{text}");
                    std::io::stdout().flush().ok();
                    answer.push_str(&text);
                }
                Piece::Finish(reason) => finish = reason,
                Piece::Usage(value, _) => usage = value,
            }) => Some(result),
        };
        println!();
        match stopped {
            None => println!("(stopped)"),
            Some(Err(fault)) => println!("! {fault}"),
            Some(Ok(())) => {
                let tokens = usage["completion_tokens"].as_u64().unwrap_or(0);
                let first = first.unwrap_or_default();
                let rate = tokens.saturating_sub(1) as f64 / (started.elapsed() - first).as_secs_f64().max(1e-6);
                let cut = if finish == "length" { ", cut off at its length limit" } else { "" };
                let cost = self.cost().await.map_or(String::new(), |cost| format!("; {cost}"));
                println!(
                    "({tokens} tokens, {rate:.1} per second, first after {:.2} s{cut}{cost})\n",
                    first.as_secs_f64()
                );
            }
        }
        // What was seen is part of the conversation, even where it was stopped; a question without any answer is not.
        if answer.is_empty() {
            self.messages.pop();
        } else {
            self.messages.push(json!({"role": "assistant", "content": answer}));
        }
    }

    /// What the session has cost so far; `None` where nothing was paid.
    async fn cost(&self) -> Option<String> {
        let paid = self.endpoint.paid()?;
        let bill: Bill = serde_json::from_value(self.endpoint.get("/session").await.ok()?).ok()?;
        let (seconds, wei) = (bill.served_ms as f64 / 1e3, bill.rate.units.checked_mul(U256::from(bill.served_ms))?);
        let cost = Amount::new(wei / U256::from(1_000), Asset::Usdcx).to_decimal();
        Some(format!("{seconds:.1} s served for {cost} of {}", paid.payment.authorization.value))
    }

    /// Ends the session, if there is one: the rest goes back.
    async fn settle(&self) {
        if self.endpoint.paid().is_none() {
            return;
        }
        let cost = self.cost().await.unwrap_or_else(|| "the seller does not say what was served".to_owned());
        match self.endpoint.delete("/session").await {
            Ok(_) => println!("({cost}; the rest is on its way back)"),
            Err(fault) => println!("! the session was not closed: {fault}; `computepool wallet refunds` gets its rest"),
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Help => println!("{}", Command::HELP),
            Command::Clear => {
                self.restart();
                println!("(a new conversation)");
            }
            Command::System(text) => {
                self.options.system = (!text.is_empty()).then_some(text);
                self.restart();
                println!("(system message set, a new conversation)");
            }
            Command::Model(model) if model.is_empty() => match self.endpoint.get("/models").await {
                Ok(models) => {
                    for model in models["data"].as_array().into_iter().flatten() {
                        println!("{}", model["id"].as_str().unwrap_or_default());
                    }
                }
                Err(fault) => println!("! {fault}"),
            },
            Command::Model(model) => {
                println!("(talking to {model})");
                self.model = model;
            }
            Command::Retry => {
                let last = self.messages.iter().rposition(|message| message["role"] == "user");
                if let Some(last) = last {
                    let text = self.messages[last]["content"].as_str().unwrap_or_default().to_owned();
                    self.messages.truncate(last);
                    self.ask(&text).await;
                }
            }
            Command::Save(path) => match std::fs::write(&path, format!("{:#}\n", Value::from(self.messages.clone()))) {
                Ok(()) => println!("(saved to {path})"),
                Err(error) => println!("! {path} cannot be written: {error}"),
            },
            Command::Unknown(name) => println!("! there is no command {name}; /help lists them"),
            Command::Quit => {}
        }
    }
}
