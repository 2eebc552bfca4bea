"""Keeps what a bench measured, and draws it.

    siskin bench --json ... | record.py RECORD.json --command "..." [--peer LINES]   writes RECORD.json and RECORD.svg
    record.py RECORD.json                                                            draws RECORD.svg again

A record is one object: date, machine, version, command; results, the lines of siskin bench; peer, the lines of peer.py.
"""

import argparse
import datetime
import html
import json
import os
import pathlib
import platform
import subprocess
import sys

WIDTH, ROW, LABEL, BAR = 820, 22, 310, 400  # of the picture, in pixels
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b7791f", "#718096")


def machine():
    """What a reader must know of this machine."""
    cpu = platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": names[0] if names else cpu, "architecture": cpu, "cores": os.cpu_count(),
            "memory_gib": round(memory / 2**30, 1), "system": platform.system() + " " + platform.release()}


def lines(f):
    return [json.loads(line) for line in f if line.strip()]


def name(r):
    """The subject of a result, short."""
    return r["kernels"] + (" packed" if r.get("packed") else "")


def panels(record):
    """The bars to draw: (title, [(label, value, low, high, colour)], unit, reference line or None)."""
    results, peer = record["results"], record.get("peer", [])

    def bars(keys, scale=1):
        out = []
        for label, key in keys:
            for i, r in enumerate(results):
                if r.get(key) is not None:
                    low, high = r.get(key + "_min"), r.get(key + "_max")
                    out.append((f"{label}, {name(r)}", r[key] * scale, low and low * scale, high and high * scale,
                                COLOURS[i % len(COLOURS)]))
        return out

    yield "Share of what the machine can do", bars(
        [("decode of the read bandwidth", "decode_roof_share"), ("prefill of the int8 peak", "prefill_peak_share"),
         ("decode on a busy machine of that alone", "contended_share")], 100), "%", 100
    yield "Prefill", bars([(f"{n} tokens", f"prefill_{n}_tok_s") for n in (32, 128, 512)]), "tok/s", None
    yield "Decode", bars([("depth 0", "decode_tok_s")] + [(f"depth {n}", f"decode_{n}_tok_s") for n in (512, 2048)]), "tok/s", None
    yield "Decode of several sequences together", bars([(f"{n} at once", f"batch_{n}_tok_s") for n in range(1, 9)]), "tok/s", None
    yield "Times as fast as llama.cpp", [
        (f"{r['model'].rsplit('.', 2)[1]} {what}, {r['kernels']}", r[what + "_ratio"], None, None, COLOURS[what == "decode"])
        for r in peer for what in ("prefill", "decode")], "x", 1


def draw(record):
    """The record as an SVG picture: a bar for each median, a thin line from the lowest to the highest run."""
    y, body = 64, []

    def text(x, y, s, style=""):
        body.append(f'<text x="{x:g}" y="{y:g}" {style}>{html.escape(s)}</text>')

    m = record["machine"]
    text(10, 24, f"{record['results'][0]['model']}, {record['results'][0]['threads']} threads", 'font-size="17"')
    text(10, 44, f"{m['cpu']}, {m['cores']} cores; {record['date']}; siskin {record['version']}", 'fill="#555"')
    for title, bars, unit, line in panels(record):
        if not bars:
            continue
        top = max([b[3] or b[1] for b in bars] + [line or 0])
        text(10, y + 16, title, 'font-weight="bold"')
        y += ROW + 4
        if line:
            x = LABEL + line / top * BAR
            body.append(f'<path d="M{x:g} {y}V{y + ROW * len(bars)}" stroke="#999" stroke-dasharray="3"/>')
        for label, value, low, high, colour in bars:
            text(LABEL - 8, y + 15, label, 'text-anchor="end"')
            body.append(f'<rect x="{LABEL}" y="{y + 4}" width="{value / top * BAR:.1f}" height="{ROW - 8}" fill="{colour}"/>')
            if low and high:
                body.append(f'<path d="M{LABEL + low / top * BAR:.1f} {y + 11}H{LABEL + high / top * BAR:.1f}" stroke="#000"/>')
            text(LABEL + (high or value) / top * BAR + 6, y + 15, f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}")
            y += ROW
        y += 12
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
            f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(body) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=pathlib.Path)
    parser.add_argument("--command", help="what printed the lines on standard input; without it the record is only drawn")
    parser.add_argument("--peer", type=pathlib.Path, help="file with the lines of peer.py")
    args = parser.parse_args()
    if args.command:
        version = subprocess.run(["git", "describe", "--tags", "--always", "--dirty"], stdout=subprocess.PIPE, check=False)
        record = {"date": datetime.date.today().isoformat(), "machine": machine(),
                  "version": version.stdout.decode().strip(), "command": args.command, "results": lines(sys.stdin)}
        if not record["results"]:
            raise SystemExit("record.py: no results on standard input")
        if args.peer and args.peer.exists():
            with open(args.peer, encoding="utf-8") as f:
                record["peer"] = lines(f)
        args.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    record = json.loads(args.record.read_text(encoding="utf-8"))
    args.record.with_suffix(".svg").write_text(draw(record), encoding="utf-8")


main()
