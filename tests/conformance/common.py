"""What the Python scripts share: an environment of their own, the simulator's controls, and how
checks are told.

Only the standard library is used, since it runs before anything is installed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLIENT_ID = "simulator-client-id"
CLIENT_SECRET = "simulator-client-secret"
REDIRECT = "http://127.0.0.1/callback"


def cache():
    """Where installed environments are kept: CONFORMANCE_CACHE, else below the user's cache."""
    named = os.environ.get("CONFORMANCE_CACHE")
    below = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(below) / "hubspot-sync" / "conformance"


def enter(script, newest=None, pins=None):
    """Goes on inside a virtual environment that holds what `<script>.txt` pins, and makes it first
    where there is none. `newest` is the last minor version of Python 3 that the tool runs on, `pins`
    another script whose pins are these too."""
    script = Path(script).resolve()
    pinned = script.with_name(f"{pins or script.stem}.txt")
    if os.environ.get("CONFORMANCE_INSIDE") == script.stem:
        return
    python = interpreter(newest)
    key = hashlib.sha256(pinned.read_bytes() + python.encode()).hexdigest()[:12]
    home = cache() / f"{pinned.stem}-{key}"
    if not home.exists():
        install(python, pinned, home)
    inside = {**os.environ, "CONFORMANCE_INSIDE": script.stem}
    inside.pop("PYTHONPATH", None)
    python = str(home / "bin" / "python")
    os.execve(python, [python, str(script), *sys.argv[1:]], inside)


