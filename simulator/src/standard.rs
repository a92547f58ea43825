//! The properties and groups that every portal has.

use std::collections::BTreeMap;

use crate::model::{Group, Kind, Property, PropertyOption};

/// 2019-08-06, when the first definitions of a portal are said to be made.
const MADE: i64 = 1_565_059_268_304;

const LIFECYCLE: &str = "subscriber:Subscriber,lead:Lead,marketingqualifiedlead:Marketing Qualified Lead,\
salesqualifiedlead:Sales Qualified Lead,opportunity:Opportunity,customer:Customer,evangelist:Evangelist,other:Other";

const DISPOSITIONS: &str = "9d9162e7-6cf3-4944-bf63-4dff82258764:Busy,\
f240bbac-87c9-4f6e-bf70-924b57d47db7:Connected,\
a4c4c377-d246-4b32-a13b-75a56a4cd0ff:Left live message,\
b2cf5968-551e-4856-9783-52b3da59a7d0:Left voicemail,\
73a0d17f-1163-4015-bdd5-ec830791da20:No answer,\
17b47fee-58de-441e-a44c-c6300d46f273:Wrong number";

/// `name | type | field type | flags | label | options`.
///
/// Flags: `r` the value cannot be set, `c` calculated, `x` options live elsewhere, `h` hidden, `f` in
/// forms. Options are `value:label`, or a name in capitals that stands for a longer list.
const EVERY: &str = "
hs_object_id|number|number|r|Record ID
hs_merged_object_ids|enumeration|checkbox|rxh|Merged record IDs
hs_object_source|string|text|rh|Record source
hs_object_source_id|string|text|rh|Record source ID
hs_object_source_label|string|text|r|Record source
hs_unique_creation_key|string|text|rh|Unique creation key
hubspot_owner_id|enumeration|select|x|Owner
hubspot_owner_assigneddate|datetime|date|r|Owner assigned date
hs_all_owner_ids|enumeration|checkbox|rxh|All owner ids
hs_created_by_user_id|number|number|rh|Created by user ID
hs_updated_by_user_id|number|number|rh|Updated by user ID
";

const CONTACT: &str = "
lastmodifieddate|datetime|date|r|Last Modified Date
createdate|datetime|date|r|Create Date
email|string|text|f|Email
hs_additional_emails|enumeration|checkbox|x|Additional email addresses
firstname|string|text|f|First Name
lastname|string|text|f|Last Name
jobtitle|string|text|f|Job Title
salutation|string|text|f|Salutation
phone|string|phonenumber|f|Phone Number
mobilephone|string|phonenumber|f|Mobile Phone Number
company|string|text|f|Company Name
website|string|text|f|Website URL
address|string|text|f|Street Address
city|string|text|f|City
state|string|text|f|State/Region
zip|string|text|f|Postal Code
country|string|text|f|Country/Region
industry|string|text|f|Industry
message|string|textarea|f|Message
hs_linkedin_url|string|text|f|LinkedIn URL
hs_timezone|string|text||Time Zone
hs_language|string|text|f|Preferred language
lifecyclestage|enumeration|radio|f|Lifecycle Stage|LIFECYCLE
hs_lead_status|enumeration|radio|f|Lead Status|NEW:New,OPEN:Open,IN_PROGRESS:In Progress,OPEN_DEAL:Open Deal,UNQUALIFIED:Unqualified,ATTEMPTED_TO_CONTACT:Attempted to Contact,CONNECTED:Connected,BAD_TIMING:Bad Timing
hs_buying_role|enumeration|checkbox|f|Buying Role|BLOCKER:Blocker,BUDGET_HOLDER:Budget Holder,CHAMPION:Champion,DECISION_MAKER:Decision Maker,END_USER:End User,EXECUTIVE_SPONSOR:Executive Sponsor,INFLUENCER:Influencer,LEGAL_AND_COMPLIANCE:Legal & Compliance,OTHER:Other
hs_email_optout|bool|booleancheckbox|r|Unsubscribed from all email|true:Yes,false:No
hs_email_bounce|number|number|r|Marketing emails bounced
hs_email_hard_bounce_reason_enum|enumeration|select|r|Email hard bounce reason|OTHER:Other,UNKNOWN_USER:Unknown user
hs_sales_email_last_replied|datetime|date|r|Recent Sales Email Replied Date
hs_calculated_merged_vids|enumeration|checkbox|rxh|Merged vids with timestamps of a contact
hs_all_contact_vids|enumeration|checkbox|rxh|All vids for a contact
hs_email_domain|string|text|r|Email Domain
hs_full_name_or_email|string|calculation_equation|rch|Full name or email
hs_is_contact|bool|booleancheckbox|rh|Is a contact|true:True,false:False
hs_is_unworked|bool|calculation_equation|rc|Contact unworked|true:True,false:False
hs_lifecyclestage_lead_date|datetime|date|r|Became a Lead Date
hs_pipeline|enumeration|select|xh|Pipeline
hs_associated_target_accounts|number|calculation_rollup|rh|Associated Target Accounts
hs_currently_enrolled_in_prospecting_agent|bool|booleancheckbox|rh|Currently enrolled in prospecting agent|true:True,false:False
hs_membership_has_accessed_private_content|number|number|rh|Has Accessed Private Content
hs_prospecting_agent_actively_enrolled_count|number|number|rh|Prospecting agent actively enrolled count
hs_prospecting_agent_total_enrolled_count|number|number|rh|Prospecting agent total enrolled count
hs_registered_member|number|number|rh|Registered member
hs_sequences_actively_enrolled_count|number|number|r|Number of sequences actively enrolled
associatedcompanyid|number|number|xh|Primary Associated Company ID
num_notes|number|number|r|Number of Sales Activities
num_associated_deals|number|number|rc|Number of Associated Deals
notes_last_contacted|datetime|date|r|Last Contacted
notes_last_updated|datetime|date|r|Last Activity Date
notes_next_activity_date|datetime|date|r|Next Activity Date
hs_last_sales_activity_timestamp|datetime|date|r|Last Engagement Date
hubspotscore|number|calculation_score|r|HubSpot Score
date_of_birth|string|text|f|Date of birth
closedate|datetime|date||Close Date
hs_marketable_status|enumeration|select||Marketing contact status|true:Marketing contact,false:Non-marketing contact
hs_legal_basis|enumeration|checkbox|f|Legal basis for processing contact's data|Legitimate interest – prospect/lead:Legitimate interest – prospect/lead,Legitimate interest – existing customer:Legitimate interest – existing customer,Legitimate interest - other:Legitimate interest - other,Performance of a contract:Performance of a contract,Freely given consent from contact:Freely given consent from contact,Not applicable:Not applicable
";

