"""airbyte-source-hubspot reads a portal. Its address of HubSpot is written into it, so requests to
that address are sent to the simulator instead; nothing else is touched."""

import json
import logging
import tempfile
from pathlib import Path

import common

common.enter(__file__, newest=11)

import requests  # noqa: E402
from airbyte_cdk.entrypoint import AirbyteEntrypoint  # noqa: E402
from source_hubspot.run import _get_source  # noqa: E402

HUBSPOT = "https://api.hubapi.com"
STREAMS = ["contacts", "companies", "deals", "owners", "owners_archived"]


def redirect(base):
    """Requests to HubSpot go to the simulator from now on."""
    send = requests.Session.send

    def redirected(session, request, **options):
        request.url = request.url.replace(HUBSPOT, base, 1)
        return send(session, request, **options)

    requests.Session.send = redirected


def call(command, folder, **files):
    """Runs a command of the connector as its command line does; its messages."""
    words = [command]
    for name, content in files.items():
        path = Path(folder, f"{name}.json")
        path.write_text(json.dumps(content))
        words += [f"--{name}", str(path)]
    source = _get_source(words)
    common.holds(source, f"the connector starts for {command}")
    TOLD.clear()
    try:
        messages = list(map(json.loads, AirbyteEntrypoint(source).run(AirbyteEntrypoint.parse_args(words))))
    except Exception as error:  # noqa: BLE001: whatever it is, the connector failed
        common.holds(False, f"{command}: {common.shorten(error)} {common.shorten(TOLD)}")
    common.equal(TOLD, [], f"warnings and errors of {command}")
    return messages


TOLD = []


class Listener(logging.Handler):
    """Keeps what the connector complains of, but not that it may not read custom objects, for which
    it has no scope."""

    def emit(self, record):
        said = record.getMessage()
        if record.levelno >= logging.WARNING and "crm/v3/schemas" not in said and "crm.schemas.custom" not in said:
            TOLD.append(said)


def records(messages, stream):
    return [m["record"]["data"] for m in messages if m["type"] == "RECORD" and m["record"]["stream"] == stream]


