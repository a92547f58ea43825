//! Team members, and HubSpot's owners, as they are listed (E6).

use domain::{
    api::{OwnerAnswer, OwnerMapping},
    app::Member,
};

use super::show::Row;

impl Row for Member {
    const HEAD: &'static str = "id\tstate\temail\tname";

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            if self.is_active() {
                "active"
            } else {
                "inactive"
            }
            .to_owned(),
            self.email
                .as_ref()
                .map(|e| e.as_str().to_owned())
                .unwrap_or_default(),
            self.name.clone().unwrap_or_default(),
        ]
    }
}

impl Row for OwnerAnswer {
    const HEAD: &'static str = "owner\tstate\tmapping\tmember\twrites for\temail\tname";

    fn cells(&self) -> Vec<String> {
        let writes_for: Vec<&str> = self.writes_for.iter().map(|m| m.as_str()).collect();
        let mapping = match (self.mapping, self.fallback) {
            (_, true) => "fallback",
            (OwnerMapping::Email, _) => "email",
            (OwnerMapping::Hand, _) => "hand",
            (OwnerMapping::None, _) => "none",
        };
        vec![
            self.owner.to_string(),
            if self.archived {
                "deactivated"
            } else {
                "active"
            }
            .to_owned(),
            mapping.to_owned(),
            self.member
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            writes_for.join(","),
            self.email.clone().unwrap_or_default(),
            self.name.clone().unwrap_or_default(),
        ]
    }
}
