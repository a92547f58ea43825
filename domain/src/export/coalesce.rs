//! Requests about one person that are pending at the same time are one export: it writes what the
//! person is now, whichever of them asked. Of several statuses only the newest is told (E7).

use super::{
    ExportCause, RequestId, RequestKind, SkipReason,
    policy::{Qualified, Standing, requalify},
};

/// A request that is pending, about one person; activities are not among them, each is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Which request.
    pub request: RequestId,
    /// Why it exists.
    pub kind: RequestKind,
    /// What it is judged by.
    pub cause: ExportCause,
}

/// What becomes of pending requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Together {
    /// The request that the export is made for: the one that may do most. None: there is no export.
    pub lead: Option<Pending>,
    /// Those that end as the export ends, the lead among them.
    pub with: Vec<RequestId>,
    /// Those that end now.
    pub ended: Vec<(RequestId, SkipReason)>,
    /// Those that wait until the person is exported.
    pub waiting: Vec<RequestId>,
}

/// Puts pending requests together, in the order in which they were accepted.
pub fn together(pending: &[Pending], standing: &Standing<'_>) -> Together {
    let mut result = Together::default();
    let newest_status = pending.iter().rposition(|p| p.kind == RequestKind::Status);
    let judged: Vec<(&Pending, Qualified)> = pending
        .iter()
        .enumerate()
        .filter_map(|(n, request)| {
            let older = request.kind == RequestKind::Status && Some(n) != newest_status;
            if older {
                result.ended.push((request.request, SkipReason::Superseded));
            }
            (!older).then(|| (request, requalify(request.kind, request.cause, standing)))
        })
        .collect();
    result.lead = judged
        .iter()
        .filter(|(_, qualified)| *qualified == Qualified::Yes)
        // Of equals the first one, so that every look at the same requests says the same.
        .rev()
        .max_by_key(|(request, _)| reach(request))
        .map(|(request, _)| **request);
    for (request, qualified) in judged {
        match qualified {
            // HubSpot has the person then, whoever asked for it.
            _ if result.lead.is_some() => result.with.push(request.request),
            Qualified::No(reason) => result.ended.push((request.request, reason)),
            Qualified::Waits | Qualified::Yes => result.waiting.push(request.request),
        }
    }
    result
}

/// How much a request may do beyond what others may.
const fn reach(request: &Pending) -> u8 {
    match (request.cause, request.kind) {
        (ExportCause::Manual { anew: true }, _) => 5,
        (ExportCause::Manual { anew: false }, _) => 4,
        (ExportCause::Bulk { .. }, _) => 3,
        (_, RequestKind::Policy) => 2,
        (_, RequestKind::FieldChange) => 1,
        _ => 0,
    }
}
