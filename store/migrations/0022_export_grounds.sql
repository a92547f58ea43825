-- Exports: whether what all of a workspace's stand on has changed; rows that go on after a pause.

-- Told by what is cheap to look at: settings, fields, team, what was read of the portal, and its rules.
-- Of definitions the sum, as one that is read by itself may be older than the newest of the others.
create function export_mark(w uuid, p bigint) returns text language sql stable as $$
    select concat_ws(' ',
        (select concat(max(version)) from settings_version where workspace_id = w),
        (select concat(count(*), '/', max(changed_at)) from custom_field where workspace_id = w),
        (select concat(count(*), '/', max(changed_at)) from app_member where workspace_id = w),
        (select concat(count(*), '/', sum(extract(epoch from read_at))) from hubspot_property
         where workspace_id = w and portal_id = p and object_type in (1, 2)),
        (select concat(count(*), '/', max(read_at)) from hubspot_owner
         where workspace_id = w and portal_id = p),
        (select concat(count(*), '/', max(read_at)) from hubspot_pipeline
         where workspace_id = w and portal_id = p),
        (select concat(count(*), '/', max(read_at)) from portal_rule
         where workspace_id = w and portal_id = p),
        (select string_agg(sync_type, ',' order by sync_type) from last_read
         where workspace_id = w and portal_id = p),
        (select string_agg(f.part, ',' order by f.part) from sync_cursor c
         join sync_refusal f on f.cursor_id = c.id
         where c.workspace_id = w and c.portal_id = p and c.sync_type = 'properties'),
        (select concat(portal_id, '/', connected_at) from connection where workspace_id = w),
        (select concat(first_at) from connected_portal where workspace_id = w and portal_id = p),
        (select time_zone from hubspot_portal where workspace_id = w and portal_id = p))
$$;

-- Rows that were paused and that somebody let go on: what was written to the property before counts no
-- more (E4). It takes the place of a time for all rows of a person, which nothing ever set.
create table export_resumed (
    workspace_id uuid not null,
    portal_id bigint not null,
    subject_kind text not null,
    subject_id text collate "C" not null,
    property text not null,
    resumed_at timestamptz not null,
    primary key (workspace_id, portal_id, subject_kind, subject_id, property)
);
alter table export_resumed alter column workspace_id set statistics 0;
alter table export_resumed alter column portal_id set statistics 0;
alter table exported_person drop column resumed_at;
