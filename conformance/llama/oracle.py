#!/usr/bin/env python3
"""Fills a folder for the test `ids_are_those_of_llama_cpp_for_whole_vocabularies`.

    pip download --no-deps --no-binary :all: llama-cpp-python==0.3.36     # and unpack it: it holds llama.cpp's vocabularies
    pip install llama-cpp-python==0.3.36
    oracle.py llama_cpp_python-0.3.36/vendor/llama.cpp/models OUT [SAMPLE.gguf]
    COMPUTEPOOL_TOKENIZER_ORACLE=OUT cargo nextest run -p computepool-model --test text --run-ignored only oracle

OUT gets NAME.gguf and NAME.json for every vocabulary, and NAME--PRE.json where another pre-tokenizer was forced upon it.
"""

import pathlib
import shutil
import subprocess
import sys

VOCABULARIES = [
    "aquila", "baichuan", "command-r", "deepseek-coder", "deepseek-llm", "falcon", "gpt-2", "gpt-neox", "llama-bpe",
    "llama-spm", "mpt", "phi-3", "qwen2", "qwen35", "refact", "starcoder",
]
# Pre-tokenizers that no vocabulary above has, forced upon a large one.
FORCED = ["tekken", "gpt-4o", "deepseek-v3", "default", "smollm", "stablelm2", "smaug-bpe", "viking", "seed-coder", "glm4"]


def main():
    models, out = map(pathlib.Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    sources = {name: models / f"ggml-vocab-{name}.gguf" for name in VOCABULARIES}
    sources |= {pathlib.Path(path).stem: pathlib.Path(path) for path in sys.argv[3:]}

    def write(name, source, *options):
        script = pathlib.Path(__file__).with_name("tokenizer.py")
        with (out / f"{name}.json").open("wb") as target:
            subprocess.run([sys.executable, script, *options, source], stdout=target, stderr=subprocess.DEVNULL, check=True)

    for name, source in sources.items():
        shutil.copyfile(source, out / f"{name}.gguf")
        write(name, source)
    for pre in FORCED:
        write(f"qwen2--{pre}", sources["qwen2"], "--pre", pre)
    print(f"{len(sources) + len(FORCED)} comparisons in {out}")


if __name__ == "__main__":
    main()
