"""A main app in Python. It knows docs/contract.md and docs/schemas, and nothing of our code: data goes
by HTTP, control by Temporal's own SDK. One command for each thing that a main app does."""

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
import common  # noqa: E402

common.enter(__file__)

from jsonschema import Draft202012Validator, FormatChecker  # noqa: E402
from temporalio.client import Client, WorkflowFailureError  # noqa: E402
from temporalio.common import (  # noqa: E402
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.service import RPCError, RPCStatusCode  # noqa: E402
from common import equal, holds, step  # noqa: E402

SCHEMAS = HERE.parents[1] / "docs" / "schemas"
PATIENCE = 120


def valid(name, value):
    """The value, if docs/schemas/NAME.json allows it."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    errors = list(Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(value))
    holds(not errors, f"{name}: {[error.message for error in errors]} in {value}")
    return value


class Http:
    """/api/v1 of one workspace."""

    def __init__(self, workspace, token):
        self.base = f"{os.environ['HUBSPOT_SYNC_URL']}/api/v1/workspaces/{workspace}"
        self.token = token

    def call(self, method, path, body=None, key=None):
        """Status, headers and body of the answer."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return error.code, error.headers, json.loads(error.read())

    def get(self, path):
        status, _, body = self.call("GET", path)
        equal(status, 200, f"the status of GET {path}, {body}")
        return body

    def post(self, path, body):
        status, _, answer = self.call("POST", path, body)
        holds(200 <= status < 300, f"POST {path}: {status} {answer}")
        return answer

    def pages(self, path, limit):
        """All items of a listing."""
        items, after = [], ""
        while after is not None:
            page = self.get(f"{path}?limit={limit}{after and f'&after={after}'}")
            items += page["items"]
            after = page["next"]
        return items


class Control:
    """The workspace's workflows, by their ids."""

    def __init__(self, client, workspace):
        self.client = client
        self.workspace = workspace
        self.connection = client.get_workflow_handle(f"hubspot/{workspace}/connection")
        self.backfill = client.get_workflow_handle(f"hubspot/{workspace}/backfill")

    async def status(self):
        return valid("connection-query-status", await self.connection.query("status"))

    async def until(self, what, ask):
        """Asks until there is an answer that counts. A workflow that was asked for a moment ago may
        not be there yet."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if answer := await ask():
                    return answer
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
            await asyncio.sleep(0.1)
        sys.exit(f"FAILED {what}: not within {PATIENCE} s, {await self.status()}")

    async def phase(self, phase):
        async def reached():
            status = await self.status()
            return status["phase"] == phase and status

        return await self.until(f"phase {phase}", reached)

    async def resync(self, request):
        await self.connection.signal("resync", valid("connection-signal-resync", request))

    async def start_with_resync(self, portal, request):
        """Signal-with-start: reaches the workflow that runs, or starts one."""
        text = SearchAttributeKey.for_keyword
        return await self.client.start_workflow(
            "Connection",
            valid("connection-input", {"workspace": self.workspace, "portal": portal}),
            id=f"hubspot/{self.workspace}/connection",
            task_queue="hubspot",
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes([
                SearchAttributePair(text("HubSpotWorkspace"), self.workspace),
                SearchAttributePair(text("HubSpotPortal"), str(portal)),
                SearchAttributePair(text("SyncPhase"), "connected"),
            ]),
            start_signal="resync",
            start_signal_args=[valid("connection-signal-resync", request)],
        )


async def connect(app, http, control):
    step("connects with a service key of HubSpot's")
    # An app that restarts here has its token kept, like everything else that it knows.
    made = Http(app["workspace"], os.environ["HUBSPOT_SYNC_TOKEN"]).post("tokens", {"name": "main app"})
    app["token"] = http.token = made["token"]
    wanted = {"admin": str(uuid.uuid4()), "access_token": os.environ["HUBSPOT_SERVICE_KEY"]}
    answer = http.post("hubspot/connect", wanted)
    equal(answer["outcome"], "connected", "the outcome of connect")
    app["portal"] = answer["portal"]
    status, _, refused = http.call("POST", "hubspot/connect", wanted)
    equal((status, refused["code"]), (409, "HS-1002"), "connecting twice")

    step("watches the backfill")
    watched = 0

    async def ended():
        nonlocal watched
        progress = valid("backfill-query-progress", await control.backfill.query("progress"))
        watched += 1
        return all(one["finished"] for one in progress) and progress

    progress = await control.until("the backfill", ended)
    equal({one["object_type"] for one in progress}, {
        "owners", "properties", "pipelines", "contacts", "companies", "deals", "lists",
    }, "the types that were read")
    end = valid("backfill-result", await control.backfill.result())
    holds(end["finished"], "everything was read")
    status = await control.phase("syncing")
    equal((status["workspace"], status["portal"]), (app["workspace"], app["portal"]), "who is connected")
    sweep = control.client.get_workflow_handle("hubspot/sweep")
    valid("sweep-query-last", await sweep.query("last"))
    shown = http.get("hubspot/status")
    equal((shown["phase"], shown["run"]["run"]), ("syncing", end["run"]), "the same by HTTP")
    for one in progress:
        print(f"  {one['object_type']}: {one['done']} of {one['total'] if one['total'] is not None else '?'}")
    print(f"  progress asked {watched} times")


async def records(app, http, control):
    step("puts its team, companies and people in")
    field = {"record": "person", "key": "custom.tool", "label": "Tool", "field_type": "list"}
    equal(http.post("custom-fields", {"items": [field]})["counts"]["created"], 1, "custom fields made")
    members = [{"id": f"m{n}", "version": 1, "email": f"m{n}@app.example.com", "name": f"Member {n}"} for n in range(3)]
    companies = [{"id": f"c{n}", "version": 1, "fields": {"name": f"Company {n}"}} for n in range(20)]
    people = [{
        "id": f"p{n}", "version": 1, "email": f"p{n}@mail.example.org", "company": f"c{n % 20}", "owner": f"m{n % 3}",
        "status": "contacted", "fields": {"first_name": f"Zoë {n}", "custom.tool": ["x", "y"]},
    } for n in range(250)]
    for path, items in (("members", members), ("companies", companies), ("people", people)):
        counts = http.post(path, {"items": items})["counts"]
        equal(counts["created"], len(items), f"{path} created, of {counts}")
        got = {item["id"]: item for item in http.pages(path, limit=100)}
        equal(got.keys(), {item["id"] for item in items}, f"ids of {path}, page by page")
        for item in items:
            for name, value in item.items():
                equal(got[item["id"]][name], value, f"{name} of {item['id']}")
        print(f"  {len(items)} {path}")

    step("changes some: later, stale, and wrong")
    answer = http.post("people", {"items": [
        {"id": "p0", "version": 2, "status": "replied"},
        {"id": "p1", "version": 0, "status": "replied"},
        {"id": "p2", "version": 2, "email": "nobody"},
        {"id": "p3", "version": 2, "fields": {"first_name": None}},
    ]})
    equal([item["outcome"] for item in answer["items"]], ["updated", "stale", "refused", "updated"], "the outcomes")
    equal(answer["items"][2]["problem"]["code"], "HS-2202", "the code of an address that is none")
    holds("first_name" not in http.get("people/p3")["fields"], "null empties a field")

    step("asks to export one, twice with one key")
    asked = [http.call("POST", "exports", {"person": "p0"}, key="export-p0") for _ in range(2)]
    equal([status for status, _, _ in asked], [202, 202], "the statuses")
    equal(asked[0][2], asked[1][2], "the answers")
    equal(asked[1][1]["Idempotency-Replayed"], "true", "the header of the second")
    equal(len(http.pages("exports", limit=1)), 1, "requests")


async def resync(app, http, control):
    async def read_again(before, request):
        async def ended():
            run = http.get("hubspot/status")["run"]
            return run["run"] != before and run["state"] == "finished" and run

        run = await control.until(f"the resync {request}", ended)
        await control.phase("syncing")
        return run["run"]

    step("signals a resync")
    first = http.get("hubspot/status")["run"]["run"]
    changed = {"types": ["contacts"], "mode": {"mode": "catch_up"}}
    await control.resync(changed)
    second = await read_again(first, changed)

    step("signals what the schema refuses")
    wrong = {"types": "contacts"}
    schema = json.loads((SCHEMAS / "connection-signal-resync.json").read_text())
    holds(not Draft202012Validator(schema).is_valid(wrong), "the schema refuses it")
    await control.connection.signal("resync", wrong)

    async def counted():
        status = await control.status()
        return status["signals_not_understood"] == 1 and status

    await control.until("a count of signals that were not understood", counted)
    equal(http.get("hubspot/status")["run"]["run"], second, "the newest run")

    step("signals with start, beside the workflow that runs")
    running = (await control.connection.describe()).run_id
    whole = {"types": ["owners", "companies"], "mode": {"mode": "from_scratch"}}
    reached = await control.start_with_resync(app["portal"], whole)
    equal((await reached.describe()).run_id, running, "the run of the workflow that got it")
    app["runs"] = [first, second, await read_again(second, whole)]
    print(f"  {len(app['runs'])} runs")


async def disconnect(app, http, control):
    step("signals disconnect")
    await control.connection.signal("disconnect")
    result = valid("connection-result", await control.connection.result())
    equal(result["phase"], "disconnected", "how the workflow ended")
    equal(http.get("hubspot/status")["state"], "disconnected", "the state by HTTP")
    stored = {one["object_type"]: one["stored"] for one in http.get("hubspot/status")["objects"]}
    holds(stored["contacts"] > 0, "imported contacts stay")
    equal(len(http.pages("people", limit=1000)), 250, "people stay")

    step("signals nobody")
    try:
        await control.resync({})
        sys.exit("FAILED a signal to a workflow that ended was taken")
    except RPCError as error:
        equal(error.status, RPCStatusCode.NOT_FOUND, "the answer to a signal that finds nobody")

    step("signals with start, while disconnected")
    started = await control.start_with_resync(app["portal"], {})
    result = valid("connection-result", await started.result())
    equal((result["phase"], result["run"]), ("disconnected", None), "how that ended")
    equal(http.get("hubspot/status")["run"]["run"], app["runs"][-1], "the newest run")

    step("starts what was never connected")
    stranger = Control(control.client, str(uuid.uuid4()))
    started = await stranger.start_with_resync(app["portal"], {})
    try:
        await started.result()
        sys.exit("FAILED a workspace that is not known has a connection")
    except WorkflowFailureError as error:
        holds("HS-5099" in str(error.cause.cause), f"the code of the failure, {error.cause.cause}")


async def main():
    # What the app remembers from one command to the next; another app has a database.
    memory = Path(os.environ["MAIN_APP_MEMORY"])
    app = json.loads(memory.read_text()) if memory.exists() else {"workspace": os.environ["MAIN_APP_WORKSPACE"]}
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    command = {"connect": connect, "records": records, "resync": resync, "disconnect": disconnect}[sys.argv[1]]
    await command(app, Http(app["workspace"], app.get("token", "")), Control(client, app["workspace"]))
    memory.write_text(json.dumps(app))
    print("OK", flush=True)


asyncio.run(main())
# The SDK's own threads outlive its client, and one that comes back while the interpreter ends aborts the
# process (temporalio/sdk-python issue 300): all is said and written, so nothing is left to end.
sys.stdout.flush()
os._exit(0)
