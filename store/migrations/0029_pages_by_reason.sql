-- Activities that are not in HubSpot are counted and listed by the reason, as requests are.
create index app_activity_by_reason on app_activity (workspace_id, state, reason, turned_at)
    where state <> 'exported';

-- The pages look which kinds of things were ever done.
create index page_event_by_kind on page_event (workspace_id, kind);
