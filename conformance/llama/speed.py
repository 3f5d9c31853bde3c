#!/usr/bin/env python3
"""Tokens per second on one thread, ours and llama.cpp's in turn.

    pip install --no-binary llama-cpp-python llama-cpp-python==0.3.36     # compiled here, for this processor
    speed.py LOGITS MODEL.gguf [ROUNDS]

Each round measures both sides one after the other: prefill of 256 pseudo-random ids, then 128 greedy steps. What counts
is the median of the rounds' ratios, so that a machine whose speed drifts slows both alike. llama.cpp keeps its default
keys and values (f16) and flash attention off. Exits with 1 where a bound is missed; the last line has the figures.
"""

import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import llama_cpp

from peer import load, repack_works

PROMPT, STEPS = 256, 128
LEAST_PREFILL, LEAST_DECODE = 0.5, 0.7


def theirs(llama, ids):
    """Through llama_decode and an arg max in C, so that Python costs next to nothing."""
    memory = llama_cpp.llama_get_memory(llama.ctx)
    llama_cpp.llama_memory_clear(memory, True)
    vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(llama.model))
    sampler = llama_cpp.llama_sampler_init_greedy()
    assert vocabulary > max(ids)

    def step(tokens):
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        assert llama_cpp.llama_decode(llama.ctx, llama_cpp.llama_batch_get_one(array, len(tokens))) == 0
        return llama_cpp.llama_sampler_sample(sampler, llama.ctx, -1)

    began = time.perf_counter()
    token = step(ids)
    prefilled = time.perf_counter()
    for _ in range(STEPS):
        token = step([token])
    ended = time.perf_counter()
    llama_cpp.llama_sampler_free(sampler)
    return PROMPT / (prefilled - began), STEPS / (ended - prefilled)


def ours(program, model, path):
    written = subprocess.run([program, model, path, "--time", str(STEPS)], stdout=subprocess.PIPE, check=True).stdout
    said = json.loads(written)
    return said["prefill"], said["decode"]


def main():
    program, model = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    dice = random.Random(11)
    ids = [dice.randrange(100, 49_000) for _ in range(PROMPT)]
    system = llama_cpp.llama_print_system_info().decode()
    print("llama.cpp:", ", ".join(part.split(" = ")[0].removeprefix("CPU : ").strip() for part in system.split("|") if "= 1" in part))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    repack = repack_works(model)
    if not repack:
        print("llama.cpp dies here when it lays weights out anew for this processor: it keeps them as the file has them")
    llama = load(model, 512, batch=256, repack=repack, type_k=None, type_v=None)
    theirs(llama, ids)  # the first run pages the weights in
    print(f"{'round':>5} {'prefill t/s':>23} {'':>7} {'decode t/s':>23}\n{'':>5} {'ours':>11} {'llama.cpp':>11} {'ratio':>7} {'ours':>11} {'llama.cpp':>11} {'ratio':>7}")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "ids.json")
        path.write_text(json.dumps(ids), encoding="utf-8")
        for number in range(rounds):
            # Whoever goes first in one round goes second in the next.
            if number % 2:
                other, own = theirs(llama, ids), ours(program, model, path)
            else:
                own, other = ours(program, model, path), theirs(llama, ids)
            found.append((own, other))
            print(
                f"{number + 1:>5} {own[0]:>11.1f} {other[0]:>11.1f} {own[0] / other[0]:>7.3f}"
                f" {own[1]:>11.1f} {other[1]:>11.1f} {own[1] / other[1]:>7.3f}",
                flush=True,
            )
    prefill, decode = (statistics.median(own[at] / other[at] for own, other in found) for at in (0, 1))
    rates = [statistics.median(side[at] for side in sides) for sides in zip(*found) for at in (0, 1)]
    print(
        f"prefill={prefill:.3f} decode={decode:.3f} our_prefill={rates[0]:.1f} our_decode={rates[1]:.1f}"
        f" llama_prefill={rates[2]:.1f} llama_decode={rates[3]:.1f} llama_repacked={int(repack)} load={os.getloadavg()[0]:.1f}"
    )
    sys.exit(0 if prefill >= LEAST_PREFILL and decode >= LEAST_DECODE else 1)


if __name__ == "__main__":
    main()
