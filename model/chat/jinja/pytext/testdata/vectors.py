"""Makes vectors.json: text rules of CPython 3.11. Run: python3 vectors.py > vectors.json"""
import datetime
import itertools
import json
import platform

out = {"header": {"tool": "CPython " + platform.python_version(), "date": str(datetime.date.today()), "command": "python3 vectors.py > vectors.json"}}

texts = ["", "abc", "ABC", "aBc dEF", "straße", "ﬁne ﬂ", "İstanbul", "ıI", "ΟΔΟΣ", "ΟΔΟΣ.", "Σ", "ΑΣΑ", "ΑΣ'Α", "ǆ ǅ Ǆ", "ŉ", "ΐΰ", "they're", "x1y", "a-b_c",
         "éÉ", "日本", "١٢٣", "²½Ⅷ", "\u00a0\u2003", "ª º", "ͅ", "a\u0301b", "ᾳ ᾼ", "ʰello", "Ⓐⓑ", "1A 2b", "_x", "x·y", "\u1c90", "😀a"]
out["case"] = [[s, s.upper(), s.lower(), s.title(), s.capitalize(), s.swapcase()] for s in texts]
out["class"] = [[s, s.isalpha(), s.isalnum(), s.isdecimal(), s.isdigit(), s.isnumeric(), s.isspace(), s.isupper(), s.islower(), s.istitle(), s.isidentifier()] for s in texts]
out["repr"] = [[s, repr(s)] for s in texts + ["it's", 'q"q', "b'\"", "\\", "\n\t\r\x00\x7f\x85\xad", "\u200b\u2028\ue000\U000e0001", "\U0001f600"]]
floats = [0.0, -0.0, 1.0, 0.1, 1e15, 1e16, 123456789012345680.0, 1e-4, 1e-5, 1.5e300, 5e-324, 2.5, 1 / 3, 1e22, 1e23, 100.0, -1234.5678, float("inf"), float("nan")]
out["floats"] = [[f.hex(), repr(f)] for f in floats]

specs = ["", "5", "<5", ">7", "^9", "*^9", "05", "+", " ", "-", "+08", "=+9", "x<6", ",", "_", "012,", "#", "d", "n", "b", "#b", "o", "#o", "x", "X", "#X", "#010x", "c", "e", "E", ".2e",
         "f", "F", ".0f", ".3f", "10.2f", "+.1f", "012.3f", ",.2f", "g", ".3g", "G", ".10g", "#g", "#.3g", "%", ".1%", ".3", ".10", "s", "5s", ".2s", "<8.3s", "q", "5.d", "..", "=5s", "+s", ",s"]
values = [0, 7, -42, 255, 1234567, True, 3.14159, -0.5, 0.0, 1e-7, 123456.789, 1e20, float("inf"), float("nan"), 100.0, 2.675, "abc", ""]
rows = []
for v, spec in itertools.product(values, specs):
    try:
        got = format(v, spec)
    except (ValueError, OverflowError, TypeError):
        got = None
    rows.append([v.hex() if isinstance(v, float) else v, type(v).__name__, spec, got])
out["format"] = rows

times = [datetime.datetime(2026, 7, 26, 9, 30, 5, 123456), datetime.datetime(2024, 2, 29, 0, 0, 0), datetime.datetime(1999, 12, 31, 23, 59, 59, 999999),
         datetime.datetime(2021, 1, 3, 12, 0, 1), datetime.datetime(2000, 1, 1, 13, 5, 9), datetime.datetime(2020, 12, 28, 11, 11, 11)]
codes = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyYfzZ%" + "qQ!"
forms = ["%" + c for c in codes] + ["%" + f + c for f in "-_0^#" for c in "dHIjmMSyUWVklepPaABbwu"] + ["", "%", "a%", "%d %B %Y", "%Y-%m-%dT%H:%M:%S.%f", "100%%", "%%d", "日%Y年", "%-"]
out["strftime"] = [[t.isoformat(timespec="microseconds"), f, t.strftime(f)] for t in times for f in forms]
escapes = [r"a\nb", r"\x41", r"\u00e9\U0001F600", r"\101\0\08", r"\q\\\'", r"\a\b\f\v\r\t", "x\\\ny", r"\x4", r"\u12", r"\U00110000", r"\N{DASH}x", "\\", "é", r"\777"]
rows = []
for e in escapes:
    try:
        rows.append([e, e.encode("ascii", "backslashreplace").decode("unicode-escape")])
    except UnicodeDecodeError:
        rows.append([e, None])
out["unescape"] = rows
print(json.dumps(out))
