-- How the members of a list changed last (I6): how many came and left on the last day, in UTC, that brought
-- any change. The first reading of a list is none.
alter table hubspot_list
    add column members_changed_at timestamptz,
    add column members_joined bigint,
    add column members_left bigint;
