"""A command line that others wrote for paths of 2026-09 works in a portal: contacts, companies, deals,
associations, notes and merges. Only its constant BASE_URL is changed."""

import json
import os
import tempfile

import common

common.enter(__file__)

# Its settings go into a home of their own.
os.environ["HOME"] = tempfile.mkdtemp(prefix="hubspotctl-")

import hubspotctl.client  # noqa: E402
from click.testing import CliRunner  # noqa: E402
from hubspotctl.cli import main as command  # noqa: E402


def run(*words, code=0):
    """One call of the command line: what it prints as JSON, else as text."""
    done = CliRunner().invoke(command, ["--format", "json", *words])
    common.equal(done.exit_code, code, f"{' '.join(words)}: {done.output} {done.exception!r}")
    try:
        return json.loads(done.output)
    except ValueError:
        return done.output


def main():
    portal = common.Portal(limits="off", auto_companies=False, owners=3)
    hubspotctl.client.BASE_URL = portal.base
    os.environ["HUBSPOT_ACCESS_TOKEN"] = portal.service_key()

    common.step("contacts: create, update, read by id and by e-mail, search")
    for n in range(4):
        run("contact", "create", "--email", f"p{n}@example.com", "--firstname", f"P{n}", "--jobtitle", "Buyer")
    people = {r["properties"]["email"]: i for i, r in portal.live("contacts").items()}
    common.equal(sorted(people), [f"p{n}@example.com" for n in range(4)], "the contacts that are there")
    ids = [people[f"p{n}@example.com"] for n in range(4)]
    run("contact", "update", ids[0], "--phone", "+47 1234", "--lastname", "Berg")
    known = portal.live("contacts")[ids[0]]["properties"]
    common.equal((known["phone"], known["lastname"]), ("+47 1234", "Berg"), "what was updated")
    common.equal(known["lifecyclestage"], "lead", "the stage that HubSpot sets")
    common.holds("Berg" in json.dumps(run("contact", "show", ids[0])), "shown by id")
    common.holds(ids[0] in json.dumps(run("contact", "show", "p0@example.com")), "shown by e-mail")
    common.holds("p1@example.com" in json.dumps(run("contact", "search", "P1")), "found")
    common.equal(len(run("contact", "list", "--limit", "100")), 4, "listed")

    common.step("what is refused is told")
    told = run("contact", "create", "--email", "p0@example.com")
    common.holds("already exists" in told.lower(), f"a taken address: {told}")

    common.step("companies and deals: create, update, associate")
    run("company", "create", "--name", "Acme", "--domain", "acme.example.com")
    run("company", "create", "--name", "Acme too")
    companies = {r["properties"]["name"]: i for i, r in portal.live("companies").items()}
    acme = companies["Acme"]
    run("company", "update", acme, "--industry", "Mining")
    common.equal(portal.live("companies")[acme]["properties"]["industry"], "Mining", "what was updated")
    run("deal", "create", "--name", "Big", "--stage", "qualifiedtobuy", "--amount", "120.50")
    (deal,) = portal.live("deals")
    common.equal(portal.live("deals")[deal]["properties"]["pipeline"], "default", "the default pipeline")
    run("deal", "update", deal, "--stage", "closedwon", "--closedate", "2026-12-24")
    common.equal(portal.live("deals")[deal]["properties"]["dealstage"], "closedwon", "the new stage")
    run("contact", "associate", ids[0], "--company", acme)
    run("deal", "associate", deal, "--contact", ids[0])
    run("deal", "associate", deal, "--company", acme)
    links = portal.live("contacts")[ids[0]]["associations"]
    common.equal({r["id"] for r in links["companies"]["results"]}, {acme}, "the contact's company")
    common.equal({r["id"] for r in links["deals"]["results"]}, {deal}, "the contact's deal")
    run("deal", "disassociate", deal, "--company", acme)
    common.holds("companies" not in portal.live("deals")[deal].get("associations", {}), "the company is off the deal")
    common.holds("Closed Won" in json.dumps(run("deal", "stages")), "stages")
    common.equal(len(run("deal", "owners")), 3, "owners")

    common.step("notes: add, list, delete")
    run("contact", "add-note", ids[0], "--body", "Called twice")
    (note,) = run("contact", "notes", ids[0])
    common.equal(note["body"], "Called twice", "the note")
    run("contact", "delete-note", note["id"], "--yes")
    common.equal(portal.live("notes"), {}, "notes that are left")

    common.step("merges and deletes")
    run("contact", "merge", ids[1], ids[2], "--yes")
    left = portal.live("contacts")
    common.equal(len(left), 3, "contacts that are left")
    merged = next(r for r in left.values() if r["properties"].get("hs_merged_object_ids"))
    common.equal(merged["properties"]["hs_additional_emails"], "p2@example.com", "the other address")
    run("contact", "delete", ids[3], "--yes")
    common.equal(len(portal.live("contacts")), 2, "contacts that are left")
    run("company", "merge", acme, companies["Acme too"], "--yes")
    common.equal(len(portal.live("companies")), 1, "companies that are left")

    portal.finish(provoked={"POST /crm/objects/2026-09/contacts 409": 1})


if __name__ == "__main__":
    main()
