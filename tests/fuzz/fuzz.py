"""Schemathesis asks /api/v1 whatever its OpenAPI document allows, and much that it does not: with a
workspace's token in a workspace that is connected and in one that never was, with that token at
somebody else's workspace, and without any."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
import common  # noqa: E402

common.enter(__file__)

from common import equal, holds, size, step  # noqa: E402

HOOKS = HERE / "hooks.py"
BASE = f"{os.environ['HUBSPOT_SYNC_URL']}/api/v1"
# The usual run asks the same each time; the long one tries something else, and says with what.
SEED = int(os.environ.get("FUZZ_SEED") or size(1, int.from_bytes(os.urandom(4), 'big')))

CONFORMS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance"
)
HOLDS = f"{CONFORMS},unsupported_method,allow_header_conformance,ignored_auth,use_after_free"


def fuzz(name, workspace, token, examples, checks, *more):
    """One run: how often which answer came."""
    step(f"{name}, seed {SEED}")
    with tempfile.TemporaryDirectory() as here:
        answers, report, config = (Path(here) / file for file in ("answers.json", "report.json", "schemathesis.toml"))
        lines = [f'base-url = "{BASE}"', f'hooks = "{HOOKS}"']
        if token:
            lines.append('headers = { Authorization = "Bearer ${FUZZ_TOKEN}" }')
        lines += ["[parameters]", f'"path.workspace" = "{workspace}"', "[cache]", "enabled = false"]
        config.write_text("\n".join(lines))
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"{BASE}/openapi.json",
            "--checks", checks, "--seed", str(SEED), "--max-examples", str(examples), "--generation-database", "none",
            "--continue-on-failure", "--no-color", "--report", "json", "--report-json-path", str(report), *more,
        ]
        told = {"FUZZ_TOKEN": token, "FUZZ_ANSWERS": str(answers)}
        ran = subprocess.run(command, cwd=here, env={**os.environ, **told}, capture_output=True, text=True)
        holds(ran.returncode == 0, f"{name}: status {ran.returncode}\n{ran.stdout[-20000:]}\n{ran.stderr[-2000:]}")
        verdict = json.loads(report.read_text())
        came = Counter(json.loads(answers.read_text()))
    equal((verdict["complete"], verdict["failures"], verdict["errors"]), (True, [], []), f"the report of {name}")
    equal(came["broken"], 0, f"connections that broke in {name}")
    print(f"  {sum(came.values())} requests: {dict(sorted(came.items()))}", flush=True)
    return came


def main():
    document = json.loads(urllib.request.urlopen(f"{BASE}/openapi.json").read())
    token, unconnected_token = os.environ["FUZZ_TOKEN"], os.environ["FUZZ_UNCONNECTED_TOKEN"]
    connected, unconnected, theirs = (os.environ[f"FUZZ_{name}"] for name in ("CONNECTED", "UNCONNECTED", "THEIRS"))
    phases = ["--phases", size("fuzzing,stateful", "coverage,fuzzing,stateful")]
    all_answers = [
        # Disconnected by the first of these, a workspace would be like the next one.
        fuzz("a connected workspace", connected, token, size(2, 60), HOLDS, "--exclude-operation-id", "disconnect"),
        fuzz("one that is not connected", unconnected, unconnected_token, size(2, 30), HOLDS, *phases),
        fuzz("somebody else's", theirs, token, size(2, 30), f"{CONFORMS},shut", *phases),
        fuzz("without a token", theirs, "", size(2, 30), f"{CONFORMS},shut", *phases),
    ]
    print(f"{len(document['paths'])} paths, {sum(sum(came.values()) for came in all_answers)} requests")
    print("OK", flush=True)


main()