def main():
    contacts = common.size(1_200, 25_000)
    portal = common.Portal(
        contacts=contacts, companies=contacts // 5, deals=contacts // 6, owners=15, limits="off",
        # The connector keeps to the refresh token that it was given.
        rotate_refresh_tokens=False,
    )  # fmt: skip
    redirect(portal.base)
    logging.getLogger("airbyte").handlers[:] = [Listener()]
    logging.getLogger("airbyte").propagate = False
    folder = tempfile.mkdtemp()
    config = {"start_date": "2006-06-01T00:00:00Z", "credentials": sign_in(portal)}

    common.step("checks the connection")
    [status] = [m["connectionStatus"] for m in call("check", folder, config=config) if m["type"] == "CONNECTION_STATUS"]
    common.equal(status["status"], "SUCCEEDED", "the check")

    common.step("discovers its streams")
    [found] = [m["catalog"]["streams"] for m in call("discover", folder, config=config) if m["type"] == "CATALOG"]
    streams = [s for s in found if s["name"] in STREAMS]
    common.equal(sorted(s["name"] for s in streams), sorted(STREAMS), "the streams")
    catalog = {
        "streams": [{"stream": s, "sync_mode": "incremental", "destination_sync_mode": "append"} for s in streams]
    }

    common.step("reads everything")
    began = common.clock()
    messages = call("read", folder, config=config, catalog=catalog)
    common.measured(began, len(records(messages, "contacts")))
    truth = {kind: portal.live(kind) for kind in ("contacts", "companies", "deals")}
    for kind, known in truth.items():
        got = records(messages, kind)
        common.exactly_once([r["id"] for r in got], set(known), kind)
        for record in got:
            compare(kind, record, known[record["id"]])
    owners = {archived: set(ids_of_owners(portal, archived)) for archived in (False, True)}
    common.exactly_once([r["id"] for r in records(messages, "owners")], owners[False], "owners")
    common.exactly_once([r["id"] for r in records(messages, "owners_archived")], owners[True], "archived owners")

    common.step("reads again from its state, by search, and gets only what changed")
    states = {m["state"]["stream"]["stream_descriptor"]["name"]: m["state"] for m in messages if m["type"] == "STATE"}
    changed = sorted(truth["contacts"])[:: contacts // 250]
    change(portal, changed)
    again = call("read", folder, config=config, catalog=catalog, state=list(states.values()))
    got = {r["id"]: r for r in records(again, "contacts")}
    common.holds(len(got) == len(records(again, "contacts")), "no contact came twice")
    common.holds(set(changed) <= set(got), f"all {len(changed)} that changed came: {len(got)}")
    # What bears the very time of the bookmark comes once more.
    common.holds(len(got) <= len(changed) + 2, f"little else came: {len(got)} for {len(changed)}")
    known = portal.live("contacts")
    for record in got.values():
        compare("contacts", record, known[record["id"]])
    common.equal({got[c]["properties"]["city"] for c in changed}, {"Tromsø"}, "the new value")
    print(f"  {len(changed)} changed contacts, found by search with their companies")

    # Custom objects need a scope that was not asked for: the connector is told so and goes on.
    counters = portal.control("GET", "counters")["by_path"]
    portal.finish(provoked={p: n for p, n in counters.items() if p == "GET /crm/v3/schemas 403"})


def sign_in(portal):
    areas = [f"crm.{a}.{k}.read" for a in ("objects", "schemas") for k in ("contacts", "companies", "deals")]
    scopes = "+".join([*areas, "crm.objects.owners.read", "crm.lists.read", "contacts", "oauth"])
    link = (
        f"https://app.hubspot.com/oauth/authorize?client_id={common.CLIENT_ID}"
        f"&redirect_uri={common.REDIRECT}&state=s&scope={scopes}"
    )
    form = {
        "grant_type": "authorization_code", "code": portal.approve(link), "redirect_uri": common.REDIRECT,
        "client_id": common.CLIENT_ID, "client_secret": common.CLIENT_SECRET,
    }  # fmt: skip
    answer = requests.post(f"{portal.base}/oauth/v1/token", data=form, timeout=30)
    answer.raise_for_status()
    return {
        "credentials_title": "OAuth Credentials", "client_id": common.CLIENT_ID,
        "client_secret": common.CLIENT_SECRET, "refresh_token": answer.json()["refresh_token"],
    }  # fmt: skip


def ids_of_owners(portal, archived):
    """Owners by a plain request."""
    headers = {"Authorization": f"Bearer {portal.service_key()}"}
    query = {"limit": 500, "archived": str(archived).lower()}
    answer = requests.get(f"{portal.base}/crm/v3/owners", params=query, headers=headers, timeout=30)
    return [owner["id"] for owner in answer.json()["results"]]


def change(portal, contacts):
    headers = {"Authorization": f"Bearer {portal.service_key()}"}
    for start in range(0, len(contacts), 100):
        inputs = [{"id": c, "properties": {"city": "Tromsø"}} for c in contacts[start : start + 100]]
        url = f"{portal.base}/crm/v3/objects/contacts/batch/update"
        answer = requests.post(url, json={"inputs": inputs}, headers=headers, timeout=60)
        common.equal(len(answer.json()["results"]), len(inputs), "contacts changed")


def compare(kind, record, known):
    """Every value that the simulator has, and the ids of associated records."""
    for name, wanted in known["properties"].items():
        common.same(record["properties"].get(name), wanted, f"{kind} {record['id']}: {name}")
    for to in {"contacts": ["companies"], "companies": ["contacts"], "deals": ["companies", "contacts"]}[kind]:
        links = known.get("associations", {}).get(to, {}).get("results", [])
        common.equal({str(i) for i in record.get(to) or []}, {link["id"] for link in links}, f"{kind} {record['id']}: {to}")


if __name__ == "__main__":
    main()
