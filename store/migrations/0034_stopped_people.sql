-- Who is stopped by a rule (I8), page by page. A bit for each rule, so that one index serves all of them; a
-- bit never changes its meaning.
create function dnc_rule_mask(reasons jsonb) returns integer language sql immutable parallel safe as $$
    select (reasons @> '[{"rule": "suppression_list"}]')::int
        + (reasons @> '[{"rule": "open_deal"}]')::int * 2
        + (reasons @> '[{"rule": "customer"}]')::int * 4
        + (reasons @> '[{"rule": "lost_deal"}]')::int * 8
        + (reasons @> '[{"rule": "opted_out"}]')::int * 16
        + (reasons @> '[{"rule": "in_hubspot"}]')::int * 32
        + (reasons @> '[{"rule": "unmapped_owner"}]')::int * 64
        + (reasons @> '[{"rule": "recent_touch"}]')::int * 128
        + (reasons @> '[{"rule": "erased"}]')::int * 256
        + (reasons @> '[{"rule": "not_known"}]')::int * 512
        + (reasons @> '[{"rule": "unknown"}]')::int * 1024
$$;
create index dnc_verdict_by_rules on dnc_verdict
    (uuid_hash(workspace_id), (portal_id + 0), dnc_rule_mask(reasons), person_id) where not allowed;
