#!/usr/bin/env python3
"""Our logits against llama.cpp's, position by position, on the same tokens.

    pip install llama-cpp-python==0.3.36
    logits.py sample LOGITS MODEL.gguf    a real model over prose.txt and corpus.json, in windows of 512 tokens
    logits.py tiny LOGITS TINY            small random models in f32 of every architecture

LOGITS and TINY are our examples of these names. Exits with 1 where a bound is missed; the last line has the figures.

Before a quantised weight meets an activation, both sides round the activation to 8 bits, each in its own way; thirty
layers later neither has the best token of the exact activations more often than the other, and they miss it in different
places. llama.cpp given the tokens one by one does not agree with llama.cpp given all of them any better: that row is
printed too. So the same weights, unpacked to f32, must give the same best tokens; and with the file as it is, ours must
be about as close to those as llama.cpp's are.
"""

import ctypes
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
# With weights in f32: ours and llama.cpp's best tokens.
LEAST_AGREEMENT = 0.99
# With the file as it is, against llama.cpp with the same weights in f32: how far ours may stand behind llama.cpp.
MOST_BEHIND = 0.01
LARGEST_RATIO = 1.1
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
            f"{name:<34} {self.positions:>6} {self.agreed / self.positions:>9.4f} {self.all / self.cells:>12.5f}"
            f" {self.next / self.following:>12.5f} {self.margin:>12.4f}"
            f" {numpy.exp(self.ours / self.following):>9.3f} {numpy.exp(self.theirs / self.following):>9.3f}"
        )


def unpack(model, path):
    """The same weights in f32."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = llama_cpp.LLAMA_FTYPE_ALL_F32, True, 1
    if llama_cpp.llama_model_quantize(str(model).encode(), str(path).encode(), ctypes.byref(params)) != 0:
        sys.exit(f"llama.cpp could not unpack {model}")


def sample(program, model):
    texts = [(HERE / "prose.txt").read_text(encoding="utf-8"), "\n".join(texts_of(HERE / "corpus.json"))[:2500]]
    names = ["ours, f32 ~ llama.cpp, f32", "ours ~ llama.cpp", "ours ~ llama.cpp, f32", "llama.cpp ~ llama.cpp, f32"]
    names += ["llama.cpp, one by one ~ llama.cpp"]
    tallies = [Tally() for _ in names]
    with tempfile.TemporaryDirectory() as folder:
        exact = pathlib.Path(folder, "f32.gguf")
        given = load(model, WINDOW, logits_all=True)  # first: it also silences llama.cpp
        single = load(model, WINDOW, batch=1, logits_all=True)
        unpack(model, exact)
        unpacked = load(exact, WINDOW, logits_all=True)
        vocab = llama_cpp.llama_model_get_vocab(given.model)
        size = llama_cpp.llama_vocab_n_tokens(vocab)
        for text in texts:
            ids = ids_of(vocab, text, False)
            for start in range(0, len(ids) - 1, WINDOW):
                window = ids[start : start + WINDOW]
                ours, ours_exact = (our_logits(program, path, window, size) for path in (model, exact))
                theirs, theirs_exact = their_logits(given, window), their_logits(unpacked, window)
                pairs = [(ours_exact, theirs_exact), (ours, theirs), (ours, theirs_exact), (theirs, theirs_exact)]
                pairs += [(their_logits(single, window), theirs)]
                for tally, pair in zip(tallies, pairs):
                    tally.add(window, *pair)
    print(f"{'':<34} {'tokens':>6} {'top-1':>9} {'|Δ log p|':>12} {'|Δ| of next':>12} {'worst flip':>12} {'ppl':>9} {'ppl':>9}")
    for name, tally in zip(names, tallies):
        print(tally.row(name))
    agreements = [tally.agreed / tally.positions for tally in tallies]
    distances = [tally.all / tally.cells for tally in tallies]
    print(
        f"logits_tokens={tallies[0].positions} top1_f32={agreements[0]:.4f} top1_file={agreements[1]:.4f}"
        f" top1_file_to_exact={agreements[2]:.4f} llama_to_exact={agreements[3]:.4f}"
        f" llama_to_itself={agreements[4]:.4f} dlogp_f32={distances[0]:.6f} dlogp_file={distances[1]:.4f} dlogp_next_file={tallies[1].next / tallies[1].following:.4f}"
    )
    return (
        tallies[0].positions >= 2000
        and agreements[0] >= LEAST_AGREEMENT
        and agreements[2] >= agreements[3] - MOST_BEHIND
        and distances[2] <= distances[3] * LARGEST_RATIO
    )


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
