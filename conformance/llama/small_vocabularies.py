#!/usr/bin/env python3
"""Makes small vocabularies, and what llama.cpp makes of the corpus with them.

The sample model proves one pre-tokenizer of one kind. This makes a SentencePiece vocabulary (with and without a space
in front, with byte, control and user-defined tokens) and a byte-level one whose merges know no word limits, so that
every cut of every pre-tokenizer shows in the ids. Prints one JSON object: the vocabularies, and for each of them the
ids of every text of corpus.json, shortened to the first 16 hex digits of the SHA-256 over little-endian u32s.

    pip install llama-cpp-python==0.3.36
    small_vocabularies.py > crates/model/tests/fixtures/small-vocabularies.json
"""

import collections
import hashlib
import json
import os
import pathlib
import random
import struct
import tempfile

import llama_cpp

from tokenizer import ids_of, texts_of

NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6
PRES = [
    "default", "llama-bpe", "smaug-bpe", "glm4", "gpt-2", "mpt", "exaone4", "starcoder", "refact", "command-r", "smollm",
    "qwen2", "stablelm2", "qwen35", "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon", "bloom", "viking",
    "seed-coder", "bailingmoe",
]


def gguf(entries):
    """A GGUF v3 file without tensors."""

    def text(value):
        data = value.encode("utf-8")
        return struct.pack("<Q", len(data)) + data

    def value_of(value):
        if isinstance(value, bool):
            return 7, struct.pack("<?", value)
        if isinstance(value, int):
            return 4, struct.pack("<I", value)
        if isinstance(value, float):
            return 6, struct.pack("<f", value)
        if isinstance(value, str):
            return 8, text(value)
        kind = 5 if isinstance(value[0], int) else value_of(value[0])[0]
        items = b"".join(struct.pack("<i", item) if kind == 5 else value_of(item)[1] for item in value)
        return 9, struct.pack("<IQ", kind, len(value)) + items

    body = b""
    for key, value in entries.items():
        kind, data = value_of(value)
        body += text(key) + struct.pack("<I", kind) + data
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + body


def hashes(entries, texts):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vocabulary.gguf")
        base = {"general.architecture": "llama", "general.name": "small", "llama.context_length": 512}
        pathlib.Path(path).write_bytes(gguf(base | entries))
        model = llama_cpp.Llama(model_path=path, vocab_only=True, verbose=False)
        vocab = llama_cpp.llama_model_get_vocab(model.model)
        found = {}
        for name, special in (("special", True), ("literal", False)):
            ids = [ids_of(vocab, text, special) for text in texts]
            found[name] = [hashlib.sha256(struct.pack(f"<{len(i)}I", *i)).hexdigest()[:16] for i in ids]
        return found


def sentence_piece(texts):
    """Characters, stretches of text and random scores: merges go every way that a trained vocabulary's would."""
    dice = random.Random(1)
    counts = collections.Counter()
    for text in texts:
        escaped = text.replace(" ", "▁")[:4000]
        for length in range(1, 9):
            counts.update(escaped[at : at + length] for at in range(len(escaped) - length + 1))
    single = sorted(piece for piece in counts if len(piece) == 1 and piece.isprintable())
    kept = dice.sample(single, len(single) * 2 // 3)
    # No pieces that control tokens could be merged from: where the text is literal, llama.cpp would make them of it.
    named = "<unk> <s> </s> <|im_start|> <|im_end|>"
    longer = sorted(
        piece for piece, count in counts.items() if len(piece) > 1 and count > 2 and "\n" not in piece and piece not in named
    )
    kept += dice.sample(longer, 900)
    special = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL)]
    user = [("\n" * n, USER) for n in (2, 3, 4, 7)] + [("▁▁▁▁", USER), ("[INST]", USER), ("<b>", USER), ("123", USER)]
    bytes_ = [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    fixed = special + bytes_ + user
    taken = {name for name, _ in fixed}
    pieces = fixed + [(piece, NORMAL) for piece in kept if piece not in taken]
    # Few different scores, so that ties have to be broken as llama.cpp breaks them.
    scores = [0.0 if kind != NORMAL else -float(dice.randrange(1, 40)) for _, kind in pieces]
    return [name for name, _ in pieces], [kind for _, kind in pieces], scores


def byte_characters():
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + at) for at, byte in enumerate(other)}


def byte_level(texts):
    """Plain byte-pair encoding over whole texts."""
    spelled = byte_characters()
    words = [[spelled[byte] for byte in text.encode("utf-8")[:1500]] for text in texts]
    tokens, merges = list(spelled.values()), []
    while len(merges) < 1200:
        pairs = collections.Counter(pair for word in words for pair in zip(word, word[1:]))
        (left, right), count = min(pairs.items(), key=lambda item: (-item[1], item[0]))
        if count < 2:
            break
        merges.append(f"{left} {right}")
        if left + right not in tokens:  # two pairs can make the same token
            tokens.append(left + right)
        for word in words:
            at = 0
            while at + 1 < len(word):
                if word[at] == left and word[at + 1] == right:
                    word[at : at + 2] = [left + right]
                at += 1
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [token for token in tokens if token not in special]
    return tokens + special, [NORMAL] * len(tokens) + [CONTROL] * len(special), merges


def main():
    texts = texts_of(pathlib.Path(__file__).with_name("corpus.json"))
    names, kinds, scores = sentence_piece(texts)
    piece = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": names,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.scores": scores,
    }
    tokens, token_kinds, merges = byte_level(texts)
    level = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": token_kinds,
        "tokenizer.ggml.merges": merges,
    }
    fixture = {
        "generator": f"conformance/llama/small_vocabularies.py with llama-cpp-python {llama_cpp.__version__}",
        "sentence_piece": {"tokens": names, "kinds": kinds, "scores": scores},
        "byte_level": {"tokens": tokens, "kinds": token_kinds, "merges": merges},
        "with_space": hashes(piece, texts),
        "without_space": hashes(piece | {"tokenizer.ggml.add_space_prefix": False}, texts),
        "pre": {pre: hashes(level | {"tokenizer.ggml.pre": pre}, texts) for pre in PRES},
    }
    print("{" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}" for key, value in fixture.items()) + "}")


if __name__ == "__main__":
    main()
