"""materials.py PROGRAM VERSION COPYRIGHT SBOM: what a built program is made of, read from the program itself.

Writes a copyright file (Debian, machine-readable form 1.0) with the licence texts of all linked modules and of Go's own
library, and a bill of materials (CycloneDX 1.5, JSON). A licence that is not recognised, or a module without one, ends it.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

# Words that only this licence has, in the order of the search.
LICENCES = [
    ("Eclipse Public License - v 2.0", "EPL-2.0"),
    ("Apache License", "Apache-2.0"),
    ("Neither the name", "BSD-3-Clause"),
    ("Redistribution and use in source and binary forms", "BSD-2-Clause"),
    ("Permission is hereby granted, free of charge", "MIT"),
]
# paho: "Eclipse Public License 2.0 and Eclipse Distribution License 1.0"; a user chooses, and EDL 1.0 is BSD-3-Clause.
FILES = ("edl-v10", "LICENSE", "LICENSE.md", "COPYING")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def licence(folder, name):
    """The SPDX id and the text of the licence in a module's folder."""
    for file in FILES:
        path = pathlib.Path(folder, file)
        if path.exists():
            text = path.read_text(encoding="utf-8")
            flat = " ".join(text.split())
            for words, spdx in LICENCES:
                if words in flat:
                    return spdx, text
    sys.exit(f"materials: {name}: no licence that is known in {folder}")


def paragraph(text):
    """A text as the continuation of a field: each line indented, empty ones a dot."""
    return "\n".join(" " + line.rstrip() if line.strip() else " ." for line in text.strip().splitlines())


def copyright_file(modules):
    stanzas = [
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: siskin\n"
        "Comment: siskin is one static program. The stanzas behind the first are the modules linked into it,\n"
        " by their paths and versions.",
        "Files: *\nCopyright: 2026 the authors of siskin\nLicense: Apache-2.0",
    ]
    for m in modules:
        holders = re.findall(r"^\s*(?:Copyright|©)\s+(?:\(c\)\s*)?(\S.*?)\.?\s*(?:All rights reserved\.?)?$", m["text"], re.M | re.I)
        holders = [h for h in holders if re.match(r"(©|\d|\(c\)|The )", h, re.I)] or ["the authors of " + m["name"]]
        short = m["spdx"] if m["spdx"] == "Apache-2.0" else f"{m['spdx']}-{re.sub('[^a-z0-9]+', '-', m['name'].lower())}"
        stanza = f"Files: {m['name']}/*\nCopyright: " + "\n ".join(dict.fromkeys(holders)) + f"\nLicense: {short}"
        if m["spdx"] != "Apache-2.0":
            stanza += "\n" + paragraph(m["text"])
        stanzas.append(stanza + f"\nComment: version {m['version']}")
    stanzas.append(
        "License: Apache-2.0\n On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.")
    return "\n\n".join(stanzas) + "\n"


def bill(program, version, info, modules):
    digest = hashlib.sha256(pathlib.Path(program).read_bytes()).hexdigest()
    settings = {s["Key"]: s["Value"] for s in info["Settings"]}
    made = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    components = []
    for m in modules:
        component = {
            "type": "library", "name": m["name"], "version": m["version"],
            "purl": f"pkg:golang/{m['name']}@{m['version']}", "bom-ref": f"pkg:golang/{m['name']}@{m['version']}",
            "licenses": [{"license": {"id": m["spdx"]}}],
        }
        if "sum" in m:
            component["properties"] = [{"name": "go:sum", "value": m["sum"]}]
        components.append(component)
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": "urn:uuid:" + str(uuid.uuid5(uuid.NAMESPACE_URL, "siskin:" + digest)),
        "metadata": {
            "timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application", "name": "siskin", "version": version, "bom-ref": "siskin",
                "licenses": [{"license": {"id": "Apache-2.0"}}], "hashes": [{"alg": "SHA-256", "content": digest}],
                "properties": [{"name": "go:" + k, "value": settings[k]} for k in ("GOOS", "GOARCH", "CGO_ENABLED")],
            },
        },
        "components": components,
        "dependencies": [{"ref": "siskin", "dependsOn": [c["bom-ref"] for c in components]}],
    }


def main():
    program, version, copyright_path, bill_path = sys.argv[1:]
    info = json.loads(output("go", "version", "-m", "-json", program))
    modules = []
    for dep in info["Deps"]:
        if "Replace" in dep:
            sys.exit(f"materials: {dep['Path']}: is replaced; a release is made of what go.mod names")
        folder = output("go", "mod", "download", "-json", f"{dep['Path']}@{dep['Version']}")
        spdx, text = licence(json.loads(folder)["Dir"], dep["Path"])
        modules.append({"name": dep["Path"], "version": dep["Version"], "sum": dep["Sum"], "spdx": spdx, "text": text})
    spdx, text = licence(output("go", "env", "GOROOT").strip(), "std")
    modules.append({"name": "std", "version": info["GoVersion"].removeprefix("go"), "spdx": spdx, "text": text})
    pathlib.Path(copyright_path).write_text(copyright_file(modules), encoding="utf-8")
    pathlib.Path(bill_path).write_text(json.dumps(bill(program, version, info, modules), indent=1) + "\n", encoding="utf-8")


main()
