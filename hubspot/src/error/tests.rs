//! Classes, codes and names.

use super::{body::classify, *};

#[test]
fn classes() {
    let table: Vec<(u16, &str, bool, ErrorClass)> = vec![
        (500, "<html>", false, ErrorClass::Transient),
        (502, "<html>", true, ErrorClass::OutcomeUnknown),
        (423, "{}", true, ErrorClass::Transient),
        (
            404,
            r#"{"message":"resource not found"}"#,
            false,
            ErrorClass::NotFound,
        ),
        (401, "{}", false, ErrorClass::Transient),
        (
            403,
            r#"{"category":"MISSING_SCOPES"}"#,
            false,
            ErrorClass::ScopeMissing,
        ),
        (403, "{}", false, ErrorClass::Forbidden),
        (
            429,
            r#"{"errorType":"RATE_LIMIT"}"#,
            true,
            ErrorClass::RateLimited,
        ),
        (400, "not json", false, ErrorClass::Invalid),
        (400, "<html>", false, ErrorClass::Transient),
        (400, " <!DOCTYPE html>", true, ErrorClass::Transient),
        (400, "not json", true, ErrorClass::Invalid),
        (414, "<html>URI too long", false, ErrorClass::Invalid),
        (477, "{}", true, ErrorClass::Transient),
        (408, "", true, ErrorClass::OutcomeUnknown),
        (521, "<html>", false, ErrorClass::Transient),
        (524, "<html>", true, ErrorClass::OutcomeUnknown),
        (302, "", false, ErrorClass::Transient),
        // Only HubSpot can say that there is no such record.
        (404, "", false, ErrorClass::NotFound),
        (404, "<html>not here", false, ErrorClass::Transient),
        (403, "<html>blocked", false, ErrorClass::Transient),
        (
            409,
            r#"{"category":"CONFLICT"}"#,
            true,
            ErrorClass::Conflict,
        ),
        (
            400,
            r#"{"errors":[{"code":"CONFLICTING_UNIQUE_VALUE","context":{"propertyName":["key"]}}]}"#,
            true,
            ErrorClass::Conflict,
        ),
        (
            400,
            r#"{"errors":[{"code":"CONFLICTING_UNIQUE_VALUE"},{"code":"INVALID_OPTION"}]}"#,
            true,
            ErrorClass::Invalid,
        ),
    ];
    for (status, body, write, class) in table {
        assert_eq!(
            classify(status, None, body.as_bytes(), write).class(),
            class,
            "{status} {body}"
        );
    }
}

#[test]
fn a_429_names_its_limit() {
    let table = [
        (
            r#"{"policyName":"TEN_SECONDLY_ROLLING"}"#,
            RatePolicy::TenSecondly,
        ),
        (r#"{"policyName":"SECONDLY"}"#, RatePolicy::Secondly),
        (r#"{"policyName":"DAILY"}"#, RatePolicy::Daily),
        (
            r#"{"errorType":"RATE_LIMIT"}"#,
            RatePolicy::Other(Some("RATE_LIMIT".to_owned())),
        ),
        ("<html>", RatePolicy::Other(None)),
    ];
    for (body, want) in table {
        let after = Some(Duration::from_secs(3));
        let Error::RateLimited {
            policy,
            retry_after,
        } = classify(429, after, body.as_bytes(), true)
        else {
            panic!("not a rate limit: {body}");
        };
        assert_eq!((policy, retry_after), (want, after));
    }
}

#[test]
fn a_477_says_when_to_come_back() {
    let after = Some(Duration::from_secs(86_400));
    let error = classify(477, after, b"{}", true);
    assert!(matches!(error, Error::Transient { retry_after, .. } if retry_after == after));
}

#[test]
fn a_refusal_names_properties_and_codes() {
    let with_errors = r#"{"category":"VALIDATION_ERROR","errors":[
        {"code":"INVALID_OPTION","context":{"propertyName":["hs_lead_status"]}},
        {"code":"NEW_CODE"}]}"#;
    let in_text = r#"{"message":"Property values were not valid: [{\"isValid\":false,\"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]"}"#;
    for (body, want) in [
        (
            with_errors,
            vec![
                FieldProblem {
                    property: None,
                    code: FieldCode::Other("NEW_CODE".to_owned()),
                },
                FieldProblem {
                    property: Some("hs_lead_status".to_owned()),
                    code: FieldCode::InvalidOption,
                },
            ],
        ),
        (
            in_text,
            vec![FieldProblem {
                property: Some("email".to_owned()),
                code: FieldCode::InvalidEmail,
            }],
        ),
    ] {
        let Error::Invalid { problems, .. } = classify(400, None, body.as_bytes(), true) else {
            panic!("not refused");
        };
        assert_eq!(problems, want);
    }
}

