-- Archived, merged and erased records, and the passes that find them (I3).

-- What became of a record that is `archived`: merged into another one; or not known to HubSpot any more,
-- once (`missing_at`), and in a later reading again (`gone_at`; of contacts all values are removed then).
alter table hubspot_object
    add column merged_into bigint,
    add column missing_at timestamptz,
    add column gone_at timestamptz;

-- Ids that were merged away, each with the record that lives at the end of its chain. `read_at` is when
-- the request was sent that told of it.
create table hubspot_alias (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    object_id bigint not null,
    living_id bigint not null,
    read_at timestamptz not null,
    primary key (workspace_id, portal_id, object_type, object_id),
    check (object_id <> living_id)
);
create index hubspot_alias_by_living on hubspot_alias (workspace_id, portal_id, object_type, living_id);

-- Records of which a change elsewhere tells that their associations changed.
create table hubspot_reread (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    object_id bigint not null,
    -- Goes up when it is noted again, so that a read that was under way does not settle it.
    noted bigint not null default 1,
    primary key (workspace_id, portal_id, object_type, object_id)
);

-- Whether it was asked for again, in vain: a slice that ends in between goes on with the others.
alter table sync_unanswered add column asked boolean not null default false;

-- When a portal is to be compared with its mirror next, and whether somebody asked for all of it.
create table reconcile_plan (
    workspace_id uuid not null references workspace (id),
    portal_id bigint not null,
    due_at timestamptz not null,
    asked_at timestamptz,
    primary key (workspace_id, portal_id)
);
create index reconcile_plan_due on reconcile_plan (due_at);

alter table sync_cursor
    drop constraint sync_cursor_purpose_check,
    add constraint sync_cursor_purpose_check
        check (purpose in ('run', 'members', 'periodic', 'reread', 'archived', 'walk'));

insert into hubspot_alias (workspace_id, portal_id, object_type, object_id, living_id, read_at)
select distinct on (o.workspace_id, o.portal_id, o.object_type, t.id::bigint)
    o.workspace_id, o.portal_id, o.object_type, t.id::bigint, o.object_id, o.read_at
from hubspot_object o, unnest(string_to_array(o.properties->>'hs_merged_object_ids', ';')) as t (id)
where t.id ~ '^[0-9]{1,18}$' and t.id::bigint <> o.object_id
order by 1, 2, 3, 4, o.modified_at desc;

-- Chains, to their ends: a record that was merged away may itself have taken in others. What leads in a
-- circle does not move.
do $$
begin
    for n in 1..16 loop
        update hubspot_alias a set living_id = b.living_id from hubspot_alias b
        where b.workspace_id = a.workspace_id and b.portal_id = a.portal_id and b.object_type = a.object_type
          and b.object_id = a.living_id and b.living_id <> a.object_id;
        exit when not found;
    end loop;
end $$;

-- What HubSpot no longer has under its old id.
update hubspot_object o set archived = true, merged_into = a.living_id, changed = mirror_change()
from hubspot_alias a
where a.workspace_id = o.workspace_id and a.portal_id = o.portal_id and a.object_type = o.object_type
  and a.object_id = o.object_id
  and not exists (select 1 from hubspot_alias b
    where b.workspace_id = a.workspace_id and b.portal_id = a.portal_id and b.object_type = a.object_type
      and b.object_id = a.living_id);

insert into reconcile_plan (workspace_id, portal_id, due_at)
select distinct workspace_id, portal_id, now() from last_read;
