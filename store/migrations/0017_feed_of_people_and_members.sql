-- People of the app who are gone, and members of lists, in the feed of changes (I3, I6).

-- A tombstone of a person of the app has the app's id; its `object_id` is a negative number of its own
-- then, which no record has.
create sequence change_tombstone_of_person;
alter table change_tombstone add column app_id text collate "C" not null default '';
create index change_tombstone_in_order on change_tombstone
    (workspace_id, portal_id, changed, object_type, object_id, app_id);
drop index change_tombstone_by_change;

-- `- 0`, as `+ 0` is in the index by object: without statistics that one would be read whole and sorted.
create index hubspot_list_member_in_order on hubspot_list_member
    (uuid_hash(workspace_id), (portal_id - 0), changed, (list_id + 0), (object_id + 0));
drop index hubspot_list_member_by_change;
