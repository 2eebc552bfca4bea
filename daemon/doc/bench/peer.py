"""Compares siskin with llama.cpp on the same files, and makes files in llama.cpp's other formats.

It runs in the virtual environment that "make bench-peer" sets up; nothing else needs that library.

    peer.py quantize SOURCE FOLDER TYPE...   SOURCE in other formats, one file each
    peer.py compare MODEL...                 speeds of both, in turn, and their ratios
    peer.py measure MODEL THREADS PROMPT GENERATE   one run of the peer, as JSON
"""

import argparse
import ctypes
import json
import pathlib
import statistics
import subprocess
import sys
import time

import llama_cpp

# Types of the library's header, llama.h (llama_ftype), by the name that files carry.
TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_M": 12,
    "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30, "BF16": 32,
}


@llama_cpp.llama_log_callback
def quiet(level, text, data):
    """Drops the library's log."""


def quantize(source, folder, types):
    """Writes the source in other formats. All matrices get the type of the name, or the nearest that their columns allow.

    From a file that is quantised already: for speed, not for people to use."""
    refused = []
    for name in types:
        target = pathlib.Path(folder) / (source.name.rsplit(".", 2)[0] + "." + name + ".gguf")
        p = llama_cpp.llama_model_quantize_default_params()
        p.ftype, p.allow_requantize, p.pure, p.nthread = TYPES[name], True, True, 1
        begun = time.time()
        part = target.with_suffix(".part")
        code = llama_cpp.llama_model_quantize(str(source).encode(), str(part).encode(), ctypes.byref(p))
        if code != 0:
            part.unlink(missing_ok=True)
            refused.append(f"{name}: the library refused it ({code})")
            continue
        part.rename(target)
        print(f"{target}: {target.stat().st_size} bytes, {time.time() - begun:.0f} s", flush=True)
    if refused:
        raise SystemExit("\n".join(refused))


def measure(path, threads, prompt, generate):
    """One run of the peer: tokens a second of a prefill and of decoding from an empty context."""
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise SystemExit(f"{path}: the peer cannot load it")
    p = llama_cpp.llama_context_default_params()
    p.n_ctx, p.n_batch, p.n_ubatch, p.n_threads, p.n_threads_batch = max(prompt, generate) + 32, 512, 512, threads, threads
    context = llama_cpp.llama_init_from_model(model, p)
    if not context:
        raise SystemExit(f"{path}: the peer makes no context")
    memory = llama_cpp.llama_get_memory(context)

    def run(n, steps):
        """Seconds of decoding n tokens, steps times, from an empty context."""
        llama_cpp.llama_memory_clear(memory, True)
        begun = time.perf_counter()
        for step in range(steps):
            for first in range(0, n, p.n_batch):
                part = range(first, min(first + p.n_batch, n))
                tokens = (llama_cpp.llama_token * len(part))(*(step + i for i in part))
                if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, len(part))) != 0:
                    raise SystemExit(f"{path}: the peer's pass failed")
        llama_cpp.llama_synchronize(context)
        return time.perf_counter() - begun

    run(32, 1)  # warms up
    run(1, 4)
    result = {"prefill": prompt / run(prompt, 1), "decode": generate / run(1, generate)}
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return result


def ours(args, path):
    """One run of siskin, the same work; with the packed file where there is one, as the daemon does."""
    out = subprocess.run(
        [args.siskin, "bench", "--model", path, "--json", "--quick", "--runs", "1", "--prompts", str(args.prompt),
         "--tokens", str(args.generate), "--threads", str(args.threads), "--kernels", args.kernels],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    r = json.loads(out.splitlines()[-1])  # plain, then packed
    return {"prefill": r[f"prefill_{args.prompt}_tok_s"], "decode": r["decode_tok_s"], "kernels": r["kernels"], "packed": r["packed"]}


def peers(args, path):
    """One run of the peer, in a process of its own as ours is."""
    out = subprocess.run(
        [sys.executable, __file__, "measure", path, str(args.threads), str(args.prompt), str(args.generate)],
        check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def compare(args):
    """Alternates both on each model; prints medians, extremes and ratios, and one JSON object a model to args.json."""
    lines = []
    for path in args.models:
        runs = {"siskin": [], "peer": []}
        for i in range(args.runs):
            print(f"peer.py: {path.name}: run {i + 1} of {args.runs}", file=sys.stderr)
            runs["siskin"].append(ours(args, str(path)))
            runs["peer"].append(peers(args, str(path)))
        kernels, packed = runs["siskin"][0]["kernels"], runs["siskin"][0]["packed"]
        record = {"model": path.name, "kernels": kernels, "packed": packed, "threads": args.threads, "runs": args.runs,
                  "peer": "llama-cpp-python " + llama_cpp.__version__,
                  "peer_system": llama_cpp.llama_print_system_info().decode().strip(" |")}
        print(f"{path.name}, {'packed' if packed else 'plain'}, kernels {kernels}, {args.threads} threads, {args.runs} runs in turn: median (extremes), tok/s")
        for key, what in (("prefill", f"prefill_{args.prompt}_tok_s"), ("decode", "decode_tok_s")):
            median = {}
            for who, prefix in (("siskin", ""), ("peer", "peer_")):
                values = sorted(r[key] for r in runs[who])
                median[who] = statistics.median(values)
                record |= {prefix + what: median[who], prefix + what + "_min": values[0], prefix + what + "_max": values[-1]}
                print(f"  {key:8} {who:7} {median[who]:8.1f}  ({values[0]:.1f} to {values[-1]:.1f})")
            record[key + "_ratio"] = median["siskin"] / median["peer"]
            print(f"  {key:8} ratio   {record[key + '_ratio']:8.2f}", flush=True)
        lines.append({k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in record.items()})
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(r) + "\n" for r in lines)


def main():
    parser = argparse.ArgumentParser(description="siskin beside llama.cpp")
    commands = parser.add_subparsers(dest="command", required=True)
    q = commands.add_parser("quantize")
    q.add_argument("source", type=pathlib.Path)
    q.add_argument("folder", type=pathlib.Path)
    q.add_argument("types", nargs="+", choices=TYPES)
    c = commands.add_parser("compare")
    c.add_argument("models", nargs="+", type=pathlib.Path)
    c.add_argument("--siskin", default="bin/siskin")
    c.add_argument("--threads", type=int, default=2)
    c.add_argument("--kernels", default="auto")
    c.add_argument("--runs", type=int, default=5)
    c.add_argument("--prompt", type=int, default=512, help="tokens of the prefill")
    c.add_argument("--generate", type=int, default=128, help="tokens to decode")
    c.add_argument("--json", help="file to write one JSON object a model to")
    m = commands.add_parser("measure")
    m.add_argument("model", type=pathlib.Path)
    for name in ("threads", "prompt", "generate"):
        m.add_argument(name, type=int)
    args = parser.parse_args()
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    if args.command == "quantize":
        quantize(args.source, args.folder, args.types)
    elif args.command == "compare":
        compare(args)
    else:
        print(json.dumps(measure(args.model, args.threads, args.prompt, args.generate)))


main()
