"""What a plain loop over HubSpot's own Python SDK needs to export a campaign: each person is looked for by
address and made where nobody is found, with the company of the domain and three activities. It is what an
integration looks like before anybody thought of limits, doubles or answers that are lost; companies that
it has seen it remembers."""

import os

import common

common.enter(__file__, pins="sdk_python")

from hubspot import HubSpot  # noqa: E402
from urllib3.util.retry import Retry  # noqa: E402

PEOPLE = int(os.environ.get("LOOP_PEOPLE", "50"))
PER_COMPANY = 10
TEXT = "Hello, this is what we do. " * 20
# By kind: its properties, and the types of its associations with contact and company.
STEPS = (
    ("emails", {"hs_email_direction": "EMAIL", "hs_email_subject": "Hello", "hs_email_text": TEXT}, 198, 186),
    ("communications", {
        "hs_communication_channel_type": "LINKEDIN_MESSAGE",
        "hs_communication_logged_from": "CRM",
        "hs_communication_body": TEXT,
    }, 81, 87),
    ("calls", {"hs_call_title": "Call", "hs_call_direction": "OUTBOUND", "hs_call_status": "COMPLETED"}, 194, 182),
)


def first(api, name, value):
    groups = [{"filters": [{"propertyName": name, "operator": "EQ", "value": value}]}]
    found = api.search_api.do_search({"filterGroups": groups, "properties": [name], "limit": 1})
    return found.results[0].id if found.results else None


def associated(to, number):
    return {"to": {"id": to}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number}]}


def main():
    portal = common.Portal(contacts=10, companies=2, deals=0, lists=0, limits="off", auto_companies=False)
    retry = Retry(total=10, backoff_factor=1, status_forcelist=(429, 502, 503, 504), allowed_methods=None)
    crm = HubSpot(access_token=portal.service_key(), host=portal.base, retry=retry).crm
    before = {kind: len(portal.live(kind)) for kind in ("contacts", "companies")}
    companies = {}
    began = common.clock()
    for n in range(PEOPLE):
        domain = f"loop-{n % max(PEOPLE // PER_COMPANY, 1)}.com"
        email = f"p{n}@{domain}"
        if domain not in companies:
            found = first(crm.companies, "domain", domain)
            made = {"properties": {"domain": domain, "name": domain}}
            companies[domain] = found or crm.companies.basic_api.create(made).id
        company = companies[domain]
        contact = first(crm.contacts, "email", email)
        properties = {"email": email, "firstname": f"First{n}", "lastname": f"Last{n}", "jobtitle": "Head"}
        if contact:
            crm.contacts.basic_api.update(contact, {"properties": properties})
        else:
            made = {"properties": properties, "associations": [associated(company, 279)]}
            contact = crm.contacts.basic_api.create(made).id
        for day, (kind, said, of_contact, of_company) in enumerate(STEPS, 3):
            to = [associated(contact, of_contact), associated(company, of_company)]
            made = {"properties": {**said, "hs_timestamp": f"2026-01-{day:02}T08:30:00Z"}, "associations": to}
            getattr(crm.objects, kind).basic_api.create(made)
    took = common.clock() - began
    live = {kind: len(portal.live(kind)) for kind in ("contacts", "companies", *(kind for kind, *_ in STEPS))}
    common.equal(live["contacts"] - before["contacts"], PEOPLE, "contacts")
    common.equal(live["companies"] - before["companies"], len(companies), "companies")
    for kind, *_ in STEPS:
        common.equal(live[kind], PEOPLE, kind)
    print(f"MEASURED {took:.3f} {PEOPLE}", flush=True)
    if os.environ.get("CONFORMANCE_PORTAL"):
        print("OK", flush=True)
    else:
        portal.finish(provoked={})


if __name__ == "__main__":
    main()
