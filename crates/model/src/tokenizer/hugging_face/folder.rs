//! The small files of a Hugging Face folder that say how its text is made.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::ModelError;
use crate::template::MAX_TEMPLATE_BYTES;

/// The largest `tokenizer.json` that is read; Gemma 3's has 33 MB.
const MAX_TOKENIZER_BYTES: u64 = 128 << 20;
/// The largest of the other files.
const MAX_SETTINGS_BYTES: u64 = 16 << 20;

/// What the folder's settings say.
#[derive(Debug, Default)]
pub(super) struct Folder {
    path: PathBuf,
    /// Names of the tokens that begin and end a sequence.
    pub(super) bos: Option<String>,
    pub(super) eos: Option<String>,
    /// Whether `bos` opens every sequence, where the settings insist.
    pub(super) add_bos: Option<bool>,
    /// Ids that end a generation.
    pub(super) ends: Vec<u32>,
    pub(super) template: Option<String>,
    pub(super) tool_template: Option<String>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let mut folder = Self { path: path.to_path_buf(), ..Self::default() };
        let config = folder.json("tokenizer_config.json")?;
        let map = folder.json("special_tokens_map.json")?;
        let name = |key: &str| token_name(&config[key]).or_else(|| token_name(&map[key]));
        (folder.bos, folder.eos) = (name("bos_token"), name("eos_token"));
        folder.add_bos = config["add_bos_token"].as_bool();
        folder.read_templates(&config["chat_template"]);
        let beside = folder.json("chat_template.json")?;
        folder.read_templates(&beside["chat_template"]);
        if let Some(bytes) = folder.bytes("chat_template.jinja", MAX_TEMPLATE_BYTES as u64)? {
            let text = String::from_utf8(bytes).map_err(|_| folder.bad("chat_template.jinja", "it is not UTF-8"))?;
            folder.template = Some(text);
        }
        for file in ["generation_config.json", "config.json"] {
            let ids = &folder.json(file)?["eos_token_id"];
            let ids = ids.as_array().map_or(std::slice::from_ref(ids), Vec::as_slice);
            folder.ends.extend(ids.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()));
        }
        Ok(folder)
    }

    pub(super) fn tokenizer(&self) -> Result<tokenizers::Tokenizer, ModelError> {
        let Some(bytes) = self.bytes("tokenizer.json", MAX_TOKENIZER_BYTES)? else {
            return Err(ModelError::Unsupported {
                what: "a tokenizer without a tokenizer.json".into(),
                hint: "convert it with `AutoTokenizer.from_pretrained(…).save_pretrained(…)` of transformers",
            }
            .at(&self.path));
        };
        super::parse(&bytes).map_err(|error| error.at(&self.path.join("tokenizer.json")))
    }

    /// A template is a text, or a list of named ones.
    fn read_templates(&mut self, value: &Value) {
        if let Some(text) = value.as_str() {
            self.template = Some(text.to_owned());
        }
        for entry in value.as_array().into_iter().flatten() {
            let text = entry["template"].as_str().map(str::to_owned);
            match entry["name"].as_str() {
                Some("default") => self.template = text.or(self.template.take()),
                Some("tool_use") => self.tool_template = text.or(self.tool_template.take()),
                _ => {}
            }
        }
    }

    /// A JSON file; null where there is none.
    fn json(&self, name: &str) -> Result<Value, ModelError> {
        match self.bytes(name, MAX_SETTINGS_BYTES)? {
            None => Ok(Value::Null),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| self.bad(name, &error.to_string())),
        }
    }

    fn bytes(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, ModelError> {
        let path = self.path.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ModelError::Io { path, source }),
        };
        let mut bytes = Vec::new();
        match file.take(limit + 1).read_to_end(&mut bytes) {
            Err(source) => Err(ModelError::Io { path, source }),
            Ok(read) if read as u64 > limit => Err(ModelError::TooLarge { bytes: read as u64, limit }.at(&path)),
            Ok(_) => Ok(Some(bytes)),
        }
    }

    fn bad(&self, name: &str, reason: &str) -> ModelError {
        ModelError::Json { reason: reason.to_owned() }.at(&self.path.join(name))
    }
}

/// A token is given by its name, or by an object that holds it.
fn token_name(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value["content"].as_str()).map(str::to_owned)
}
