//! Lists: which of HubSpot's lists are an audience or a suppression list (I6).

use std::collections::BTreeSet;

use axum::{Router, extract::State, response::Response, routing::get};
use domain::{
    ObjectType,
    portal::ListId,
    settings::{FollowedList, ListUse, Settings, SettingsPath},
};
use maud::{Markup, html};
use serde::Deserialize;
use store::ListDetails;

use crate::{
    pages::{
        frame::{AfterDone, Width},
        guard::{Address, Sent, Visit},
        head::Head,
        parts::{Tone, day, empty, icon, notice, number, pill, section, when},
        picker::step_button,
        refused::Refused,
        routes,
        settings_form::{
            FieldError, Known, SettingsForm, Values, row_at, save, show, show_with, value,
        },
    },
    state::App,
};

/// The most lists that are looked through.
const LOOKED_THROUGH: u32 = 1_000;
/// The most lists without a use that stand on the page.
const SHOWN: usize = 200;
const OF_LIST: &str = "use-";
const FIND: &str = "find";
/// The longest text that is looked for.
const LONGEST: usize = 200;

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::LISTS, get(page).post(saved))
}

async fn page(
    State(app): State<App>,
    visit: Visit,
    Address(after): Address<AfterDone>,
    Address(asked): Address<Asked>,
) -> Result<Response, Refused> {
    if asked.find.is_empty() {
        return show::<Lists>(&app, &visit, after.done).await;
    }
    show_with::<Lists>(&app, &visit, |lists| lists.asked = cut(&asked.find)).await
}

/// What a member looks for, whose page has no form that saves.
#[derive(Default, Deserialize)]
struct Asked {
    #[serde(default)]
    find: String,
}

fn cut(words: &str) -> String {
    words.chars().take(LONGEST).collect()
}

async fn saved(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    save::<Lists>(&app, &visit, &sent).await
}

/// What the page needs.
struct Lists {
    lists: Vec<ListDetails>,
    more: bool,
    /// Those that the saved settings use.
    used: BTreeSet<ListId>,
    /// What is looked for among the rest.
    asked: String,
}

fn field(list: ListId) -> String {
    format!("{OF_LIST}{list}")
}

const fn use_name(of: ListUse) -> &'static str {
    match of {
        ListUse::Audience => "audience",
        ListUse::Suppression => "suppression",
    }
}

fn use_label(of: &str) -> &'static str {
    match of {
        "audience" => "Audience",
        "suppression" => "Suppression",
        _ => "—",
    }
}

const fn can_be_used(list: &ListDetails) -> bool {
    matches!(
        list.object_type,
        Some(ObjectType::Contact | ObjectType::Company)
    )
}

impl SettingsForm for Lists {
    const PATH: &'static str = routes::LISTS;
    const TITLE: &'static str = "Lists";
    const LEAD: &'static str = "HubSpot’s lists, and what the app uses them for. They are only read: nothing is written to HubSpot.";
    const WIDTH: Width = Width::Wide;
    const STEPS: bool = true;

    async fn load(app: &App, visit: &Visit, known: &Known) -> Result<Self, Refused> {
        let store = &app.parts()?.store;
        let mut lists = match store.connection(visit.workspace()).await? {
            Some(connection) => {
                store
                    .lists_after(
                        visit.workspace(),
                        connection.portal,
                        None,
                        LOOKED_THROUGH + 1,
                    )
                    .await?
            }
            None => Vec::new(),
        };
        let more = lists.len() > LOOKED_THROUGH as usize;
        lists.truncate(LOOKED_THROUGH as usize);
        lists.sort_by_key(|l| l.name.to_lowercase());
        let used = known.settings.lists.iter().map(|f| f.list).collect();
        Ok(Self {
            lists,
            more,
            used,
            asked: String::new(),
        })
    }

    fn values(&self, settings: &Settings) -> Values {
        let known = self.lists.iter().map(|l| (field(l.list), String::new()));
        let used = settings
            .lists
            .iter()
            .map(|f| (field(f.list), use_name(f.list_use).to_owned()));
        known.chain(used).collect()
    }

    fn apply(&self, values: &Values, settings: &mut Settings) -> Vec<FieldError> {
        let chosen = |name: &str| match value(values, name) {
            "audience" => Some(ListUse::Audience),
            "suppression" => Some(ListUse::Suppression),
            _ => None,
        };
        // What was there keeps its place.
        settings.lists.retain_mut(|followed| {
            let of = chosen(&field(followed.list));
            followed.list_use = of.unwrap_or(followed.list_use);
            of.is_some()
        });
        for name in values.keys() {
            let Some(list) = name.strip_prefix(OF_LIST).and_then(|id| id.parse().ok()) else {
                continue;
            };
            let list = ListId::new(list);
            if let Some(list_use) = chosen(name)
                && !settings.lists.iter().any(|f| f.list == list)
            {
                settings.lists.push(FollowedList { list, list_use });
            }
        }
        Vec::new()
    }

    fn label(&self, name: &str) -> String {
        let named = self.lists.iter().find(|l| field(l.list) == name);
        named.map_or_else(|| name.to_owned(), |l| l.name.clone())
    }

    fn shown(&self, _: &str, value: &str) -> String {
        use_label(value).to_owned()
    }

    fn field_at(&self, path: &SettingsPath, settings: &Settings) -> Option<String> {
        let (n, _) = row_at(path, "/lists")?;
        settings.lists.get(n).map(|followed| field(followed.list))
    }

    fn step(&mut self, _: &Known, _: &str, sent: &Sent, _: &mut Values) {
        self.asked = cut(sent.text(FIND));
    }

    fn on_enter(&self) -> Option<String> {
        Some(FIND.to_owned())
    }