def interpreter(newest):
    """A Python that is new and old enough, as a path."""
    names = [sys.executable, *(f"python3.{n}" for n in range(newest or 20, 9, -1))]
    for name in names:
        asked = "import sys; print(sys.executable, sys.version_info[1])"
        try:
            said = subprocess.run([name, "-c", asked], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        path, minor = said.stdout.rsplit(maxsplit=1)
        if 10 <= int(minor) <= (newest or 20):
            return path
    sys.exit(f"no Python from 3.10 to 3.{newest or 20} on PATH; run: apt-get install python3.11-venv")


def install(python, pins, home):
    """Everything beside, then one rename: two that install at once do not meet."""
    began = time.monotonic()
    print(f"installing {pins.name} into {home}", flush=True)
    draft = home.with_name(f"{home.name}.{os.getpid()}")
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The pins are complete, so nothing needs resolving; what is imported gets compiled then.
    pip += ["--no-deps", "--no-compile", "--requirement", str(pins)]
    try:
        subprocess.run([python, "-m", "venv", str(draft)], check=True)
        subprocess.run([draft / "bin" / "python", *pip], check=True)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(draft, ignore_errors=True)
        sys.exit(f"{pins.name} could not be installed ({error}); is `{python} -m venv` whole, and PyPI reachable?")
    try:
        draft.rename(home)
    except OSError:
        shutil.rmtree(draft)
    print(f"installed in {time.monotonic() - began:.0f} s", flush=True)


def size(small, full):
    """SOAK=full asks for the big one."""
    return full if os.environ.get("SOAK") == "full" else small


def step(text):
    """A heading for the checks that follow."""
    print(f"- {text}", flush=True)


def equal(got, wanted, what):
    """Ends the script where two things differ."""
    if got != wanted:
        sys.exit(f"FAILED {what}\n  got    {shorten(got)}\n  wanted {shorten(wanted)}")


def holds(condition, what):
    """Ends the script where something does not hold."""
    if not condition:
        sys.exit(f"FAILED {what}")


def same(got, wanted, what):
    """A value that a connector made its own of: numbers as numbers, booleans as booleans, times in
    any one form, and what is empty as nothing."""
    if got == wanted or (got in (None, "", False) and wanted in (None, "")):
        return
    if isinstance(got, bool):
        got, wanted = str(got).lower(), wanted
    elif isinstance(got, int | float):
        got, wanted = float(got), float(wanted)
    elif "T" in (str(got)[10:11], str(wanted)[10:11]):
        got, wanted = moment(str(got)), moment(str(wanted))
    equal(got, wanted, what)


def moment(text):
    """A time from ISO 8601 or milliseconds."""
    try:
        if len(text) == 13:
            return datetime.fromtimestamp(int(text) / 1000, timezone.utc)
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return text


def shorten(value):
    text = repr(value)
    return text if len(text) < 2_000 else text[:2_000] + " …"


def clock():
    """Seconds, for `measured`."""
    return time.monotonic()


def measured(began, contacts):
    """How long a read took, and how many contacts came; a benchmark wants no more."""
    print(f"MEASURED {time.monotonic() - began:.3f} {contacts}", flush=True)
    if os.environ.get("CONFORMANCE_PORTAL"):
        print("OK", flush=True)
        sys.exit()


def exactly_once(got, wanted, what):
    """Every wanted id came once and nothing else did."""
    seen = set(got)
    holds(len(seen) == len(got), f"{what}: {len(got) - len(seen)} came twice")
    missing, extra = sorted(wanted - seen), sorted(seen - wanted)
    holds(not missing, f"{what}: {len(missing)} are missing, such as {missing[:3]}")
    holds(not extra, f"{what}: {len(extra)} are not known, such as {extra[:3]}")
    print(f"  {len(got)} {what}, each once", flush=True)


def until(within, ask):
    """Asks again until there is an answer that counts."""
    deadline = time.monotonic() + within
    while not (answer := ask()):
        holds(time.monotonic() < deadline, f"nothing came within {within} s")
        time.sleep(0.1)
    return answer


class Portal:
    """A portal of the simulator for this run alone, made and watched through the control API."""

    def __init__(self, **settings):
        self.base = os.environ.get("HUBSPOT_SIMULATOR_URL", "http://127.0.0.1:4010").rstrip("/")
        # A benchmark has a portal already.
        given = os.environ.get("CONFORMANCE_PORTAL")
        self.id = int(given) if given else 3_000_000_000 + uuid.uuid4().int % 900_000_000
        if not given:
            self.control("POST", "/portals", {"portal_id": self.id, **settings})
        elif "rotate_refresh_tokens" in settings:
            self.control("PATCH", "", {"rotate_refresh_tokens": settings["rotate_refresh_tokens"]})

    def control(self, method, path, body=None):
        """A control call; paths without a leading slash are about this portal."""
        path = path if path.startswith("/") else f"/portals/{self.id}/{path}".rstrip("/")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/_simulator{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")
        return json.loads(text) if text else None

    def service_key(self, scopes=None):
        body = {} if scopes is None else {"scopes": scopes}
        return self.control("POST", "service-keys", body)["token"]

    def approve(self, link):
        """Presses Approve on the consent page behind this link of app.hubspot.com: the code."""
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(link).query))
        form = {**asked, "portal_id": self.id, "decision": "approve"}
        opener = urllib.request.build_opener(StayHere)
        try:
            opener.open(f"{self.base}/oauth/authorize/decision", urllib.parse.urlencode(form).encode())
        except urllib.error.HTTPError as answer:
            back = answer.headers.get("Location", "")
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))
            equal(query.get("state"), asked.get("state"), "the state that comes back")
            return query["code"]
        sys.exit("the consent page did not send us back")

    def records(self, kind):
        """All records of a type as the simulator knows them, by id."""
        found, after = {}, "0"
        while after:
            page = self.control("GET", f"records/{kind}?after={after}&limit=5000")
            found.update((record["id"], record) for record in page["results"])
            after = page.get("next")
        return found

    def live(self, kind):
        return {i: r for i, r in self.records(kind).items() if not r["archived"]}

    def finish(self, provoked):
        """No status but 2xx was answered, except those provoked: `GET /path 404` → how often. Ids in
        paths stand as `*`."""
        counters = self.control("GET", "counters")
        refused = {path: n for path, n in counters["by_path"].items() if path.rsplit(" ", 1)[1][0] != "2"}
        equal(refused, provoked, "statuses other than 2xx")
        print(f"  {counters['total']} requests, refused as provoked: {sum(provoked.values())}")
        self.control("DELETE", "")
        print("OK", flush=True)


class StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None
