//! A streamed answer, event by event.

use serde_json::Value;

/// An answer that is coming.
pub(crate) struct Stream {
    response: reqwest::Response,
    pending: Vec<u8>,
    seen: Answer,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) finish: Option<String>,
    pub(crate) error: Option<Value>,
    /// `[DONE]` came.
    pub(crate) done: bool,
}

impl Stream {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self { response, pending: Vec::new(), seen: Answer::default() }
    }

    /// Waits for the next event; `false` when the stream is over.
    pub(crate) async fn next(&mut self) -> bool {
        loop {
            if let Some(end) = self.pending.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.pending.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                let Some(data) = event.trim().strip_prefix("data: ") else { continue };
                self.take(data);
                return true;
            }
            match self.response.chunk().await.unwrap() {
                Some(bytes) => self.pending.extend_from_slice(&bytes),
                None => return false,
            }
        }
    }

    fn take(&mut self, data: &str) {
        assert!(!self.seen.done && self.seen.error.is_none(), "something came after the end: {data}");
        if data == "[DONE]" {
            self.seen.done = true;
            return;
        }
        let value: Value = serde_json::from_str(data).unwrap();
        if value["error"].is_object() {
            self.seen.error = Some(value["error"].clone());
            return;
        }
        let choice = &value["choices"][0];
        self.seen.text.push_str(choice["text"].as_str().unwrap_or_default());
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.seen.finish = Some(reason.to_owned());
        }
    }

    /// Reads until some text has come.
    pub(crate) async fn under_way(&mut self) {
        while self.seen.text.len() < 12 {
            assert!(self.next().await, "the stream ended early: {:?}", self.seen);
        }
    }

    /// Reads to the end.
    pub(crate) async fn rest(mut self) -> Answer {
        while self.next().await {}
        self.seen
    }
}

impl Answer {
    /// The text of an answer that came to its end.
    pub(crate) fn whole(self) -> String {
        assert!(self.done && self.error.is_none(), "it broke off: {self:?}");
        assert_eq!(self.finish.as_deref(), Some("length"));
        self.text
    }

    /// The code of the error with which a stream broke off; nothing in it may look like success.
    pub(crate) fn fault(&self) -> (String, String) {
        assert!(!self.done && self.finish.is_none(), "a lost generation is told as finished: {self:?}");
        let error = self.error.as_ref().unwrap_or_else(|| panic!("the stream ended without a word: {self:?}"));
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message"))
    }
}