const COMPANY: &str = "
hs_lastmodifieddate|datetime|date|r|Last Modified Date
createdate|datetime|date|r|Create Date
name|string|text|f|Company name
domain|string|text|f|Company Domain Name
hs_additional_domains|enumeration|checkbox|x|Additional Domains
website|string|text|f|Website URL
industry|string|text|f|Industry
phone|string|phonenumber|f|Phone Number
address|string|text|f|Street Address
city|string|text|f|City
state|string|text|f|State/Region
zip|string|text|f|Postal Code
country|string|text|f|Country/Region
description|string|textarea|f|Description
about_us|string|textarea|f|About Us
timezone|string|text|f|Time Zone
linkedin_company_page|string|text|f|LinkedIn Company Page
numberofemployees|number|number|f|Number of Employees
annualrevenue|number|number|f|Annual Revenue
type|enumeration|radio|f|Type|PROSPECT:Prospect,PARTNER:Partner,RESELLER:Reseller,VENDOR:Vendor,OTHER:Other
lifecyclestage|enumeration|radio|f|Lifecycle Stage|LIFECYCLE
hs_lead_status|enumeration|radio|f|Lead Status|NEW:New,OPEN:Open,IN_PROGRESS:In Progress,OPEN_DEAL:Open Deal,UNQUALIFIED:Unqualified,ATTEMPTED_TO_CONTACT:Attempted to Contact,CONNECTED:Connected,BAD_TIMING:Bad Timing
num_associated_contacts|number|number|rc|Number of Associated Contacts
num_associated_deals|number|number|rc|Number of Associated Deals
num_notes|number|number|r|Number of Sales Activities
notes_last_contacted|datetime|date|r|Last Contacted
notes_last_updated|datetime|date|r|Last Activity Date
notes_next_activity_date|datetime|date|r|Next Activity Date
hs_parent_company_id|number|number|x|Parent Company
";

