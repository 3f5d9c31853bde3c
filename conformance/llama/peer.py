"""llama.cpp and our own engine, each asked for the logits of a sequence."""

import json
import pathlib
import subprocess
import sys
import tempfile

import llama_cpp
import numpy


def load(model, context, batch=512, repack=False, **more):
    """llama.cpp on one thread, without the shortcuts that change results: no flash attention, keys and values in f32,
    weights as the file has them (`repack` lets llama.cpp lay them out anew where its kernels for this processor want it)."""
    options = {"type_k": llama_cpp.GGML_TYPE_F32, "type_v": llama_cpp.GGML_TYPE_F32} | more
    usual = llama_cpp.llama_cpp.llama_model_default_params

    def params():  # the class has no option for it
        chosen = usual()
        chosen.use_extra_bufts = repack
        return chosen

    llama_cpp.llama_cpp.llama_model_default_params = params
    try:
        return llama_cpp.Llama(
            model_path=str(model), n_ctx=context, n_batch=batch, n_ubatch=batch, n_threads=1, n_threads_batch=1,
            flash_attn=False, swa_full=True, n_gpu_layers=0, verbose=False, **options,
        )
    finally:
        llama_cpp.llama_cpp.llama_model_default_params = usual


def repack_works(model):
    """Whether llama.cpp survives a batch with its weights laid out anew. Tried in a process of its own: with AMX, in
    the release that this was written for, that process dies of a segmentation fault."""
    probe = "import sys; from peer import load; load(sys.argv[1], 64, repack=True).eval(list(range(100, 132)))"
    child = [sys.executable, "-c", probe, str(model)]
    return subprocess.run(child, cwd=pathlib.Path(__file__).parent, stderr=subprocess.DEVNULL).returncode == 0


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
