//! `format`: regular expressions of the formats that can be enforced.
//!
//! Validators differ in the host names and dates that they accept. These patterns match strings that all of them accept:
//! years from 1000 to 2999, no leap seconds, no labels with two consecutive hyphens, no comments in email addresses. Other
//! formats are annotations, as the JSON Schema specification says.

/// The anchored expression of a format; `None` if it is not enforced. Formats of internationalized names allow ASCII names only.
pub(super) fn pattern(name: &str) -> Option<String> {
    Some(match name {
        "date-time" => format!("^{}T{}$", date(), time()),
        "date" => format!("^{}$", date()),
        "time" => format!("^{}$", time()),
        "duration" => format!("^{}$", duration()),
        "email" | "idn-email" => format!("^{}@{}$", mailbox(), mail_domain()),
        "hostname" | "idn-hostname" => format!("^{}$", domain()),
        "ipv4" => format!("^{}$", ipv4()),
        "ipv6" => format!("^{}$", ipv6()),
        "ipvanyaddress" => format!("^(?:{}|{})$", ipv4(), ipv6()),
        "uuid" => "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$".into(),
        "uuid1" | "uuid3" | "uuid4" | "uuid5" | "uuid6" | "uuid7" | "uuid8" => {
            let version = &name[4..];
            format!(
                "^[0-9a-fA-F]{{8}}-[0-9a-fA-F]{{4}}-{version}[0-9a-fA-F]{{3}}-[89abAB][0-9a-fA-F]{{3}}-[0-9a-fA-F]{{12}}$"
            )
        }
        "uri" | "iri" => format!("^{}$", uri()),
        "e164" => "^\\+[1-9][0-9]{6,14}$".into(),
        "json-pointer" => "^(?:/(?:[^/~]|~[01])*)*$".into(),
        _ => return None,
    })
}

fn date() -> String {
    let any_year = "[12][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))";
    let leap_year = "(?:[12][0-9](?:0[48]|[2468][048]|[13579][26])|(?:12|16|20|24|28)00)-02-29";
    format!("(?:{any_year}|{leap_year})")
}

fn time() -> String {
    let hours_minutes = "(?:[01][0-9]|2[0-3]):[0-5][0-9]";
    format!("{hours_minutes}:[0-5][0-9](?:\\.[0-9]{{1,9}})?(?:Z|[+-]{hours_minutes})")
}

fn duration() -> String {
    let count = "[0-9]{1,9}";
    let date = format!("(?:{count}D|{count}M(?:{count}D)?|{count}Y(?:{count}M(?:{count}D)?)?)");
    let time = format!("T(?:{count}S|{count}M(?:{count}S)?|{count}H(?:{count}M(?:{count}S)?)?)");
    format!("P(?:{date}(?:{time})?|{time}|{count}W)")
}

/// An apostrophe or a sign at the end, and most punctuation, are rejected by some validators.
fn mailbox() -> String {
    let atom = "[a-zA-Z0-9_+-](?:[a-zA-Z0-9_'+-]{0,28}[a-zA-Z0-9_+-])?";
    format!("{atom}(?:\\.{atom})?")
}

/// A name of two to four labels with a top-level domain of letters, which most validators require.
fn mail_domain() -> String {
    let label = "[a-zA-Z0-9]{1,20}(?:-[a-zA-Z0-9]{1,20}){0,2}";
    format!("(?:{label}\\.){{1,3}}[a-zA-Z]{{2,20}}")
}

/// At most four labels of at most 62 characters, so that the name has at most 253. The last one starts with a letter, so that
/// it is not an IP address.
fn domain() -> String {
    let rest = "(?:-[a-zA-Z0-9]{1,20}){0,2}";
    let label = format!("[a-zA-Z0-9]{{1,20}}{rest}");
    format!("(?:{label}\\.){{0,3}}[a-zA-Z][a-zA-Z0-9]{{0,19}}{rest}")
}

fn ipv4() -> String {
    let byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    format!("(?:{byte}\\.){{3}}{byte}")
}

fn ipv6() -> String {
    let group = "[0-9a-fA-F]{1,4}";
    let whole = format!("(?:{group}:){{7}}{group}");
    // `::` stands for at least two groups.
    let shortened = (0..=6).map(|before| {
        let after = 6 - before;
        let start = match before {
            0 => String::new(),
            _ => format!("{group}(?::{group}){{{}}}", before - 1),
        };
        let end = match after {
            0 => String::new(),
            _ => format!("(?:{group}(?::{group}){{0,{}}})?", after - 1),
        };
        format!("{start}::{end}")
    });
    let all: Vec<String> = std::iter::once(whole).chain(shortened).collect();
    format!("(?:{})", all.join("|"))
}

fn uri() -> String {
    let character = "(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})";
    let scheme = "[a-zA-Z][a-zA-Z0-9+.-]{0,30}:";
    let path = format!("(?:/{character}*)*");
    let authority = format!("//(?:{}|{})(?::[0-9]{{1,4}})?{path}", domain(), ipv4());
    let opaque = format!("{character}+{path}");
    let tail = |mark: &str| format!("(?:{mark}(?:{character}|[/?])*)?");
    format!(
        "{scheme}(?:{authority}|{opaque}){}{}",
        tail("\\?"),
        tail("#")
    )
}
