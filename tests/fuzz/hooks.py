"""What Schemathesis loads in each run: counts the answers, and knows one more check."""

import atexit
import itertools
import json
import os
import re
import threading
import uuid
from collections import Counter
from pathlib import Path

import schemathesis

ANSWERS = Counter()
CALLS = itertools.count()
VALID_KEY = re.compile("[!-~]{1,255}")
LOCK = threading.Lock()


def count(what):
    with LOCK:
        ANSWERS[what] += 1


@schemathesis.hook
def before_call(context, case, kwargs):
    # The same few keys are made up for all calls, which then are refused as other ones' (HS-4008)
    # before anything else is looked at. Some stay as they are.
    key = str((case.headers or {}).get("Idempotency-Key", ""))
    if VALID_KEY.fullmatch(key) and next(CALLS) % 10:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())


@schemathesis.hook
def after_call(context, case, response):
    count(str(response.status_code))


@schemathesis.hook
def after_network_error(context, case, request):
    count("broken")


@schemathesis.check
def shut(ctx, response, case):
    """Whoever may not get in gets this one answer and no other, whatever is asked."""
    # Some requests come with a token that was made up instead of the run's own.
    token = os.environ["FUZZ_TOKEN"]
    own = token and response.request.headers.get("Authorization") == f"Bearer {token}"
    wanted = "404 HS-1001" if own else "401 HS-4002"
    got = f"{response.status_code} {(response.json() or {}).get('code')}"
    if got != wanted:
        raise AssertionError(f"not {wanted} but {got}")


@atexit.register
def tell():
    Path(os.environ["FUZZ_ANSWERS"]).write_text(json.dumps(ANSWERS))
