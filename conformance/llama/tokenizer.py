#!/usr/bin/env python3
"""Token ids as llama.cpp sees them, for comparing ours against.

Reads a GGUF file (weights or vocabulary only) with llama-cpp-python and a corpus of texts, and prints one JSON object:

  model      the file's name
  pre        the pre-tokenizer that was forced, or null for the file's own
  generator  what made this
  add_bos    whether a beginning-of-sequence token opens a sequence, and which (`bos`)
  ends       ids that end a text
  controls   how many tokens show nothing when decoded
  pieces     SHA-256 over every token's bytes in id order, each preceded by its length as a little-endian u32
  cases      for each text of the corpus: `special` (ids with control tokens parsed), `literal` (without); no BOS in either

    pip install llama-cpp-python==0.3.36
    tokenizer.py MODEL.gguf [--corpus corpus.json] [--pre NAME] [--compact] > ids.json

A corpus is a JSON list; each entry is a text or {"text": …, "times": n} for a text repeated n times.
"""

import argparse
import ctypes
import hashlib
import json
import pathlib
import struct

import llama_cpp


def texts_of(path):
    entries = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    return [entry if isinstance(entry, str) else entry["text"] * entry["times"] for entry in entries]


def ids_of(vocab, text, special):
    data = text.encode("utf-8")
    room = len(data) + 16
    ids = (llama_cpp.llama_token * room)()
    count = llama_cpp.llama_tokenize(vocab, data, len(data), ids, room, False, special)
    if count < 0:
        raise RuntimeError(f"llama_tokenize wants {-count} places for {len(data)} bytes")
    return list(ids[:count])


def piece_of(vocab, token):
    buffer = ctypes.create_string_buffer(4096)
    count = llama_cpp.llama_token_to_piece(vocab, token, buffer, len(buffer), 0, False)
    if count < 0:
        raise RuntimeError(f"token {token} is longer than {len(buffer)} bytes")
    piece = buffer.raw[:count]
    # Plain words that somebody added to a byte-level vocabulary: llama.cpp shows a complaint in their place.
    return llama_cpp.llama_vocab_get_text(vocab, token) if piece.startswith(b"[UNK_BYTE_0x") else piece


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--corpus", default=pathlib.Path(__file__).with_name("corpus.json"))
    parser.add_argument("--pre", help="use this pre-tokenizer instead of the file's own")
    parser.add_argument("--compact", action="store_true", help="give the SHA-256 of ids instead of long id lists")
    args = parser.parse_args()

    overrides = {"tokenizer.ggml.pre": args.pre} if args.pre else None
    model = llama_cpp.Llama(model_path=args.model, vocab_only=True, verbose=False, kv_overrides=overrides)
    vocab = llama_cpp.llama_model_get_vocab(model.model)
    size = llama_cpp.llama_vocab_n_tokens(vocab)

    pieces = hashlib.sha256()
    controls = 0
    for token in range(size):
        piece = piece_of(vocab, token)
        controls += not piece
        pieces.update(struct.pack("<I", len(piece)) + piece)

    def shown(ids):
        if args.compact and len(ids) > 400:
            return hashlib.sha256(b"".join(struct.pack("<I", i) for i in ids)).hexdigest()
        return ids

    cases = [
        {"special": shown(ids_of(vocab, text, True)), "literal": shown(ids_of(vocab, text, False))}
        for text in texts_of(args.corpus)
    ]
    bos = llama_cpp.llama_vocab_bos(vocab)
    head = {
        "model": pathlib.Path(args.model).name,
        "pre": args.pre,
        "generator": f"conformance/llama/tokenizer.py with llama-cpp-python {llama_cpp.__version__}",
        "tokens": size,
        "add_bos": bool(llama_cpp.llama_vocab_get_add_bos(vocab)),
        "bos": bos if bos >= 0 else None,
        "ends": [token for token in range(size) if llama_cpp.llama_vocab_is_eog(vocab, token)],
        "controls": controls,
        "pieces": pieces.hexdigest(),
    }
    print(json.dumps(head, ensure_ascii=False, indent=1)[:-2] + ',\n "cases": [')
    print(",\n".join("  " + json.dumps(case, separators=(",", ":")) for case in cases))
    print(" ]\n}")


if __name__ == "__main__":
    main()
