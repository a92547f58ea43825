-- Whether a portal allows us a unique property on a type of record (X2): its name, or null where it
-- does not. It belongs to the portal, whichever workspace asked.
create table portal_key (
    portal_id bigint not null,
    object_type smallint not null,
    property text,
    asked_at timestamptz not null,
    primary key (portal_id, object_type)
);
alter table portal_key alter column portal_id set statistics 0;
