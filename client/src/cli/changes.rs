//! What changed, as lines.

use client::Error;
use domain::{
    WorkspaceId,
    api::{ChangeItem, ChangeKind, ChangePage, ChangeWhat, PageCursor, PageLimit, WaitSeconds},
};
use futures::StreamExt as _;

use super::{
    args::Service,
    failure::Failure,
    output::clean,
    show::{print, print_json_line, tell},
};

/// Prints what changed since a cursor: what is there, or for ever.
pub(crate) async fn show(
    service: &Service,
    workspace: WorkspaceId,
    after: Option<PageCursor>,
    follow: bool,
    json: bool,
) -> Result<(), Failure> {
    let failed = |error: Error| Failure::of(service, error);
    if follow {
        let mut pages = Box::pin(service.client.follow_changes(workspace, after));
        while let Some(page) = pages.next().await {
            show_page(&page.map_err(failed)?, json)?;
        }
        return Ok(());
    }
    let mut after = after;
    loop {
        let page = service
            .client
            .changes(
                workspace,
                after.as_ref(),
                PageLimit::LARGEST,
                WaitSeconds::default(),
            )
            .await
            .map_err(failed)?;
        show_page(&page, json)?;
        if !page.more {
            if !json {
                tell(&format!("go on with --after {}", page.next.as_str()))?;
            }
            return Ok(());
        }
        after = Some(page.next);
    }
}

/// As JSON a page a line, so that items and cursor belong together.
fn show_page(page: &ChangePage, json: bool) -> Result<(), Failure> {
    if json {
        return print_json_line(page);
    }
    for item in &page.items {
        print(&line(item))?;
    }
    Ok(())
}

fn line(item: &ChangeItem) -> String {
    let kind = match item.kind {
        ChangeKind::Contact => "contact",
        ChangeKind::Company => "company",
        ChangeKind::Deal => "deal",
        ChangeKind::List => "list",
        ChangeKind::ListMember => "list_member",
        ChangeKind::Person => "person",
        ChangeKind::AppCompany => "app_company",
        ChangeKind::Verdict => "verdict",
        ChangeKind::Type => "type",
        ChangeKind::Other => "other",
    };
    let change = match item.change {
        ChangeWhat::Changed | ChangeWhat::Other => "changed",
        ChangeWhat::Archived => "archived",
        ChangeWhat::Merged => "merged",
        ChangeWhat::Gone => "gone",
        ChangeWhat::Erased => "erased",
        ChangeWhat::Added => "added",
        ChangeWhat::Removed => "removed",
    };
    let mut line = format!("{kind}\t{}\t{change}", clean(&item.id));
    if let Some(into) = &item.into {
        line.push_str(&format!("\tinto {}", clean(into)));
    }
    if let Some(list) = item.list {
        line.push_str(&format!("\tlist {list}"));
    }
    if let Some(list_use) = item.list_use {
        line.push('\t');
        line.push_str(super::lists::use_name(list_use));
    }
    line
}

#[cfg(test)]
mod tests {
    use domain::{portal::ListId, settings::ListUse};

    use super::*;

    #[test]
    fn a_line_has_kind_id_and_change_and_what_else_is_told() {
        let item = |kind, id: &str, change| ChangeItem::new(kind, id.to_owned(), change);
        let member = ChangeItem {
            list: Some(ListId::new(12)),
            list_use: Some(ListUse::Suppression),
            ..item(ChangeKind::ListMember, "7", ChangeWhat::Added)
        };
        for (item, want) in [
            (
                item(ChangeKind::Contact, "7", ChangeWhat::Archived),
                "contact\t7\tarchived",
            ),
            (
                item(ChangeKind::Other, "x\u{1b}[2J", ChangeWhat::Other),
                "other\tx [2J\tchanged",
            ),
            (
                ChangeItem {
                    into: Some("lead".to_owned()),
                    ..item(ChangeKind::Person, "p", ChangeWhat::Merged)
                },
                "person\tp\tmerged\tinto lead",
            ),
            (
                member.clone(),
                "list_member\t7\tadded\tlist 12\tsuppression",
            ),
            (
                ChangeItem {
                    list_use: None,
                    ..member
                },
                "list_member\t7\tadded\tlist 12",
            ),
        ] {
            assert_eq!(line(&item), want);
        }
    }
}
