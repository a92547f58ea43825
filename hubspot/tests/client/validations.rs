//! Rules of the portal about its properties, as the simulator tells them.

use hubspot::{
    Error, ObjectType,
    objects::CreateInput,
    validations::{PropertyRule, Required},
};
use serde_json::json;

use crate::support::Portal;

#[tokio::test]
async fn rules_of_the_portal_are_read() {
    let portal = Portal::new(json!({
        "required_properties": {"contacts": ["city"]},
        "conditional_properties": {"contacts": [
            {"property": "country", "values": ["DE"], "required": ["zip"]},
            {"property": "phone", "required": ["zip"]},
        ]},
    }))
    .await;
    let rules = portal.client.validations();
    let when = |property: &str, values: &[&str]| PropertyRule {
        property: "zip".to_owned(),
        required: Required::When {
            property: property.to_owned(),
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        },
    };
    let city = PropertyRule {
        property: "city".to_owned(),
        required: Required::Always,
    };
    assert_eq!(
        rules.required(ObjectType::Contact).await.unwrap(),
        [city, when("country", &["DE"]), when("phone", &[])]
    );
    assert_eq!(rules.required(ObjectType::Company).await.unwrap(), []);
    // They hold.
    let refused = portal
        .client
        .objects()
        .create(
            ObjectType::Contact,
            &CreateInput::new([("email", "a@example.com")]),
        )
        .await;
    assert!(
        matches!(&refused, Err(Error::PortalRule { problems, .. })
            if problems[0].property.as_deref() == Some("city")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_portal_that_does_not_tell_has_not_said_that_there_are_none() {
    let portal = Portal::new(json!({})).await;
    for (body, wanted) in [
        (json!({"category": "MISSING_SCOPES"}), 403),
        (json!({"category": "OBJECT_NOT_FOUND"}), 404),
    ] {
        portal
            .fault(json!({
                "path": "/property-validations/", "times": 1,
                "effect": {"status": {"status": wanted, "category": body["category"], "message": "no"}},
            }))
            .await;
        let answer = portal
            .client
            .validations()
            .required(ObjectType::Contact)
            .await;
        assert!(
            matches!(
                answer,
                Err(Error::ScopeMissing { .. } | Error::Forbidden { .. } | Error::NotFound)
            ),
            "{answer:?}"
        );
    }
}
