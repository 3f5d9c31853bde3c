//! How byte-level models cut text into words before merging: one scheme per `tokenizer.ggml.pre`.
//!
//! The patterns are those that the models' own `tokenizer.json` files carry. Where llama.cpp approximates one (upper and
//! lower case beyond ASCII in `tekken` and `gpt-4o`), the model's own pattern is kept: that is what it was trained on.

use tokenizers::utils::SysRegex;

use crate::error::ModelError;

/// What a pre-tokenizer's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scheme {
    /// Patterns applied one after the other, each inside the pieces that the one before left; both matches and what is
    /// between them are kept.
    stages: &'static [&'static str],
    /// A word that is a token is taken whole, whatever the merges say.
    pub(super) whole_words: bool,
    /// The beginning-of-sequence token is added where the file does not say.
    pub(super) adds_bos: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const QWEN35: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}",
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const GPT4O: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const DEEPSEEK3: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const SEED_CODER: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const BAILING: &str = concat!(
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
);
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
/// DeepSeek's list of cased letters: most of what Unicode 8 has, without Georgian's.
const DEEPSEEK_LETTERS: &str = concat!(
    r"\s?[",
    r"A-Za-z\u{B5}\u{C0}-\u{D6}\u{D8}-\u{F6}\u{F8}-\u{1BA}\u{1BC}-\u{1BF}\u{1C4}-\u{293}\u{295}-\u{2AF}",
    r"\u{370}-\u{373}\u{376}\u{377}\u{37B}-\u{37D}\u{37F}\u{386}\u{388}-\u{38A}\u{38C}\u{38E}-\u{3A1}",
    r"\u{3A3}-\u{3F5}\u{3F7}-\u{481}\u{48A}-\u{52F}\u{531}-\u{556}\u{10A0}-\u{10C5}\u{13A0}-\u{13F5}",
    r"\u{13F8}-\u{13FD}\u{1C90}-\u{1CBA}\u{1CBD}-\u{1CBF}\u{1D00}-\u{1D2B}\u{1D6B}-\u{1D77}",
    r"\u{1D79}-\u{1D9A}\u{1E00}-\u{1F15}\u{1F18}-\u{1F1D}\u{1F20}-\u{1F45}\u{1F48}-\u{1F4D}",
    r"\u{1F50}-\u{1F57}\u{1F59}\u{1F5B}\u{1F5D}\u{1F5F}-\u{1F7D}\u{1F80}-\u{1FB4}\u{1FB6}-\u{1FBC}\u{1FBE}",
    r"\u{1FC2}-\u{1FC4}\u{1FC6}-\u{1FCC}\u{1FD0}-\u{1FD3}\u{1FD6}-\u{1FDB}\u{1FE0}-\u{1FEC}",
    r"\u{1FF2}-\u{1FF4}\u{1FF6}-\u{1FFC}\u{2102}\u{2107}\u{210A}-\u{2113}\u{2115}\u{2119}-\u{211D}\u{2124}",
    r"\u{2126}\u{2128}\u{212A}-\u{212D}\u{212F}-\u{2134}\u{2139}\u{213C}-\u{213F}\u{2145}-\u{2149}\u{214E}",
    r"\u{2183}\u{2184}\u{2C00}-\u{2C7B}\u{2C7E}-\u{2CE4}\u{2CEB}-\u{2CEE}\u{2CF2}\u{2CF3}\u{A640}-\u{A66D}",
    r"\u{A680}-\u{A69B}\u{A722}-\u{A76F}\u{A771}-\u{A787}\u{A78B}-\u{A78E}\u{AB70}-\u{ABBF}",
    r"\u{FB00}-\u{FB06}\u{FB13}-\u{FB17}\u{FF21}-\u{FF3A}\u{FF41}-\u{FF5A}\u{10400}-\u{1044F}",
    r"\u{104B0}-\u{104D3}\u{104D8}-\u{104FB}\u{10C80}-\u{10CB2}\u{10CC0}-\u{10CF2}\u{118A0}-\u{118DF}",
    r"\u{1E900}-\u{1E943}",
    r"]+"
);

const DEEPSEEK_CJK: &str = r"[\u{4E00}-\u{9FA5}\u{800}-\u{4E00}\u{AC00}-\u{D7FF}]+";

