-- The properties of engagements, by type, as they were last read: what rows of the tab Activity are checked
-- against (E4).
create table engagement_property (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    definitions jsonb not null,
    read_at timestamptz not null,
    primary key (workspace_id, portal_id, object_type)
);
alter table engagement_property alter column workspace_id set statistics 0;
alter table engagement_property alter column portal_id set statistics 0;
