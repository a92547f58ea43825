-- Lists as tables with their adds and removals, former addresses, the portal's time zone, and verdicts
-- on people (I6, I8).

-- What a record was found by and is not any more: an address that was changed, or of a contact that was
-- merged away. Who was kept out by it stays kept out.
create table hubspot_former_key (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    key text collate "C" not null,
    object_id bigint not null,
    primary key (workspace_id, portal_id, object_type, key, object_id)
);
create index hubspot_former_key_by_object on hubspot_former_key (workspace_id, portal_id, object_type, object_id);

-- A member that is gone stays as a tombstone. `changed` is the number of the last add or removal.
alter table hubspot_list_member
    add column removed boolean not null default false,
    add column changed bigint not null default mirror_change();
create index hubspot_list_member_by_change on hubspot_list_member
    (uuid_hash(workspace_id), (portal_id + 0), changed, (list_id + 0), (object_id + 0));

-- What a portal says of itself.
create table hubspot_portal (
    workspace_id uuid not null,
    portal_id bigint not null,
    time_zone text,
    read_at timestamptz not null,
    primary key (workspace_id, portal_id)
);

-- The number of the last write of a person.
alter table app_person add column changed bigint not null default mirror_change();
create index app_person_by_change on app_person (uuid_hash(workspace_id), changed, person_id);
create index app_person_by_domain on app_person (workspace_id, split_part(email, '@', 2)) where email is not null;

-- The verdict on each person, as it was last judged. `changed` is the number of its last change.
create table dnc_verdict (
    workspace_id uuid not null,
    portal_id bigint not null,
    person_id text collate "C" not null,
    allowed boolean not null,
    reasons jsonb not null,
    stale boolean not null,
    judged_at timestamptz not null default now(),
    changed bigint not null default mirror_change(),
    primary key (workspace_id, portal_id, person_id)
) partition by hash (workspace_id);
do $$
begin
    for n in 0..15 loop
        execute format('create table %I partition of dnc_verdict for values with (modulus 16, remainder %s)', 'dnc_verdict_' || n, n);
    end loop;
end $$;
create index dnc_verdict_by_change on dnc_verdict
    (uuid_hash(workspace_id), (portal_id + 0), changed, person_id);

-- How far the verdicts of a workspace are. `basis` is what they were judged by, `stale` which reads were
-- missing then, `pass_basis` and
-- `pass_after` where a pass over all people is; the rest is how far changes are followed. `marks` and
-- `due_at` tell cheaply whether there may be anything to do.
create table dnc_projection (
    workspace_id uuid not null,
    portal_id bigint not null,
    version bigint not null default 0,
    basis text not null default '',
    stale jsonb not null default '[]',
    pass_basis text,
    pass_after text collate "C",
    record_number bigint not null default 0,
    record_type smallint not null default 0,
    record_id bigint not null default 0,
    member_number bigint not null default 0,
    member_list bigint not null default 0,
    member_id bigint not null default 0,
    person_number bigint not null default 0,
    person_id text collate "C" not null default '',
    marks text not null default '',
    due_at timestamptz,
    primary key (workspace_id, portal_id)
);

-- What verdicts stand on beside records, lists and people: settings, definitions, and how reads stand.
create function dnc_marks(w uuid, p bigint) returns text language sql stable parallel safe as $$
    select md5(concat_ws('|',
        (select max(version) from settings_version where workspace_id = w),
        (select state from connection where workspace_id = w),
        (select string_agg(concat_ws(':', sync_type, purpose, part, outcome, unanswered > 0), ',' order by sync_type, purpose, part)
            from sync_cursor where workspace_id = w and portal_id = p and purpose in ('run', 'periodic', 'members')),
        (select string_agg(concat_ws(':', c.sync_type, f.part), ',' order by c.sync_type, f.part)
            from sync_refusal f join sync_cursor c on c.id = f.cursor_id
            where c.workspace_id = w and c.portal_id = p and c.purpose in ('run', 'periodic', 'members')),
        (select string_agg(distinct c.sync_type, ',') from sync_unanswered u join sync_cursor c on c.id = u.cursor_id
            where c.workspace_id = w and c.portal_id = p and c.purpose in ('run', 'periodic', 'members')),
        (select string_agg(sync_type, ',' order by sync_type) from last_read where workspace_id = w and portal_id = p),
        (select md5(string_agg(concat_ws(':', list_id, processing_status, gone_at is null, members_read_at is null), ',' order by list_id))
            from hubspot_list where workspace_id = w and portal_id = p),
        (select md5(string_agg(definition::text, ',' order by pipeline_id)) from hubspot_pipeline where workspace_id = w and portal_id = p),
        (select md5(string_agg(concat_ws(':', owner_id, email, archived), ',' order by owner_id)) from hubspot_owner where workspace_id = w and portal_id = p),
        (select md5(string_agg(concat_ws(':', member_id, revision), ',' order by member_id)) from app_member where workspace_id = w),
        (select time_zone from hubspot_portal where workspace_id = w and portal_id = p)
    ))
$$;