#[test]
fn a_conflict_names_the_record_that_is_there() {
    for body in [
        r#"{"message":"Contact already exists. Existing ID: 37765128953","category":"CONFLICT"}"#,
        r#"{"context":{"existingId":["37765128953"]}}"#,
    ] {
        let Error::Conflict { existing, .. } = classify(409, None, body.as_bytes(), true) else {
            panic!("not a conflict");
        };
        assert_eq!(existing, Some(RecordId::new(37_765_128_953)));
    }
}

#[test]
fn hubspots_text_is_shown_nowhere() {
    let body = r#"{"message":"Email address a@b.bad is invalid","correlationId":"c-1"}"#;
    let error = classify(400, None, body.as_bytes(), true);
    assert!(!format!("{error} {error:?}").contains("a@b.bad"));
    assert_eq!(
        error.detail().unwrap().expose(),
        "Email address a@b.bad is invalid"
    );
}

fn refused(status: u16, body: &str) -> Error {
    classify(status, None, body.as_bytes(), false)
}

#[test]
fn a_403_names_its_scopes_or_is_of_another_kind() {
    for body in [
        r#"{"category":"MISSING_SCOPES","errors":[{"context":{"requiredGranularScopes":["a","b"]}}]}"#,
        r#"{"category":"MISSING_SCOPES","context":{"requiredGranularScopes":["a","b"]}}"#,
        r#"{"message":"x","errors":[{"context":{"requiredScopes":["a","b"]}}]}"#,
        r#"{"context":{"requiredScopes":["a","b"]}}"#,
    ] {
        let Error::ScopeMissing { scopes } = refused(403, body) else {
            panic!("{body}");
        };
        assert_eq!(scopes, ["a", "b"], "{body}");
    }
    assert_eq!(
        refused(403, r#"{"category":"MISSING_SCOPES"}"#),
        Error::ScopeMissing { scopes: Vec::new() }
    );
    for body in ["{}", r#"{"category":"FORBIDDEN","context":null}"#, ""] {
        assert!(matches!(refused(403, body), Error::Forbidden { .. }));
    }
}

#[test]
fn a_limit_of_the_portal_is_no_trouble_that_passes() {
    let error = refused(437, r#"{"category":"LIMIT_EXCEEDED"}"#);
    assert!(matches!(error, Error::Invalid { status: 437, .. }));
    assert_eq!(error.class(), ErrorClass::Invalid);
}

#[test]
fn a_rule_of_the_portal_names_the_property() {
    for code in [
        "MISSING_REQUIRED_PROPERTY",
        "MISSING_CONDITIONAL_REQUIRED_PROPERTY",
    ] {
        let body = format!(
            r#"{{"category":"VALIDATION_ERROR","errors":[{{"code":"{code}","context":{{"propertyName":["p","q"]}}}}]}}"#
        );
        let error = refused(400, &body);
        assert_eq!(error.class(), ErrorClass::PortalRule);
        assert!(error.to_string().ends_with(": p, q"), "{error}");
    }
    let mixed = r#"{"errors":[{"code":"MISSING_REQUIRED_PROPERTY"},{"code":"INVALID_OPTION"}]}"#;
    assert_eq!(refused(400, mixed).class(), ErrorClass::Invalid);
}

#[test]
fn a_name_at_the_top_level_keeps_its_code() {
    let problem = |property: &str, code: FieldCode| FieldProblem {
        property: Some(property.to_owned()),
        code,
    };
    for (body, want) in [
        (
            r#"{"code":"INVALID_OPTION","context":{"propertyName":["p"]}}"#,
            problem("p", FieldCode::InvalidOption),
        ),
        (
            r#"{"errors":[{"code":"READ_ONLY_VALUE"}],"context":{"propertyName":"p"}}"#,
            problem("p", FieldCode::ReadOnlyValue),
        ),
        (
            r#"{"category":"VALIDATION_ERROR","subCategory":"crm.PROPERTY_DOESNT_EXIST","errors":null,"context":{"propertyName":["p"]}}"#,
            problem("p", FieldCode::PropertyDoesntExist),
        ),
        (
            r#"{"category":"VALIDATION_ERROR","errors":[null,7],"context":{"propertyName":["p"]}}"#,
            problem("p", FieldCode::Other("VALIDATION_ERROR".to_owned())),
        ),
    ] {
        let Error::Invalid { problems, .. } = refused(400, body) else {
            panic!("{body}");
        };
        assert_eq!(problems, [want], "{body}");
    }
}

#[test]
fn a_refused_property_is_found_wherever_hubspot_names_it() {
    let problem = |property: &str, code: FieldCode| FieldProblem {
        property: Some(property.to_owned()),
        code,
    };
    let list = r#"[{\"isValid\":false,\"message\":\"no\",\"name\":\"p\"},{\"error\":\"INVALID_DATE\",\"name\":\"q\",\"more\":7}]"#;
    for (body, want) in [
        (
            r#"{"errors":[{"message":"no","in":"p","code":"INVALID_OPTION"}]}"#.to_owned(),
            vec![problem("p", FieldCode::InvalidOption)],
        ),
        (
            r#"{"category":"VALIDATION_ERROR","errors":[{"message":"no","in":"p"}]}"#.to_owned(),
            vec![problem("p", FieldCode::Other("VALIDATION_ERROR".to_owned()))],
        ),
        (
            r#"{"errors":[{"subCategory":"crm.READ_ONLY_VALUE","context":{"propertyName":["p"]}}]}"#
                .to_owned(),
            vec![problem("p", FieldCode::ReadOnlyValue)],
        ),
        (
            format!(r#"{{"message":"Property values were not valid: {list} (2 problems)"}}"#),
            vec![
                problem("p", FieldCode::Other(String::new())),
                problem("q", FieldCode::InvalidDate),
            ],
        ),
    ] {
        let Error::Invalid { problems, .. } = refused(400, &body) else {
            panic!("{body}");
        };
        assert_eq!(problems, want, "{body}");
    }
}

#[test]
fn a_rule_of_the_portal_names_what_asks() {
    let body = r#"{"category":"VALIDATION_ERROR","errors":[{"code":"MISSING_CONDITIONAL_REQUIRED_PROPERTY",
        "message":"`fax` is required because of a conditional property rule based on [`jobtitle`, city]",
        "context":{"propertyName":["fax"]}}]}"#;
    let Error::PortalRule { because_of, .. } = refused(400, body) else {
        panic!("another class");
    };
    assert_eq!(because_of, ["city", "jobtitle"]);
}