/// The scheme of a name in `tokenizer.ggml.pre`; `None` for one that this version cannot reproduce.
pub(super) fn scheme(name: &str) -> Option<Scheme> {
    let (stages, whole_words, adds_bos): (&'static [&'static str], _, _) = match name {
        "default" => (&[r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"], false, false),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2"
        | "jina-v5-nano" => (&[LLAMA3], true, true),
        "dbrx" | "smaug-bpe" | "chatglm-bpe" => (&[LLAMA3], false, false),
        "glm4" | "glm5" => (&[LLAMA3], true, false),
        "gpt-2" | "phi-2" | "gigachat" | "a.x-4.0" | "mellum" | "mpt" | "olmo" | "jais" | "trillion"
        | "granite-docling" | "exaone4" => (&[GPT2], false, false),
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" | "mellum2" => {
            (&[r"\p{N}", GPT2], false, false)
        }
        "qwen2" | "deepseek-r1-qwen" | "kormo" | "f2llmv2" | "stablelm2" | "hunyuan" | "solar-open" | "megrez"
        | "grok-2" => (&[QWEN2], false, false),
        "qwen35" => (&[QWEN35], false, false),
        "tekken" => (&[TEKKEN], true, true),
        "gpt-4o" | "llama4" | "kanana2" | "talkie" | "minimax-m2" => (&[GPT4O], false, false),
        "deepseek-llm" => (
            &[
                r"[\r\n]",
                DEEPSEEK_LETTERS,
                r"\s?[!-/:-~\u{FF01}-\u{FF0F}\u{FF1A}-\u{FF5E}\u{2018}-\u{201F}\u{3000}-\u{3002}]+",
                r"\s+$",
                DEEPSEEK_CJK,
                r"\p{N}+",
            ],
            false,
            false,
        ),
        "deepseek-coder" => (&[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_CJK, r"\p{N}"], false, false),
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" | "hy_v4" => {
            (&[r"\p{N}{1,3}", r"[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+", DEEPSEEK3], false, false)
        }
        "falcon" => (&[r"[\p{P}$+<=>^~|`]+", GPT2, r"[0-9][0-9][0-9]"], false, false),
        "bloom" | "poro-chat" | "gpt3-finnish" => (&[BLOOM], false, false),
        "viking" => (&[BLOOM, r"\p{N}"], false, false),
        "seed-coder" => (&[SEED_CODER], false, false),
        "bailingmoe" | "bailingmoe2" | "llada-moe" => (&[BAILING], false, false),
        _ => return None,
    };
    Some(Scheme { stages, whole_words, adds_bos })
}

/// A scheme's compiled patterns.
pub(super) struct Splitter {
    stages: Vec<SysRegex>,
}

impl Splitter {
    pub(super) fn new(scheme: Scheme) -> Result<Self, ModelError> {
        let stages = scheme.stages.iter().map(|pattern| {
            SysRegex::new(pattern).map_err(|error| ModelError::BadSetting {
                key: "tokenizer.ggml.pre".into(),
                reason: format!("its pattern does not compile: {error}"),
            })
        });
        Ok(Self { stages: stages.collect::<Result<_, _>>()? })
    }

    /// Calls `word` for each piece of `text`, in order; together they are the text.
    pub(super) fn split<'t>(&self, text: &'t str, mut word: impl FnMut(&'t str)) {
        split_stage(&self.stages, text, &mut word);
    }
}

fn split_stage<'t>(stages: &[SysRegex], text: &'t str, word: &mut impl FnMut(&'t str)) {
    let Some((stage, rest)) = stages.split_first() else {
        return word(text);
    };
    let mut from = 0;
    for (start, end) in stage.find_iter(text).filter(|(start, end)| start < end) {
        if from < start {
            split_stage(rest, &text[from..start], word);
        }
        split_stage(rest, &text[start..end], word);
        from = end;
    }
    if from < text.len() {
        split_stage(rest, &text[from..], word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'t>(pre: &str, text: &'t str) -> Vec<&'t str> {
        let mut words = Vec::new();
        Splitter::new(scheme(pre).unwrap()).unwrap().split(text, |word| words.push(word));
        words
    }

    #[test]
    fn each_family_cuts_as_its_makers_meant() {
        let text = "We'LL pay 12345 €\n\n  now";
        assert_eq!(words("gpt-2", text), ["We", "'", "LL", " pay", " 12345", " €", "\n\n ", " now"]);
        assert_eq!(words("smollm", text)[3..9], [" pay", " ", "1", "2", "3", "4"]);
        assert_eq!(words("llama-bpe", text), ["We", "'LL", " pay", " ", "123", "45", " €\n\n", " ", " now"]);
        assert_eq!(words("qwen2", text)[3..9], [" ", "1", "2", "3", "4", "5"]);
        assert_eq!(words("tekken", "écoleÉcole HTMLParser"), ["école", "École", " HTMLParser"]);
        assert_eq!(words("gpt-4o", "écoleÉcole's 1234"), ["école", "École's", " ", "123", "4"]);
        assert!(scheme("no-such-scheme").is_none());
    }

    #[test]
    fn every_piece_is_kept() {
        let text = " \u{3000}x…(y) 123\r\n\t\t語、が\u{85}a\u{301}🦀\n";
        for name in ["default", "falcon", "deepseek-llm", "deepseek-coder", "deepseek-v3", "bloom", "viking", "qwen35"]
        {
            assert_eq!(words(name, text).concat(), text, "{name}");
        }
    }
}
