"""dlt reads a portal into DuckDB by v3: contacts, companies, deals and pipelines. dlt's own command
fetches its HubSpot source from a code host; the package here has it installed. Only the address, which
the source takes as an argument, is changed."""

import os
import tempfile
import time

import common

# The source needs Python 3.11.
common.enter(__file__)

HOME = tempfile.mkdtemp(prefix="dlt-")
os.environ.update(
    HOME=HOME, DLT_DATA_DIR=HOME, RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR"
)

import dlt  # noqa: E402
import requests  # noqa: E402
from paradox_dlt_sources.hubspot import hubspot_source  # noqa: E402

# Engagements are read by a path of v1 that the simulator does not have.
RESOURCES = ("contacts", "companies", "deals", "deal_pipelines")


def main():
    contacts = common.size(1_200, 25_000)
    portal = common.Portal(
        contacts=contacts, companies=contacts // 5, deals=contacts // 6, owners=15, limits="off"
    )
    key = portal.service_key()
    pipeline = dlt.pipeline(
        "conformance", destination=dlt.destinations.duckdb(f"{HOME}/it.duckdb"), dataset_name="hubspot"
    )

    def load():
        source = hubspot_source(api_key=key, base_url=portal.base, lookback_seconds=0)
        pipeline.run(source.with_resources(*RESOURCES)).raise_on_failed_jobs()

    def rows(table, columns):
        with pipeline.sql_client() as client, client.execute_query(f"select {columns} from {table}") as cursor:
            return cursor.fetchall()

    common.step("reads everything")
    began = common.clock()
    load()
    common.measured(began, len(rows("contacts", "id")))
    truth = {kind: portal.live(kind) for kind in ("contacts", "companies", "deals")}
    for kind, known in truth.items():
        common.exactly_once([r[0] for r in rows(kind, "id")], set(known), kind)

    common.step("has the values that the simulator has")
    for kind, names in (
        ("contacts", ("email", "firstname", "city", "lifecyclestage", "hubspot_owner_id")),
        ("companies", ("name", "domain", "numberofemployees")),
        ("deals", ("dealname", "dealstage", "amount", "closedate")),
    ):
        columns = ", ".join(["id", *(f"properties__{n}" for n in names)])
        for record, *values in rows(kind, columns):
            for name, value in zip(names, values, strict=True):
                common.same(value, truth[kind][record]["properties"].get(name), f"{kind} {record}: {name}")
    common.equal(
        [r[0] for r in rows("deal_pipelines", "id")], ["default"], "pipelines"
    )

    common.step("reads again: what changed comes, what is gone is marked")
    time.sleep(1.1)
    headers = {"Authorization": f"Bearer {key}"}
    some = sorted(truth["contacts"])
    changed, gone = some[:: contacts // 7], some[1]
    for contact in changed:
        url = f"{portal.base}/crm/v3/objects/contacts/{contact}"
        requests.patch(url, json={"properties": {"city": "Tromsø"}}, headers=headers, timeout=30).raise_for_status()
    requests.delete(f"{portal.base}/crm/v3/objects/contacts/{gone}", headers=headers, timeout=30).raise_for_status()
    load()
    again = rows("contacts", "id, properties__city, _is_deleted")
    common.equal({i for i, city, _ in again if city == "Tromsø"}, set(changed), "contacts with the new value")
    common.equal({i for i, _, deleted in again if deleted}, {gone}, "contacts that are marked")

    portal.finish(provoked={})


if __name__ == "__main__":
    main()