#[test]
fn an_erased_address_is_told_from_a_wrong_one() {
    let of = |text: &str| {
        let body = format!(
            r#"{{"errors":[{{"message":"{text}","code":"INVALID_EMAIL","context":{{"propertyName":["email"]}}}}]}}"#
        );
        let Error::Invalid { mut problems, .. } = refused(400, &body) else {
            panic!("{text}");
        };
        problems.remove(0).code
    };
    assert_eq!(
        of("Email address a@b.com is GDPR blacklisted"),
        FieldCode::ErasedAddress
    );
    for wrong in [
        "Email address a@b.bad is invalid",
        "Email address blacklisted@b.bad is invalid",
    ] {
        assert_eq!(of(wrong), FieldCode::InvalidEmail, "{wrong}");
    }
    let bare = r#"{"message":"Email address a@b.com is GDPR blacklisted"}"#;
    let Error::Invalid { problems, .. } = refused(400, bare) else {
        panic!("another class");
    };
    assert_eq!(problems[0].code, FieldCode::ErasedAddress);
    assert_eq!(problems[0].property.as_deref(), Some("email"));
}

#[test]
fn an_item_of_a_limit_is_no_refusal() {
    for body in [
        r#"{"status":"error","category":"RATE_LIMITS"}"#,
        r#"{"status":"error","category":"RATE_LIMIT","policyName":"SECONDLY"}"#,
        r#"{"status":"error","errorType":"RATE_LIMIT"}"#,
    ] {
        let item: ErrorBody = serde_json::from_str(body).unwrap();
        assert_eq!(
            item.into_item().error.class(),
            ErrorClass::RateLimited,
            "{body}"
        );
    }
}