    fn above(&self, visit: &Visit, _: &Head) -> Markup {
        html! {
            @if !visit.may_change() && !self.lists.is_empty() {
                form method="get" action=(Self::PATH) role="search" {
                    (self.search(&html! { button .btn { "Search" } }))
                }
            }
        }
    }

    fn fields(&self, visit: &Visit, head: &Head, values: &Values, _: &[FieldError]) -> Markup {
        let (used, rest): (Vec<_>, Vec<_>) = self
            .lists
            .iter()
            .partition(|l| !value(values, &field(l.list)).is_empty());
        // What was taken out of use stays on the page until that is saved.
        let (words, none) = (self.asked.to_lowercase(), rest.is_empty());
        let is_found = |l: &&ListDetails| {
            let name = l.name.to_lowercase();
            self.used.contains(&l.list) || words.split_whitespace().all(|word| name.contains(word))
        };
        let rest: Vec<_> = rest.into_iter().filter(is_found).collect();
        let unknown: Vec<(&String, &String)> = values
            .iter()
            .filter(|(name, of)| {
                !of.is_empty() && !self.lists.iter().any(|l| field(l.list) == **name)
            })
            .collect();
        html! {
            (section("used", "In use", "Members of a suppression list are never contacted. Members of an audience may be written to in campaigns.", &html! {
                @if used.is_empty() && unknown.is_empty() { (empty(None, "No list has a use yet. Choose one below.", None)) }
                @else { (table(head, &used, values)) }
                @for (name, of) in unknown {
                    div .notice .warn {
                        (icon::draw(icon::WARN))
                        div { p {
                            "List " (name.trim_start_matches(OF_LIST)) " is not known here (any more). "
                            label { "Used as " select name=(name) {
                                option value=(of) selected { (use_label(of)) }
                                option value="" { "—" }
                            } }
                        } }
                    }
                }
            }))
            (section("all", "All lists", "", &html! {
                @if !none && visit.may_change() {
                    div role="search" {
                        (self.search(&step_button(Self::PATH, FIND, "", FIND, &html! { "Search" }, None)))
                    }
                }
                @if none { (empty(None, "HubSpot has no other lists, or they were not read yet.", None)) }
                @else if rest.is_empty() { (empty(None, "No other list is called so.", None)) }
                @else { (table(head, &rest[..rest.len().min(SHOWN)], values)) }
                @if self.more || rest.len() > SHOWN {
                    (notice(Tone::Info, icon::WARN, &html! { p { "This portal has more lists than are shown here: " (number(self.lists.len() as u64)) @if self.more { " at least" } ". Any list can be given a use by its id through the API." } }, None))
                }
            }))
        }
    }
}

impl Lists {
    fn search(&self, button: &Markup) -> Markup {
        html! {
            div .row {
                label .sr for=(FIND) { "Name of a list" }
                input .input type="search" id=(FIND) name=(FIND) value=(self.asked) placeholder="Name of a list" autocomplete="off";
                (button)
            }
        }
    }
}

fn table(head: &Head, lists: &[&ListDetails], values: &Values) -> Markup {
    html! {
        table .table {
            caption .sr { "Lists" }
            thead { tr {
                th scope="col" { "List" } th scope="col" { "Of" } th scope="col" { "Kind" }
                th scope="col" .n { "Size" } th scope="col" { "Last change" } th scope="col" { "Used as" }
            } }
            tbody { @for list in lists { (row(head, list, values)) } }
        }
    }
}

fn row(head: &Head, list: &ListDetails, values: &Values) -> Markup {
    let name = field(list.list);
    let now = value(values, &name);
    let of = match list.object_type {
        Some(ObjectType::Contact) => "Contacts",
        Some(ObjectType::Company) => "Companies",
        _ => "Other records",
    };
    let kind = match list.processing_type.as_str() {
        "MANUAL" => "Static",
        "DYNAMIC" => "Dynamic",
        "SNAPSHOT" => "Snapshot",
        other => other,
    };
    html! {
        tr {
            th scope="row" {
                @match head.in_portal(&format!("/objectLists/{}", list.list)) {
                    Some(link) => { a href=(link) rel="noreferrer" { bdi { (list.name) } } }
                    None => { bdi { (list.name) } }
                }
                @if let Some(gone) = list.gone_at { span .sub { (pill(Tone::Warn, icon::WARN, "Gone in HubSpot")) " " (when(gone, head.now)) } }
                @if list.processing { span .sub { "HubSpot is computing it" } }
            }
            td data-l="Of" { (of) }
            td data-l="Kind" { (kind) }
            td data-l="Size" .n { @match list.size { Some(size) => { (number(size)) } None => { "—" } } }
            td data-l="Last change" { (last_change(head, list)) }
            td data-l="Used as" {
                @if can_be_used(list) || !now.is_empty() {
                    select name=(name) id=(name) aria-label={ "Use of " (list.name) } {
                        @for of in ["", "audience", "suppression"] { option value=(of) selected[of == now] { (use_label(of)) } }
                    }
                } @else { span .muted { "Neither of contacts nor of companies" } }
            }
        }
    }
}

/// Who came and left last, and when the members were read. Those of lists without a use are not.
fn last_change(head: &Head, list: &ListDetails) -> Markup {
    let Some(read_at) = list.members_read_at else {
        return html! { span .muted { "—" } };
    };
    html! {
        @match list.last_change {
            Some(change) => {
                span .nowrap {
                    span aria-hidden="true" { "+" (number(change.joined)) " −" (number(change.left)) }
                    span .sr { (number(change.joined)) " came, " (number(change.left)) " left" }
                    " " (day(change.at, head.now))
                }
            }
            None => { span .muted { "None yet" } }
        }
        span .sub { "Members read " (when(read_at, head.now)) }
    }
}
