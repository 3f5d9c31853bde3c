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
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄ",
    r"ῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ",
    r"𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
);

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
                r"\s?[!-/:-~！-／：-～‘-‟\u{3000}-。]+",
                r"\s+$",
                r"[一-龥ࠀ-一가-\u{D7FF}]+",
                r"\p{N}+",
            ],
            false,
            false,
        ),
        "deepseek-coder" => (
            &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-\u{D7FF}]+", r"\p{N}"],
            false,
            false,
        ),
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" | "hy_v4" => {
            (&[r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3], false, false)
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
        for name in ["default", "falcon", "deepseek-llm", "deepseek-coder", "deepseek-v3", "bloom", "viking", "qwen35"] {
            assert_eq!(words(name, text).concat(), text, "{name}");
        }
    }
}
