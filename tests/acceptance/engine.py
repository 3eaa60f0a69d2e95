"""The real llama.cpp server under a script: a grammar leaves the tiny model one text per kind of
turn, and it picks the kind.

Run as a program: `python engine.py MODEL GRAMMAR`; it prints its address and serves until it is
ended.
"""

import signal
import sys
from pathlib import Path

from xllamacpp import CommonParams, Server
from xllamacpp.xllamacpp import CommonGrammar, common_grammar_type


def serve(model: str, grammar: str) -> None:
    options = CommonParams()
    options.model.path = model
    options.hostnames = ["127.0.0.1"]
    options.port = 0
    options.n_ctx = 65_536
    options.n_parallel = 2  # OpenCode asks for a title while the turn runs
    options.kv_unified = True
    options.cpuparams.n_threads = 1
    options.cpuparams_batch.n_threads = 1
    options.warmup = False
    options.sampling.temp = 0.0
    options.sampling.grammar = CommonGrammar(common_grammar_type.COMMON_GRAMMAR_TYPE_USER, grammar)
    # --skip-chat-parsing: what the model writes arrives as text, calls included.
    options.force_pure_content_parser = True
    server = Server(options)  # returns when the model is loaded
    print(f"listens on {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]).read_text(encoding="utf-8"))
