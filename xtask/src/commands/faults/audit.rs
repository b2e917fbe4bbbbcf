//! The audit log of a gateway, compared with what its clients saw.

use super::api::get;
use super::clients::{End, Sent};
use crate::gateway::Gateway;
use crate::interrupt::wait_for;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;

/// Rows are written within a second; those of disconnected clients wait up to four seconds for the counts of the worker.
/// A busy machine takes longer.
const WRITE_TIMEOUT: Duration = Duration::from_mins(2);

/// Rows of a page, the most that there can be.
const PAGE_ROWS: usize = 1000;

/// A row, as far as it is checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    pub id: String,
    pub request_id: String,
    pub at_ms: i64,
    pub status: u16,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub duration_ms: i64,
}

#[derive(Deserialize)]
struct Page {
    rows: Vec<Row>,
    next: Option<String>,
}

/// All rows, newest first.
pub fn rows(gateway: &Gateway) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(gateway, &format!("/api/audit?limit={PAGE_ROWS}{after}"))?;
        let page: Page = serde_json::from_value(page).context("not a page of the audit log")?;
        rows.extend(page.rows);
        let Some(next) = page.next else {
            return Ok(rows);
        };
        after = format!("&after={next}");
    }
}

/// Waits until at least `count` requests have rows.
pub fn wait_for_ended(gateway: &Gateway, count: usize) -> Result<()> {
    let written = wait_for("all audit rows", WRITE_TIMEOUT, || {
        let requests = get(gateway, "/api/audit/totals")?["requests"].as_u64();
        let requests = requests.context("no number of requests")?;
        Ok((requests >= count as u64).then_some(()))
    });
    written.with_context(|| format!("{count} requests have ended"))
}

/// All rows, once there are `count` of them.
pub fn wait_for_rows(gateway: &Gateway, count: usize) -> Result<Vec<Row>> {
    wait_for_ended(gateway, count)?;
    let rows = rows(gateway)?;
    if rows.len() != count {
        bail!("there are {} audit rows for {count} requests", rows.len());
    }
    Ok(rows)
}

/// Checks that each request has exactly one row, that those of complete responses have the counts that the client received, and
/// that those of failed ones have none.
pub fn compare(sent: &[Sent], rows: &[Row]) -> Result<()> {
    let mut by_request: HashMap<&str, Vec<&Row>> = HashMap::new();
    for row in rows {
        by_request.entry(&row.request_id).or_default().push(row);
    }
    for request in sent {
        let found = by_request.get(request.id.as_str());
        let [row] = found.map(Vec::as_slice).unwrap_or_default() else {
            bail!(
                "{} rows, not one, of the request {request:?}",
                found.map_or(0, Vec::len)
            );
        };
        let counts = (row.prompt_tokens, row.completion_tokens);
        let is_right = match &request.end {
            End::Complete(tokens) => {
                row.status == 200 && counts == (Some(tokens.prompt), Some(tokens.completion))
            }
            End::Failed(_) => row.status >= 500 && counts == (None, None),
            End::Rejected(status, _) => row.status == *status && counts == (None, None),
            // The gateway may have sent everything before it noticed.
            End::Disconnected => matches!(row.status, 200 | 499),
            End::Cut(_) | End::NotSent(_) => false,
        };
        if !is_right {
            bail!("the request {request:?} has the row {row:?}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::stream::Tokens;
    use super::*;

    fn sent(end: End) -> Sent {
        Sent {
            id: "1".to_owned(),
            profile: "first",
            end,
        }
    }

    fn row(status: u16, tokens: Option<u64>) -> Row {
        Row {
            id: "a".to_owned(),
            request_id: "1".to_owned(),
            at_ms: 0,
            status,
            prompt_tokens: tokens,
            completion_tokens: tokens,
            duration_ms: 5,
        }
    }

    #[test]
    fn rows_must_match_what_the_client_saw() {
        let tokens = Tokens {
            prompt: 3,
            completion: 3,
        };
        let failed = || End::Failed("exited".to_owned());
        for (end, row, matches) in [
            (End::Complete(tokens), row(200, Some(3)), true),
            (End::Complete(tokens), row(200, Some(4)), false),
            (End::Complete(tokens), row(200, None), false),
            (End::Complete(tokens), row(499, Some(3)), false),
            (failed(), row(502, None), true),
            (failed(), row(502, Some(3)), false),
            (End::Disconnected, row(499, Some(1)), true),
            (End::Disconnected, row(500, None), false),
            (End::Cut(String::new()), row(200, None), false),
        ] {
            let compared = compare(&[sent(end)], std::slice::from_ref(&row));
            assert_eq!(compared.is_ok(), matches, "{row:?}");
        }
    }

    #[test]
    fn each_request_has_exactly_one_row() {
        let request = [sent(End::Disconnected)];
        let row = row(499, None);
        assert!(compare(&request, &[]).is_err());
        assert!(compare(&request, &[row.clone(), row]).is_err());
    }
}
