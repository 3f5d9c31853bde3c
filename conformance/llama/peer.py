"""llama.cpp and our own engine, each asked for the logits of a sequence."""

import json
import pathlib
import subprocess
import tempfile

import llama_cpp
import numpy


def load(model, context, batch=512, **more):
    """llama.cpp on one thread, without the shortcuts that change results: no flash attention, keys and values in f32."""
    options = {"type_k": llama_cpp.GGML_TYPE_F32, "type_v": llama_cpp.GGML_TYPE_F32} | more
    return llama_cpp.Llama(
        model_path=str(model), n_ctx=context, n_batch=batch, n_ubatch=batch, n_threads=1, n_threads_batch=1,
        flash_attn=False, n_gpu_layers=0, verbose=False, **options,
    )


def their_logits(llama, ids):
    """One row for each position."""
    llama.reset()
    llama.eval(ids)
    return numpy.array(llama.scores[: len(ids)], dtype=numpy.float32)


def our_logits(program, model, ids, vocabulary):
    """One row for each position."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "ids.json")
        path.write_text(json.dumps([int(token) for token in ids]), encoding="utf-8")
        written = subprocess.run([program, model, path], stdout=subprocess.PIPE, check=True).stdout
    return numpy.frombuffer(written, dtype="<f4").reshape(len(ids), vocabulary)
