#!/usr/bin/env python3
"""Our logits against llama.cpp's, position by position, on the same tokens.

    pip install llama-cpp-python==0.3.36
    logits.py sample LOGITS MODEL.gguf    a real model over prose.txt and corpus.json, in windows of 512 tokens
    logits.py tiny LOGITS TINY            small random models in f32 of every architecture

LOGITS and TINY are our examples of these names. Exits with 1 where a bound is missed; the last line has the figures.
Quantised weights meet activations that both sides round in their own way, so a real model is held to agreement on the
best token and to the distance of log-probabilities; with f32 weights only the order of additions differs.
"""

import pathlib
import random
import subprocess
import sys
import tempfile

import llama_cpp
import numpy

from peer import load, our_logits, their_logits
from tokenizer import ids_of, texts_of

HERE = pathlib.Path(__file__).parent
WINDOW = 512
LEAST_AGREEMENT = 0.99
LARGEST_DIFFERENCE = 1e-3


def log_probabilities(logits):
    shifted = logits.astype(numpy.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return shifted - numpy.log(numpy.exp(shifted).sum(axis=1, keepdims=True))


class Tally:
    def __init__(self):
        self.positions = self.agreed = self.cells = self.following = 0
        self.all = self.next = self.ours = self.theirs = self.margin = 0.0

    def add(self, ids, ours, theirs):
        best = theirs.argmax(axis=1)
        same = ours.argmax(axis=1) == best
        self.positions += len(ids)
        self.agreed += int(same.sum())
        ours, theirs = log_probabilities(ours), log_probabilities(theirs)
        self.all += float(numpy.abs(ours - theirs).sum())
        self.cells += ours.size
        rows, following = numpy.arange(len(ids) - 1), numpy.array(ids[1:])
        own, other = ours[rows, following], theirs[rows, following]
        self.next += float(numpy.abs(own - other).sum())
        self.ours -= float(own.sum())
        self.theirs -= float(other.sum())
        self.following += len(rows)
        for at in numpy.flatnonzero(~same):  # by how much llama.cpp prefers its own choice over ours
            self.margin = max(self.margin, float(theirs[at, best[at]] - theirs[at, ours[at].argmax()]))

    def row(self, name):
        return (
            f"{name:<12} {self.positions:>6} {self.agreed / self.positions:>9.4f} {self.all / self.cells:>12.5f}"
            f" {self.next / self.following:>12.5f} {self.margin:>12.4f}"
            f" {numpy.exp(self.ours / self.following):>9.3f} {numpy.exp(self.theirs / self.following):>9.3f}"
        )


def sample(program, model):
    texts = {
        "prose.txt": (HERE / "prose.txt").read_text(encoding="utf-8"),
        "corpus.json": "\n".join(texts_of(HERE / "corpus.json"))[:6000],
    }
    llama = load(model, WINDOW, logits_all=True)
    vocab = llama_cpp.llama_model_get_vocab(llama.model)
    size = llama_cpp.llama_vocab_n_tokens(vocab)
    print(f"{'text':<12} {'tokens':>6} {'top-1':>9} {'|Δ log p|':>12} {'|Δ| of next':>12} {'worst flip':>12} {'our ppl':>9} {'their ppl':>9}")
    total = Tally()
    for name, text in texts.items():
        ids, tally = ids_of(vocab, text, False), Tally()
        for start in range(0, len(ids), WINDOW):
            window = ids[start : start + WINDOW]
            if len(window) > 1:
                compared = our_logits(program, model, window, size), their_logits(llama, window)
                tally.add(window, *compared)
                total.add(window, *compared)
        print(tally.row(name), flush=True)
    print(total.row("all"))
    agreement = total.agreed / total.positions
    print(
        f"logits_tokens={total.positions} top1={agreement:.4f} dlogp={total.all / total.cells:.5f}"
        f" dlogp_next={total.next / total.following:.5f}"
    )
    return agreement >= LEAST_AGREEMENT and total.positions >= 2000


def tiny(program, writer):
    forms = [("llama", "tied"), ("llama", "untied"), ("llama", "untied", "llama3"), ("llama", "untied", "linear")]
    forms += [("qwen2", "tied"), ("qwen2", "untied"), ("qwen2", "untied", "yarn"), ("qwen3", "tied"), ("qwen3", "untied")]
    forms += [("gemma3", "tied"), ("gemma3", "untied"), ("gemma3", "tied", "linear")]
    dice, worst = random.Random(5), 0.0
    print(f"{'model':<24} {'largest logit':>14} {'largest Δ':>11} {'relative':>10}  same best")
    with tempfile.TemporaryDirectory() as folder:
        for form in forms:
            path = pathlib.Path(folder, "-".join(form) + ".gguf")
            subprocess.run([writer, path, *form], check=True)
            llama = load(path, 256, logits_all=True)
            size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(llama.model))
            ids = [dice.randrange(1, 257) for _ in range(200)]
            ours, theirs = our_logits(program, path, ids, size), their_logits(llama, ids)
            largest, difference = float(numpy.abs(theirs).max()), float(numpy.abs(ours - theirs).max())
            same = (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()
            worst = max(worst, difference / largest)
            print(f"{path.stem:<24} {largest:>14.4f} {difference:>11.2e} {difference / largest:>10.2e}  {same:.3f}", flush=True)
    print(f"tiny_models={len(forms)} tiny_relative={worst:.1e}")
    return worst <= LARGEST_DIFFERENCE


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("sample", "tiny"):
        sys.exit(__doc__)
    sys.exit(0 if {"sample": sample, "tiny": tiny}[sys.argv[1]](*sys.argv[2:]) else 1)