const DEAL: &str = "
hs_lastmodifieddate|datetime|date|r|Last Modified Date
createdate|datetime|date|r|Create Date
dealname|string|text||Deal Name
dealstage|enumeration|radio|x|Deal Stage
pipeline|enumeration|select|x|Pipeline
amount|number|number||Amount
closedate|datetime|date||Close Date
dealtype|enumeration|radio||Deal Type|newbusiness:New Business,existingbusiness:Existing Business
description|string|textarea||Deal Description
hs_priority|enumeration|select||Priority|low:Low,medium:Medium,high:High
hs_is_closed|bool|calculation_equation|rc|Is Deal Closed?|true:True,false:False
hs_is_closed_won|bool|calculation_equation|rc|Is Closed Won|true:True,false:False
num_associated_contacts|number|number|rc|Number of Associated Contacts
num_notes|number|number|r|Number of Sales Activities
notes_last_contacted|datetime|date|r|Last Contacted
notes_last_updated|datetime|date|r|Last Activity Date
notes_next_activity_date|datetime|date|r|Next Activity Date
";

const TICKET: &str = "
hs_lastmodifieddate|datetime|date|r|Last Modified Date
createdate|datetime|date|r|Create Date
subject|string|text|f|Ticket name
content|string|textarea|f|Ticket description
hs_pipeline|enumeration|select|x|Pipeline
hs_pipeline_stage|enumeration|select|x|Ticket status
hs_ticket_category|enumeration|checkbox|f|Category|PRODUCT_ISSUE:Product Issue,BILLING_ISSUE:Billing Issue,FEATURE_REQUEST:Feature Request,GENERAL_INQUIRY:General Inquiry
hs_ticket_priority|enumeration|select|f|Priority|LOW:Low,MEDIUM:Medium,HIGH:High,URGENT:Urgent
num_notes|number|number|r|Number of Sales Activities
notes_last_contacted|datetime|date|r|Last Contacted
notes_last_updated|datetime|date|r|Last Activity Date
";

const ENGAGEMENT: &str = "
hs_createdate|datetime|date|r|Create date
hs_lastmodifieddate|datetime|date|r|Last modified date
hs_timestamp|datetime|date||Activity date
hs_attachment_ids|enumeration|checkbox|x|Attached file IDs
hs_body_preview|string|textarea|rh|Body preview
hs_engagement_source|string|text|rh|Source
hs_engagement_source_id|string|text|rh|Source id
";

const EMAIL: &str = "
hs_email_direction|enumeration|select||Email direction|EMAIL:Email,INCOMING_EMAIL:Incoming email,FORWARDED_EMAIL:Forwarded email
hs_email_status|enumeration|select||Email send status|BOUNCED:Bounced,FAILED:Failed,SCHEDULED:Scheduled,SENDING:Sending,SENT:Sent
hs_email_subject|string|text||Email subject
hs_email_html|string|html||Email body HTML
hs_email_text|string|textarea||Email body
hs_email_headers|string|textarea||Email headers
hs_email_from_email|string|text|r|Email from address
hs_email_from_firstname|string|text|r|Email from first name
hs_email_from_lastname|string|text|r|Email from last name
hs_email_to_email|string|text|r|Email to address
hs_email_to_firstname|string|text|r|Email to first name
hs_email_to_lastname|string|text|r|Email to last name
hs_email_cc_email|string|text|r|Email cc address
hs_email_bcc_email|string|text|r|Email bcc address
hs_email_sender_email|string|text|r|Email sender address
";

const CALL: &str = "
hs_call_title|string|text||Call Title
hs_call_body|string|html||Call notes
hs_call_direction|enumeration|select||Call direction|INBOUND:Inbound,OUTBOUND:Outbound
hs_call_duration|number|number||Call duration
hs_call_from_number|string|text||From Number
hs_call_to_number|string|text||To Number
hs_call_recording_url|string|text||Recording URL
hs_call_status|enumeration|select||Call status|BUSY:Busy,CALLING_CRM_USER:Calling CRM User,CANCELED:Canceled,COMPLETED:Completed,CONNECTING:Connecting,FAILED:Failed,IN_PROGRESS:In Progress,MISSED:Missed,NO_ANSWER:No Answer,QUEUED:Queued,RINGING:Ringing
hs_call_disposition|enumeration|select||Call outcome|DISPOSITIONS
hs_call_source|string|text||Call Source
";

const MEETING: &str = "
hs_meeting_title|string|text||Meeting name
hs_meeting_body|string|html||Meeting description
hs_meeting_location|string|text||Meeting location
hs_meeting_external_url|string|text||External URL
hs_meeting_start_time|datetime|date||Meeting start time
hs_meeting_end_time|datetime|date||Meeting end time
hs_meeting_outcome|enumeration|select||Meeting outcome|SCHEDULED:Scheduled,COMPLETED:Completed,RESCHEDULED:Rescheduled,NO_SHOW:No Show,CANCELED:Canceled,CANCELLED:Cancelled
hs_internal_meeting_notes|string|html||Internal meeting notes
";

