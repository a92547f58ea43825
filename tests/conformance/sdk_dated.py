"""HubSpot's alpha SDK for dated paths (2026-03) in a portal: it checks each answer against its own
description of it. Only its base address is changed."""

import common

common.enter(__file__)

import hubspot_sdk  # noqa: E402


def plain(value):
    return value.to_dict() if hasattr(value, "to_dict") else value


def main():
    # By HubSpot's description values are never null; its guide and recorded answers have them so.
    portal = common.Portal(
        limits="off", auto_companies=False, contacts=25, companies=3, deals=2, owners=3, lists=3,
        empty_as_null=False, association_ids_as_text=True,
    )  # fmt: skip
    client = hubspot_sdk.HubSpot(
        access_token=portal.service_key(), base_url=portal.base, max_retries=0, _strict_response_validation=True
    )
    crm = client.crm
    provoked = {}

    common.step("contacts: create, read, update, search, list by pages, history, archive")
    contacts = crm.objects.contacts
    made = contacts.create(associations=[], properties={"email": "ada@example.com", "firstname": "Ada"})
    got = contacts.get(made.id, properties=["email", "firstname"], properties_with_history=["firstname"])
    common.equal(got.properties["email"], "ada@example.com", "the e-mail")
    common.equal(got.properties_with_history["firstname"][0].value, "Ada", "its history")
    contacts.update(made.id, properties={"city": "London"})
    by_email = contacts.get("ada@example.com", id_property="email", properties=["city"])
    common.equal((by_email.id, by_email.properties["city"]), (made.id, "London"), "read by e-mail")
    wanted = set(portal.live("contacts"))
    common.exactly_once([c.id for c in contacts.list(limit=10)], wanted, "contacts by pages")
    found = contacts.search(
        after="0", limit=5, sorts=[], properties=["email"],
        filter_groups=[{"filters": [{"propertyName": "email", "operator": "EQ", "value": "ada@example.com"}]}],
    )  # fmt: skip
    common.equal((found.total, found.results[0].id), (1, made.id), "found")
    other = contacts.create(associations=[], properties={"email": "bob@example.com"})
    contacts.delete(other.id)
    try:
        contacts.get(other.id)
        common.holds(False, "an archived contact is not there")
    except hubspot_sdk.NotFoundError:
        provoked["GET /crm/objects/2026-03/contacts/* 404"] = 1

    common.step("batches: create, read with one that is not there, update, upsert, archive")
    batch = contacts.batch
    rows = [{"properties": {"email": f"b{n}@example.com"}, "associations": []} for n in range(3)]
    made_batch = batch.create(inputs=rows)
    ids = [r.id for r in made_batch.results]
    common.equal(len(ids), 3, "made at once")
    read = batch.get(inputs=[{"id": i} for i in [*ids, "1"]], properties=["email"], properties_with_history=[])
    common.equal(len(read.results), 3, "read at once, one is missing")
    batch.update(inputs=[{"id": i, "properties": {"city": "Oslo"}} for i in ids])
    upserted = batch.upsert(
        inputs=[{"id": "b0@example.com", "id_property": "email", "properties": {"city": "Bergen"}}]
    )
    common.equal((upserted.results[0].id, upserted.results[0].new), (ids[0], False), "upserted")
    batch.delete(inputs=[{"id": ids[2]}])
    common.equal(ids[2] in portal.live("contacts"), False, "archived at once")

    common.step("merge and erasure")
    merged = contacts.merge(primary_object_id=ids[0], object_id_to_merge=ids[1])
    common.equal(contacts.get(ids[1]).id, merged.id, "the old id leads to the new record")
    contacts.gdpr_delete(object_id=merged.id)

    common.step("companies and associations, with and without")
    (company, lonely, *_) = sorted(portal.live("companies"))
    assoc = crm.associations
    assoc.create(company, from_object_type="contacts", from_object_id=made.id, to_object_type="companies")
    linked = list(assoc.list("companies", object_type="contacts", object_id=made.id))
    common.equal([str(link.to_object_id) for link in linked], [company], "the contact's company")
    spec = {"association_category": "HUBSPOT_DEFINED", "association_type_id": 279}
    assoc.batch.create(
        "companies", from_object_type="contacts",
        inputs=[{"from": {"id": made.id}, "to": {"id": lonely}, "types": [spec]}],
    )  # fmt: skip
    fresh = contacts.create(associations=[], properties={"email": "lonely@example.com"})
    read = assoc.batch.get("companies", from_object_type="contacts", inputs=[{"id": made.id}, {"id": fresh.id}])
    common.equal(len(read.results), 1, "one of the two has companies")
    common.equal({str(to.to_object_id) for to in read.results[0].to}, {company, lonely}, "both companies")

    common.step("owners, pipelines, properties, lists")
    common.holds(len(list(crm.owners.list(limit=1))) > 1, "owners by pages")
    common.equal(crm.pipelines.list("deals").results[0].id, "default", "the pipeline of deals")
    names = {p.name for p in crm.properties.list("contacts").results}
    common.holds({"email", "hs_marketable_status", "hs_legal_basis"} <= names, "definitions of contacts")
    lists = crm.lists.list_by_search(count=10, list_ids=[], offset=0, processing_types=[])
    common.equal(lists.total, 3, "lists")
    members = crm.lists.list_memberships(lists.lists[0].list_id)
    common.holds(all(m.record_id for m in members), "members")

    portal.finish(provoked=provoked)


if __name__ == "__main__":
    main()