const NOTE: &str = "
hs_note_body|string|html||Note body
";

const TASK: &str = "
hs_task_subject|string|text||Task Title
hs_task_body|string|html||Task Notes
hs_task_status|enumeration|select||Task Status|COMPLETED:Completed,DEFERRED:Deferred,IN_PROGRESS:In Progress,NOT_STARTED:Not Started,WAITING:Waiting
hs_task_priority|enumeration|select||Priority|NONE:None,LOW:Low,MEDIUM:Medium,HIGH:High
hs_task_type|enumeration|select||Task Type|EMAIL:Email,CALL:Call,TODO:To Do
hs_task_reminders|enumeration|checkbox|x|Reminders
";

const COMMUNICATION: &str = "
hs_communication_channel_type|enumeration|select||Channel Type|WHATS_APP:WhatsApp,LINKEDIN_MESSAGE:LinkedIn message,SMS:SMS
hs_communication_logged_from|enumeration|select||Logged from|CRM:CRM
hs_communication_body|string|html||Body
";

fn options(text: &str) -> Vec<PropertyOption> {
    let text = match text {
        "LIFECYCLE" => LIFECYCLE,
        "DISPOSITIONS" => DISPOSITIONS,
        text => text,
    };
    text.split(',')
        .filter_map(|pair| pair.split_once(':'))
        .enumerate()
        .map(|(place, (value, label))| PropertyOption {
            label: label.to_owned(),
            value: value.to_owned(),
            description: None,
            display_order: place as i64,
            hidden: false,
        })
        .collect()
}

/// The group of HubSpot's own properties.
const fn group(kind: Kind) -> &'static str {
    match kind {
        Kind::Contact => "contactinformation",
        Kind::Company => "companyinformation",
        Kind::Deal => "dealinformation",
        Kind::Ticket => "ticketinformation",
        Kind::Email => "email",
        Kind::Call => "call",
        Kind::Meeting => "meeting",
        Kind::Note => "note",
        Kind::Task => "task",
        Kind::Communication => "communication",
    }
}

/// The groups that are there from the start.
pub(crate) fn groups(kind: Kind) -> BTreeMap<String, Group> {
    let mut names = vec![(group(kind), kind.singular().to_owned() + " information")];
    match kind {
        Kind::Contact => names.push(("sales_properties", "Sales properties".to_owned())),
        Kind::Deal => names.push(("deal_activity", "Deal activity".to_owned())),
        Kind::Company => names.push(("companylifecycle", "Company lifecycle".to_owned())),
        kind if kind.is_engagement() => {
            names.push(("engagement", "Engagement information".to_owned()));
        }
        _ => {}
    }
    names
        .into_iter()
        .enumerate()
        .map(|(place, (name, label))| {
            let group = Group {
                label,
                display_order: place as i64,
                archived: false,
            };
            (name.to_owned(), group)
        })
        .collect()
}

/// The properties that every portal has.
pub(crate) fn properties(kind: Kind) -> Vec<Property> {
    let own = match kind {
        Kind::Contact => CONTACT,
        Kind::Company => COMPANY,
        Kind::Deal => DEAL,
        Kind::Ticket => TICKET,
        Kind::Email => EMAIL,
        Kind::Call => CALL,
        Kind::Meeting => MEETING,
        Kind::Note => NOTE,
        Kind::Task => TASK,
        Kind::Communication => COMMUNICATION,
    };
    let shared = if kind.is_engagement() { ENGAGEMENT } else { "" };
    [EVERY, shared, own]
        .iter()
        .flat_map(|table| table.lines())
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut part = line.split('|');
            let mut next = || part.next().unwrap_or_default();
            let (name, value, field, flags, label) = (next(), next(), next(), next(), next());
            Property {
                name: name.to_owned(),
                label: label.to_owned(),
                kind: value.to_owned(),
                field_type: field.to_owned(),
                group_name: group(kind).to_owned(),
                description: String::new(),
                options: options(next()),
                display_order: -1,
                has_unique_value: false,
                hidden: flags.contains('h'),
                form_field: flags.contains('f'),
                calculated: flags.contains('c'),
                external_options: flags.contains('x'),
                read_only: flags.contains('r'),
                hubspot_defined: true,
                created: MADE,
                updated: MADE,
                archived_at: None,
            }
        })
        .collect()
}
